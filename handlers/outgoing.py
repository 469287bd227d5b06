"""Claimed rows made into commands of one request, and what is given back because it does not fit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F

from handlers.claims import Claim
from handlers.models import Cause, Invocation
from portals.crypto import SecretUnreadable, decrypt
from portals.php_query import can_batch

Command = tuple[str, dict[str, Any]]

# A result larger than this goes in a request of its own; a batch carries at most that much together.
ALONE_BYTES = 200_000
BATCH_BYTES = 1_000_000
# What a stored result that is none, or is cut off, raises as it is made into a command.
_DAMAGED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
# Log lines of one call that are commands of their own; what is more goes into the last of them.
_LINES = 10


@dataclass(slots=True)
class Outgoing:
    """One claimed row on its way out, with its commands by key; the last key is the result's."""

    claim: Claim
    invocation: Invocation
    commands: dict[str, Command]
    size: int
    alone: bool

    @property
    def key(self) -> str:
        return f"r{self.claim.id}"

    @property
    def is_repeat(self) -> bool:
        """A quiet repeat: the result was taken before, and is sent once more to be sure."""
        return self.invocation.confirmation == "repeat"


@dataclass(slots=True)
class Request:
    """Rows that go in one request, and rows that go back to be claimed again."""

    rows: list[Outgoing] = field(default_factory=list)
    back: list[Outgoing] = field(default_factory=list)
    alone: bool = False

    def commands(self) -> dict[str, Command]:
        return {key: command for row in self.rows for key, command in row.commands.items()}


def load(claimed: list[Claim]) -> tuple[list[Outgoing], list[tuple[Claim, Cause]]]:
    """(the rows, the most urgent first; those of which nothing can be sent, and why)."""
    # As columns of the row: a result read as an object of its own and its row point at each other, and only the
    # collector would free them.
    whole = Invocation.whole.select_related("sending").annotate(
        stored_result=F("stored__result"), stored_lines=F("stored__lines")
    )
    found = whole.in_bulk([claim.id for claim in claimed])
    rows: list[Outgoing] = []
    unreadable: list[tuple[Claim, Cause]] = []
    for claim in claimed:
        if claim.id in found:
            try:
                rows.append(_outgoing(claim, found[claim.id]))
            except SecretUnreadable:
                unreadable.append((claim, Cause.TOKEN_UNREADABLE))
            except _DAMAGED:
                unreadable.append((claim, Cause.DATA_UNREADABLE))
    return sorted(rows, key=_urgency), unreadable


def _urgency(row: Outgoing) -> tuple[Any, ...]:
    """Nearest deadline first, then what has none by when it came due; quiet repeats after all of them."""
    call = row.invocation
    return (row.is_repeat, call.deadline is None, call.deadline or call.due_at, call.due_at, row.claim.id)


def arrange(rows: list[Outgoing], room: int) -> Request:
    """What goes now of rows that come the most urgent first: at most `room` commands, in the order of the calls'
    coming, which is that of a process's steps. Where the first can't share a request, it goes alone; other such
    rows wait until they are the first, so none waits for ever."""
    if rows and rows[0].alone:
        return Request(rows[:1], rows[1:], alone=True)
    request = Request()
    used = size = 0
    for row in rows:
        if (
            row.alone
            or used + len(row.commands) > max(room, len(row.commands))
            or size + row.size > BATCH_BYTES
        ):
            request.back.append(row)
            continue
        request.rows.append(row)
        used += len(row.commands)
        size += row.size
    request.rows.sort(key=lambda row: row.claim.id)
    return request


def _outgoing(claim: Claim, invocation: Any) -> Outgoing:
    token = decrypt(bytes(invocation.event_token)).decode("utf-8", "replace")
    # A row without a result has nothing to say: no values would be another result than the one it comes to.
    result = json.loads(invocation.stored_result)
    send: dict[str, Any] = {"EVENT_TOKEN": token}
    if result["values"]:
        send["RETURN_VALUES"] = dict(result["values"])
    if result["log"]:
        send["LOG_MESSAGE"] = result["log"]
    commands: dict[str, Command] = {}
    if invocation.sends == 0:
        for place, line in enumerate(_lines(invocation.stored_lines or "")):
            commands[f"l{claim.id}_{place}"] = (
                "bizproc.activity.log",
                {"EVENT_TOKEN": token, "LOG_MESSAGE": line},
            )
    commands[f"r{claim.id}"] = ("bizproc.event.send", send)
    size = sum(len(json.dumps(params)) for _method, params in commands.values())
    alone = size > ALONE_BYTES or not all(can_batch(params) for _method, params in commands.values())
    return Outgoing(claim, invocation, commands, size, alone)


def _lines(stored: str) -> list[str]:
    lines = [line for line in json.loads(stored) if line.strip()] if stored else []
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], "\n".join(lines[_LINES - 1 :])]
    return lines
