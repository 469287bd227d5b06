"""Whether a result arrived: `true` is taken, the portal's list of processes tells the rest (contract §7).

A look asks for up to 50 processes in one command that rides in a batch. Whether a portal takes a list of ids is
proved by a *witness*: a process whose result goes out in the very batch, asked for before that; as long as it is
saved it must be listed. Without one the longest owed process is asked for once more, by its id alone: where that
lists it and the list does not, a list is not understood. Until some asked-for process was listed, "not listed"
proves nothing here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from handlers import early
from handlers.attempts import Note
from handlers.claims import Settlement
from handlers.models import Confirmation, Invocation
from handlers.settle import LOOK_AFTER, REPEAT_AFTER
from portals.errors import CommandRefused, RestError
from portals.models import Portal

METHOD = "bizproc.workflow.instances"
MOST = 50
# Commands of a request that look, where the account is calm.
_COMMANDS = 10
# The key of the command that asks for one process by its id alone.
_ALONE = "alone"
# A look that proved nothing is tried again later and later, at most this often apart.
_AGAIN = 60.0
# Repeats to a process that stands still: from the second on it is an alarm, after the last nothing is sent.
_STUCK_AFTER = 2
_SENDS_MAX = 12

Command = tuple[str, dict[str, Any]]


@dataclass(slots=True)
class Look:
    """Rows looked for in one request, the witnesses asked for beside them, and the commands."""

    rows: list[Invocation] = field(default_factory=list)
    witnesses: dict[str, dt.datetime] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)


@dataclass(slots=True)
class Verdict:
    """What a look found: settlements, notes, and what it taught of the portal."""

    settlements: list[Settlement] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    instances: str | None = None
    delay: float | None = None


def due(portal: Portal, now: dt.datetime) -> list[Invocation]:
    """Rows of the portal whose look is due, longest owed first."""
    most = {Portal.Instances.SINGLE: _COMMANDS, Portal.Instances.LIST: _COMMANDS * MOST}.get(
        Portal.Instances(portal.instances), MOST
    )
    return list(
        Invocation.objects.filter(
            lane_portal=portal,
            confirm_at__lte=now,
            state="delivered",
            confirmation__in=("look", "stuck", "confirmed"),
        )
        .select_related("sending")
        .order_by("confirm_at")[:most]
    )


def places(portal: Portal, owed: int, calm: bool) -> int:
    """Commands kept free for looks in the next request: in a burst at most one in twenty."""
    if portal.instances == Portal.Instances.UNKNOWN:
        return 2
    if portal.instances == Portal.Instances.ABSENT:
        return 1 if owed else 0
    a_command = 1 if portal.instances == Portal.Instances.SINGLE else MOST
    return min(-(-owed // a_command), _COMMANDS if calm else max(1, portal.batch_size // 20))


def compose(portal: Portal, rows: list[Invocation], going_out: list[Invocation], room: int) -> Look:
    """The look at `rows`; on a portal not yet known, with witnesses among the results that are `going_out`.

    Without commands where nobody can look (`read` then owes each row one quiet repeat).
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
    select = ["ID", "MODIFIED", "OWNED_UNTIL"]
    for place in range(min(room, -(-len(ids) // a_command))):
        asked: Any = ids[place] if a_command == 1 else ids[place * MOST : (place + 1) * MOST]
        look.commands[f"w{place}"] = (METHOD, {"SELECT": select, "FILTER": {"ID": asked}, "start": -1})
    if portal.instances == Portal.Instances.UNKNOWN and look.rows and not look.witnesses:
        alone = {"ID": look.rows[0].workflow_id}
        look.commands[_ALONE] = (METHOD, {"SELECT": select, "FILTER": alone, "start": -1})
    return look


def read(
    portal: Portal,
    look: Look,
    results: dict[str, Any],
    errors: dict[str, RestError],
    now: dt.datetime,
    portal_now: dt.datetime | None,
) -> Verdict:
    """The three readings of §7 and their cautions, row by row."""
    verdict = Verdict()
    failed = [errors[key] for key in look.commands if key in errors]
    if portal.instances == Portal.Instances.ABSENT or any(
        isinstance(error, CommandRefused) for error in failed
    ):
        # Neither the plan nor the rights have it: one quiet repeat each, and the page says so.
        verdict.instances = Portal.Instances.ABSENT
        verdict.settlements = [
            later(row, max(REPEAT_AFTER - _age(row, now), 1.0), Confirmation.REPEAT) for row in look.rows
        ]
        return verdict
    if failed or any(key not in results for key in look.commands):
        verdict.settlements = [later(row, _AGAIN) for row in look.rows]
        return verdict
    listed, only_asked = _listed(look, results)
    trusted = portal.instances in (Portal.Instances.LIST, Portal.Instances.SINGLE)
    alone = set(listed) - set(_listed(look, {**results, _ALONE: []})[0])
    if alone and only_asked:
        # By its id alone it is listed, among others not. (One that was saved between the two costs commands only.)
        verdict.instances = Portal.Instances.SINGLE
    elif listed and only_asked and not trusted:
        verdict.instances, trusted = Portal.Instances.LIST, True
    if not only_asked or _witness_missing(look, listed, now):
        # The filter is not understood: one id a command, and where that fails too, not at all.
        verdict.instances = (
            Portal.Instances.ABSENT
            if portal.instances == Portal.Instances.SINGLE
            else Portal.Instances.SINGLE
        )
        trusted = False
    for row in look.rows:
        found = listed.get(row.workflow_id) if only_asked else None
        if row.confirmation == Confirmation.CONFIRMED:
            verdict.settlements.append(later(row, 0.0))
            if trusted if found is None else _moved(row, found):
                # By the repeat: the first one was lost.
                verdict.delay = early.lengthened(portal.send_delay)
            continue
        _read_row(
            portal,
            row,
            found,
            trusted,
            now,
            portal_now or now + dt.timedelta(seconds=portal.clock_ahead),
            verdict,
        )
    return verdict


def learn(portal: Portal, verdict: Verdict) -> None:
    """Keeps what the look taught, on the row and in the database."""
    changes: dict[str, Any] = {}
    if verdict.instances is not None and verdict.instances != portal.instances:
        changes["instances"] = verdict.instances
    if verdict.delay is not None and abs(verdict.delay - portal.send_delay) > 0.001:
        changes["send_delay"] = verdict.delay
    if not changes:
        return
    Portal.objects.filter(pk=portal.pk).update(**changes)
    for name, value in changes.items():
        setattr(portal, name, value)


def _read_row(
    portal: Portal,
    row: Invocation,
    found: dict[str, Any] | None,
    trusted: bool,
    now: dt.datetime,
    portal_now: dt.datetime,
    verdict: Verdict,
) -> None:
    say: Callable[[Settlement], None] = verdict.settlements.append
    if found is None:
        if trusted and (row.seen_listed or _age(row, now) >= LOOK_AFTER):
            say(_settle(row, confirmed=True, confirmation=Confirmation.CONFIRMED))
            if row.sends == 1 and portal.send_delay:
                verdict.delay = early.shortened(portal.send_delay if verdict.delay is None else verdict.delay)
        elif _age(row, now) > REPEAT_AFTER:
            # Nothing ever proved that a look can be believed here.
            say(later(row, 0.0, Confirmation.REPEAT))
        else:
            say(later(row, _AGAIN))
        return
    owned = _time(found.get("OWNED_UNTIL"))
    owned_for = (owned - portal_now).total_seconds() if owned else 0.0
    if _moved(row, found):
        # Moved: by our result, or by being saved or freed late. One quiet repeat settles it, once nobody owns it.
        if owned_for > 0:
            say(later(row, owned_for + 1.0, seen=True))
        else:
            say(later(row, 0.0, Confirmation.REPEAT, seen=True))
        return
    _lost(portal, row, owned_for, verdict)


def _lost(portal: Portal, row: Invocation, owned_for: float, verdict: Verdict) -> None:
    """Unmoved since our send: the same result again, at once where nobody owns the process."""
    if owned_for > 0:
        verdict.settlements.append(_settle(row, state="ready", delay=owned_for + 1.0, seen=True, ended=False))
        text = "The process was locked and did not take it; the same result is sent once it is free."
        verdict.notes.append(Note(row.pk, "confirm", "locked", text))
        return
    stuck = row.sends > _STUCK_AFTER
    if stuck and row.sends >= _SENDS_MAX:
        verdict.settlements.append(_settle(row, confirmation=Confirmation.STUCK, seen=True))
        return
    if stuck and row.confirmation != Confirmation.STUCK:
        text = "The portal took it again and the process still waits; look at the process on the portal."
        verdict.notes.append(Note(row.pk, "confirm", "stuck", text))
        verdict.settlements.append(
            later(row, min(30.0 * 2**row.sends, 86_400.0), Confirmation.STUCK, seen=True)
        )
        return
    if row.sends == 1 and row.sent_at is not None and early.teaches(portal, row, row.sent_at):
        verdict.delay = early.lengthened(portal.send_delay)
    verdict.settlements.append(_settle(row, state="ready", seen=True, ended=False))
    text = "The portal took it, but the process did not move; the same result is sent again."
    verdict.notes.append(Note(row.pk, "confirm", "lost", text))


def _listed(look: Look, results: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], bool]:
    """(row by process id, whether every row was asked for)."""
    asked = {row.workflow_id for row in look.rows} | set(look.witnesses)
    listed: dict[str, dict[str, Any]] = {}
    only_asked = True
    for key in look.commands:
        answer = results[key]
        entries = answer.values() if isinstance(answer, dict) else answer
        for entry in entries if isinstance(entries, list) or hasattr(entries, "__iter__") else []:
            one = str(entry.get("ID", "")) if isinstance(entry, dict) else ""
            only_asked = only_asked and one in asked
            if one:
                listed[one] = entry
    return listed, only_asked


def _witness_missing(look: Look, listed: dict[str, Any], now: dt.datetime) -> bool:
    """Whether a process that waits for us, and must be saved by now, was asked for and not listed."""
    return any(
        one not in listed and (now - called_at).total_seconds() >= LOOK_AFTER
        for one, called_at in look.witnesses.items()
    )


def _moved(row: Invocation, found: dict[str, Any]) -> bool:
    """Whether the process moved since the row's last sending; by the portal's clock, in whole seconds (§7)."""
    modified, sent = _time(found.get("MODIFIED")), row.sending.portal_time if row.sending else None
    return modified is not None and sent is not None and _seconds(modified) >= _seconds(sent)


def later(row: Invocation, seconds: float, confirmation: str = "", seen: bool = False) -> Settlement:
    """To be looked for (or repeated) then. What has arrived owed a look for the portal's sake only: no further one."""
    if row.confirmation == Confirmation.CONFIRMED:
        return _settle(row, confirmation=Confirmation.CONFIRMED)
    return _settle(row, confirmation=confirmation or row.confirmation, confirm_in=seconds, seen=seen)


def _settle(row: Invocation, state: str = "delivered", ended: bool = True, **more: Any) -> Settlement:
    return Settlement(row.pk, row.fence, "delivered", state, row.cause, ended=ended, **more)


def _age(row: Invocation, now: dt.datetime) -> float:
    return (now - row.called_at).total_seconds()


def _seconds(moment: dt.datetime) -> int:
    return int(moment.timestamp())


def _time(value: Any) -> dt.datetime | None:
    """ISO 8601 with offset, as the portal gives it; None for anything else."""
    if not isinstance(value, str) or not value:
        return None
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
