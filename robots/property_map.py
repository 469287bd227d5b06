"""Properties in the payload's spelling, and how much room a portal needs for them (contract §5)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def property_map(properties: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """`[{id, type, name, …}]` of a definition → `{id: {Name, Description, Type, Options, Required, Multiple,
    Default}}`; flags as Y/N, what is absent or empty left out."""
    spelled: dict[str, dict[str, Any]] = {}
    for item in properties:
        entry: dict[str, Any] = {"Name": item.get("name") or ""}
        if item.get("description"):
            entry["Description"] = item["description"]
        entry["Type"] = item.get("type") or "string"
        if item.get("options") and isinstance(item["options"], Mapping):
            entry["Options"] = {str(value): title for value, title in item["options"].items()}
        entry["Required"] = "Y" if item.get("required") is True else "N"
        entry["Multiple"] = "Y" if item.get("multiple") is True else "N"
        if item.get("default") not in (None, "", []):
            entry["Default"] = _default(item["default"])
        spelled[str(item.get("id") or "")] = entry
    return spelled


def _default(value: Any) -> Any:
    if isinstance(value, bool):
        return "Y" if value else "N"
    if isinstance(value, (list, tuple)):
        return [_default(item) for item in value]
    return str(value)


def stored_bytes(value: Any) -> int:
    """Bytes that the map may take where a portal stores it: the larger of PHP's serialize() and JSON."""
    return max(
        _php_bytes(value), len(json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "replace"))
    )


def _php_bytes(value: Any) -> int:
    if isinstance(value, Mapping):
        inner = sum(_php_bytes(key) + _php_bytes(item) for key, item in value.items())
        return len(f"a:{len(value)}:{{}}") + inner
    if isinstance(value, (list, tuple)):
        inner = sum(len(f"i:{index};") + _php_bytes(item) for index, item in enumerate(value))
        return len(f"a:{len(value)}:{{}}") + inner
    if value is None:
        return len("N;")
    if isinstance(value, bool):
        return len("b:1;")
    length = len(str(value).encode("utf-8", "replace"))
    return len(f's:{length}:"";') + length
