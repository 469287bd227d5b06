"""The state on disk: written whole to a new file and renamed,
read back at start by the dataclasses' own types."""

from __future__ import annotations

import dataclasses
import json
import os
import time
import types
import typing
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from sandbox.model import Portal, Process, State
from sandbox.world import World

FORMAT = 2
SLICE = 200
ENDED_KEPT = 500


def dump(world: World, given_up: Callable[[], bool] = lambda: False, last: bool = False) -> str:
    """Everything as JSON, of ended processes the newest ENDED_KEPT; empty where it was given up on the way. `last`:
    the queue stands still, so what it holds may be sent after the next start.

    Processes are written in slices, the lock free between them: a portal with 20,000 would else stand still.
    What moves meanwhile is in the next snapshot, or in the last one.
    """
    with world.lock:
        world.state.offset = world.clock.offset
        ids = {name: chosen(portal) for name, portal in world.state.portals.items()}
        head = json.dumps(world.state, default=without_processes, ensure_ascii=False, separators=(",", ":"))
    portals = []
    for name, numbers in ids.items():
        slices = [numbers[first : first + SLICE] for first in range(0, len(numbers), SLICE)]
        texts = []
        for part in slices:
            if given_up():
                return ""
            texts.append(dump_slice(world, name, part))
        texts = [text for text in texts if text]
        portals.append(f"{json.dumps(name)}:[{','.join(texts)}]")
    told = ',"last":true' if last else ""
    return f'{{"format":{FORMAT}{told},"state":{head},"processes":{{{",".join(portals)}}}}}'


def chosen(portal: Portal) -> list[str]:
    """Whoever waits or is still in the queue, and the newest of those that ended."""
    ended = [
        number
        for number, process in portal.processes.items()
        if not process.alive and not any(step.queued for step in process.steps)
    ]
    left_out = set(ended[:-ENDED_KEPT])
    return [number for number in portal.processes if number not in left_out]


def dump_slice(world: World, name: str, numbers: list[str]) -> str:
    with world.lock:
        portal = world.state.portals.get(name)
        found = (
            [portal.processes[number] for number in numbers if number in portal.processes] if portal else []
        )
        text = json.dumps(found, default=fields_of, ensure_ascii=False, separators=(",", ":"))[1:-1]
    time.sleep(0.001)
    return text


def fields_of(value: Any) -> dict[str, Any]:
    """A dataclass is its fields."""
    return dict(vars(value))


def without_processes(value: Any) -> dict[str, Any]:
    return {**vars(value), "processes": {}} if isinstance(value, Portal) else dict(vars(value))


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
        for name, items in data["processes"].items():
            processes = [build(Process, item) for item in items]
            state.portals[name].processes = {process.id: process for process in processes}
            if not data.get("last"):
                # Killed: what was queued then may have been sent since, and nothing is ever sent twice.
                for process in processes:
                    for step in process.steps:
                        step.queued = 0
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
