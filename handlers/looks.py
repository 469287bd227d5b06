"""Looks: which processes are asked for, and what the answer says of how they can be asked for (contract §7).

A look asks for up to 50 processes in one command that rides in a batch. Whether a portal takes a list of ids is
proved by a *witness*: a process whose result goes out in the very batch, asked for before that; as long as it is
saved it must be listed. One process is asked for once more, by its id alone: where that lists it and the list does
not, a list is not understood, and where it must be listed and neither does, nobody can look.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from handlers.models import Invocation
from handlers.settle import LOOK_AFTER
from portals.models import Portal

METHOD = "bizproc.workflow.instances"
MOST = 50
# Commands of a request that look, where the account is calm.
COMMANDS = 10
# The key of the command that asks for one process by its id alone.
_ALONE = "alone"

Command = tuple[str, dict[str, Any]]
Listed = dict[str, dict[str, Any]]


@dataclass(slots=True)
class Look:
    """Rows looked for in one request, the witnesses asked for beside them, the process that is asked for alone, too,
    and the commands."""

    rows: list[Invocation] = field(default_factory=list)
    witnesses: dict[str, dt.datetime] = field(default_factory=dict)
    alone: str = ""
    commands: dict[str, Command] = field(default_factory=dict)


@dataclass(slots=True)
class Seen:
    """What an answer lists by process id, how the portal can be asked, and whether *not listed* is to be believed."""

    listed: Listed
    instances: Portal.Instances
    trusted: bool


def places(portal: Portal, owed: int, calm: bool) -> int:
    """Commands kept free for looks in the next request: in a burst at most one in twenty."""
    if portal.instances == Portal.Instances.UNKNOWN:
        return 2
    if portal.instances == Portal.Instances.ABSENT:
        return 1 if owed else 0
    a_command = 1 if portal.instances == Portal.Instances.SINGLE else MOST
    return min(-(-owed // a_command), COMMANDS if calm else max(1, portal.batch_size // 20))


def compose(portal: Portal, rows: list[Invocation], going_out: list[Invocation], room: int) -> Look:
    """The look at `rows`; on a portal not yet known, with witnesses among the results that are `going_out`.

    Without commands where nobody can look (`confirm.read` then owes each row one quiet repeat).
    """
    a_command = 1 if portal.instances == Portal.Instances.SINGLE else MOST
    look = Look(rows[: a_command * room])
    if portal.instances == Portal.Instances.ABSENT:
        return look
    if portal.instances == Portal.Instances.UNKNOWN:
        # Room for a witness at least.
        look.rows = look.rows[: MOST - 1]
        oldest = sorted(
            (row for row in going_out if row.workflow_id and row.sends == 0), key=lambda r: r.called_at
        )
        look.witnesses = {row.workflow_id: row.called_at for row in oldest[: MOST - len(look.rows)]}
    ids = list(dict.fromkeys([row.workflow_id for row in look.rows] + list(look.witnesses)))
    for place in range(min(room, -(-len(ids) // a_command))):
        asked = ids[place] if a_command == 1 else ids[place * MOST : (place + 1) * MOST]
        look.commands[f"w{place}"] = _command(asked)
    if portal.instances == Portal.Instances.UNKNOWN and ids:
        # A witness still waits; a row that is looked for has mostly gone on.
        look.alone = next(iter(look.witnesses), ids[0])
        look.commands[_ALONE] = _command(look.alone)
    return look


def _command(asked: str | list[str]) -> Command:
    select = ["ID", "MODIFIED", "OWNED_UNTIL"]
    return METHOD, {"SELECT": select, "FILTER": {"ID": asked}, "start": -1}


def seen(portal: Portal, look: Look, results: dict[str, Any], now: dt.datetime) -> Seen | None:
    """What the answers to the look's commands say; None where one of them is no list at all."""
    answers = {key: _entries(results.get(key)) for key in look.commands}
    if any(answer is None for answer in answers.values()):
        return None
    alone, only_it = _listed(answers.pop(_ALONE, None) or [], {look.alone})
    if not only_it:
        alone = {}
    asked = {row.workflow_id for row in look.rows} | set(look.witnesses)
    listed, only_asked = _listed([entry for answer in answers.values() for entry in answer or []], asked)
    known = Portal.Instances(portal.instances)
    if known == Portal.Instances.UNKNOWN:
        learned = _proved(look, listed if only_asked else None, alone, now)
    elif only_asked:
        learned = known
    else:
        # The filter is not understood after all: one id a command, once that is proved; or not at all.
        single = known == Portal.Instances.SINGLE
        learned = Portal.Instances.ABSENT if single else Portal.Instances.UNKNOWN
    trusted = learned == Portal.Instances.LIST or learned == known == Portal.Instances.SINGLE
    return Seen((listed if only_asked else {}) | alone, learned, trusted)


def _proved(look: Look, listed: Listed | None, alone: Listed, now: dt.datetime) -> Portal.Instances:
    """How a portal not yet known can be asked; `listed` is None where the list is not understood.

    (A process that was saved or went on between the two commands costs commands only.)
    """
    waiting = {one for one, at in look.witnesses.items() if (now - at).total_seconds() >= LOOK_AFTER}
    gone = {look.alone} - set(alone)
    if listed and not ((waiting - gone) | set(alone)) - set(listed):
        return Portal.Instances.LIST
    if alone:
        return Portal.Instances.SINGLE
    if gone & waiting and not listed:
        return Portal.Instances.ABSENT
    return Portal.Instances.UNKNOWN


def _entries(answer: Any) -> list[Any] | None:
    """The answer as a list (PHP may say it as a map); None for anything else, which says nothing of any process."""
    if isinstance(answer, dict):
        return list(answer.values())
    return answer if isinstance(answer, list) else None


def _listed(entries: Iterable[Any], asked: set[str]) -> tuple[Listed, bool]:
    """(what is listed of what was asked for, by process id; whether nothing else is)."""
    listed: Listed = {}
    only_asked = True
    for entry in entries:
        one = str(entry.get("ID", "")) if isinstance(entry, dict) else ""
        if one and one in asked:
            listed[one] = entry
        else:
            only_asked = False
    return listed, only_asked
