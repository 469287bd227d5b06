"""The state on disk: written whole to a new file and renamed, read back at start by the dataclasses' own
types.
"""

from __future__ import annotations

import dataclasses
import json
import os
import types
import typing
from functools import cache
from pathlib import Path
from typing import Any

from sandbox.model import State

FORMAT = 1


def dump(state: State) -> str:
    return json.dumps(
        {"format": FORMAT, "state": state}, default=fields_of, ensure_ascii=False, separators=(",", ":")
    )


def fields_of(value: Any) -> dict[str, Any]:
    """A dataclass is its fields."""
    return dict(vars(value))


def write(folder: Path, text: str) -> None:
    """Atomic: a reader, or a start after a kill, finds the old file or the new one."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = folder / "state.json.new"
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / "state.json")


def read(folder: Path) -> State | None:
    """The stored state, or None where there is none; one that cannot be read is put aside, not deleted."""
    path = folder / "state.json"
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["format"] != FORMAT:
            raise ValueError("another format")
        state = build(State, data["state"])
    except (ValueError, KeyError, TypeError):
        path.replace(folder / "state.json.unreadable")
        return None
    return state if isinstance(state, State) else None


@cache
def types_of(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def build(wanted: Any, value: Any) -> Any:
    """A value of the wanted type from what JSON gave; fields that are not known any more are left out."""
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        hints = types_of(wanted)
        return wanted(**{name: build(hints[name], item) for name, item in value.items() if name in hints})
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if value is None:
        return None
    if origin is list:
        return [build(inner[0], item) for item in value]
    if origin is dict:
        return {key: build(inner[1], item) for key, item in value.items()}
    if origin in (types.UnionType, typing.Union):
        return build(next(kind for kind in inner if kind is not type(None)), value)
    return value
