"""The schema for a reader: what the page `/api/docs/` shows. No script, no font, no host but this one.

Made from the same schema that programs get, so it can't say anything else. Swagger UI or Redoc would be
2.7 MB for eight resources.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.utils import translation
from drf_spectacular.generators import SchemaGenerator

Schema = dict[str, Any]
# Deeper than this nothing of ours is nested.
DEPTH = 4


@dataclass(frozen=True)
class Line:
    """A parameter or a field. `depth`: how far it is inside another; `choices`: [(value, words)]."""

    name: str
    type: str
    words: str
    choices: list[tuple[str, str]] = field(default_factory=list)
    depth: int = 0


@dataclass(frozen=True)
class Operation:
    id: str
    path: str
    title: str
    words: str
    parameters: list[Line]
    answer: str
    fields: list[Line]


@dataclass(frozen=True)
class Group:
    """The operations of one resource."""

    name: str
    operations: list[Operation]


@cache
def schema() -> Schema:
    """The OpenAPI schema, in English. Made once a process: 0.3 s."""
    with translation.override("en"):
        made: Schema = SchemaGenerator().get_schema(request=None, public=True)
    return made


@cache
def groups() -> list[Group]:
    """All that the schema tells of, in the order of the addresses."""
    components = schema()["components"]["schemas"]
    found: dict[str, list[Operation]] = {}
    for path, methods in schema()["paths"].items():
        name = path.removeprefix("/api/v1/").split("/")[0]
        found.setdefault(name, []).append(_operation(path, methods["get"], components))
    return [Group(name, operations) for name, operations in found.items()]


def _operation(path: str, spelled: Schema, components: Schema) -> Operation:
    parameters = [
        Line(
            each["name"],
            _type(each["schema"], components),
            _first(each.get("description", "")),
            _choices(each["schema"], each.get("description", ""), components),
        )
        for each in sorted(spelled.get("parameters", []), key=lambda each: each["in"] != "path")
    ]
    media, content = next(iter(spelled["responses"]["200"]["content"].items()))
    shape = _resolved(content.get("schema", {}), components)
    # A page of rows is shown as its row.
    rows = shape.get("properties", {}).get("results", {}).get("items")
    fields = _fields(_resolved(rows, components) if rows else shape, components, 0)
    return Operation(
        spelled["operationId"],
        path,
        spelled.get("summary", ""),
        spelled.get("description", ""),
        parameters,
        media,
        fields,
    )


def _fields(shape: Schema, components: Schema, depth: int) -> list[Line]:
    lines = []
    for name, spelled in shape.get("properties", {}).items():
        whole = _resolved(spelled, components)
        words = spelled.get("description") or whole.get("description", "")
        lines.append(
            Line(name, _type(spelled, components), _first(words), _choices(spelled, words, components), depth)
        )
        if depth < DEPTH:
            lines += _fields(_resolved(whole.get("items", whole), components), components, depth + 1)
    return lines


def _resolved(spelled: Schema, components: Schema) -> Schema:
    """The schema behind `$ref`, and behind the `allOf` or `oneOf` (something or null) that holds one."""
    if "$ref" in spelled:
        return _resolved(components[spelled["$ref"].rsplit("/", 1)[1]], components)
    for several in ("allOf", "oneOf", "anyOf"):
        for part in spelled.get(several, []):
            if part.get("type") != "null":
                return _resolved(part, components)
    return spelled


def _type(spelled: Schema, components: Schema) -> str:
    whole = _resolved(spelled, components)
    kinds = whole.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    parts = spelled.get("oneOf", []) + spelled.get("anyOf", [])
    if any(part.get("type") == "null" for part in parts) and "null" not in kinds:
        kinds.append("null")
    words = [_kind(kind, whole, components) for kind in kinds]
    return " or ".join(words) or "any JSON"


def _kind(kind: str, whole: Schema, components: Schema) -> str:
    if kind == "array":
        return f"list of {_type(whole.get('items', {}), components)}"
    formats = {"date-time": "time", "date": "date", "uri": "address"}
    return formats.get(whole.get("format", ""), kind) if kind == "string" else kind


def _choices(spelled: Schema, words: str, components: Schema) -> list[tuple[str, str]]:
    """The values of an enumeration with the words that drf-spectacular lists in its description."""
    whole = _resolved(spelled, components)
    values = [str(value) for value in whole.get("enum", []) if value]
    listed = f"{words}\n{whole.get('description', '')}"
    told = {}
    for line in listed.splitlines():
        value, dash, meaning = line.removeprefix("* ").partition(" - ")
        if line.startswith("* ") and dash:
            told[value.strip("`")] = meaning
    return [(value, told.get(value, "")) for value in values]


def _first(words: str) -> str:
    """A description as plain text, without the list of values that follows it."""
    return words.split("* `")[0].replace("`", "").strip()
