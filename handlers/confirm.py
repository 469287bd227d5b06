"""Whether a result arrived: `true` is taken, the portal's list of processes tells the rest (contract §7).

How processes are asked for, and when *not listed* proves something: looks.py.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from handlers import early, looks
from handlers.attempts import Note
from handlers.claims import Settlement
from handlers.looks import Look
from handlers.models import Attempt, Confirmation, Invocation
from handlers.settle import LOOK_AFTER, REPEAT_AFTER
from portals.errors import CommandRefused, RestError
from portals.models import Portal

# A look that proved nothing is tried again this often.
_AGAIN = 60.0
# Looks that fail this long after a sending end with one quiet repeat: sooner than an alarm, later than a lock.
_GIVES_UP = 600.0
# A process is locked for 300 s at most (§7); whatever the portal says, nothing waits longer.
_OWNED_MOST = 600.0
# Losses to a process that stands still: from this one on it is an alarm.
_STUCK_AFTER = 2
# So often the same result is sent after a loss or a lock; then nothing more is, and whether a person has ended the
# process, as its alarm asks for, is looked for once a day, so long after the call.
_AGAIN_MOST = 11
_LOOKED_FOR_MOST = 30 * 86_400.0


@dataclass(slots=True)
class Verdict:
    """What a look found: settlements, notes, and what it taught of the portal."""

    settlements: list[Settlement] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    instances: str | None = None
    delay: float | None = None


def due(portal: Portal, now: dt.datetime) -> list[Invocation]:
    """Rows of the portal whose look is due, longest owed first."""
    most = {
        Portal.Instances.SINGLE: looks.COMMANDS,
        Portal.Instances.LIST: looks.COMMANDS * looks.MOST,
    }.get(Portal.Instances(portal.instances), looks.MOST)
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
        isinstance(error, CommandRefused) and error.meaning for error in failed
    ):
        # Neither the plan nor the rights have it: one quiet repeat each, and the page says so.
        verdict.instances = Portal.Instances.ABSENT
        verdict.settlements = [
            later(row, max(REPEAT_AFTER - _age(row, now), 1.0), Confirmation.REPEAT) for row in look.rows
        ]
        return verdict
    seen = None if failed else looks.seen(portal, look, results, now)
    if seen is None:
        verdict.settlements = [looked_in_vain(row, now) for row in look.rows]
        return verdict
    verdict.instances = seen.instances
    portal_now = portal_now or now + dt.timedelta(seconds=portal.clock_ahead)
    for row in look.rows:
        found = seen.listed.get(row.workflow_id)
        if row.confirmation == Confirmation.CONFIRMED:
            verdict.settlements.append(later(row, 0.0))
            if seen.trusted if found is None else _moved(row, found):
                # By the repeat: the first one was lost.
                verdict.delay = early.lengthened(portal.send_delay)
            continue
        _read_row(portal, row, found, seen.trusted, now, portal_now, verdict)
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


def looked_in_vain(row: Invocation, now: dt.datetime) -> Settlement:
    """The look failed, by itself or with its whole request. One that always does would be asked for ever: in the end
    the result is repeated instead; what stands still, an alarm already, is asked for less and less often."""
    if row.confirmation == Confirmation.LOOK and _long_ago(row, now):
        return later(row, 0.0, Confirmation.REPEAT)
    return later(row, max(_AGAIN, _waited(row, now) / 10))


def _long_ago(row: Invocation, now: dt.datetime) -> bool:
    """Whether it was sent so long ago that what stands in a look's way is waited for no more."""
    return _waited(row, now) > _GIVES_UP


def _waited(row: Invocation, now: dt.datetime) -> float:
    return (now - (row.sent_at or row.called_at)).total_seconds()


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
    owned_for = min((owned - portal_now).total_seconds(), _OWNED_MOST) if owned else 0.0
    if _moved(row, found):
        # Moved: by our result, or by being saved or freed late. One quiet repeat settles it, once nobody owns it.
        if owned_for > 0 and not _long_ago(row, now):
            say(later(row, owned_for + 1.0, seen=True))
        else:
            say(later(row, 0.0, Confirmation.REPEAT, seen=True))
        return
    _lost(portal, row, owned_for, now, verdict)


def _lost(portal: Portal, row: Invocation, owned_for: float, now: dt.datetime, verdict: Verdict) -> None:
    """Unmoved since our send: the same result again, at once where nobody owns the process.

    What was lost before is counted, not what was sent: an outage's sends without an answer say nothing of a process.
    """
    before = Counter(Attempt.objects.filter(invocation=row, step="confirm").values_list("code", flat=True))
    stuck = before["lost"] >= _STUCK_AFTER
    if before["lost"] + before["locked"] >= _AGAIN_MOST:
        again = 86_400.0 if _age(row, now) < _LOOKED_FOR_MOST else None
        verdict.settlements.append(_settle(row, confirmation=Confirmation.STUCK, confirm_in=again, seen=True))
        return
    if owned_for > 0:
        verdict.settlements.append(_settle(row, state="ready", delay=owned_for + 1.0, seen=True, ended=False))
        text = "The process was locked and did not take it; the same result is sent once it is free."
        verdict.notes.append(Note(row.pk, "confirm", "locked", text))
        return
    if stuck and row.confirmation != Confirmation.STUCK:
        text = "The portal took it again and the process still waits; look at the process on the portal."
        verdict.notes.append(Note(row.pk, "confirm", "stuck", text))
        pause = min(60.0 * 2 ** before["lost"], 86_400.0)
        verdict.settlements.append(later(row, pause, Confirmation.STUCK, seen=True))
        return
    if row.sends == 1 and row.sent_at is not None and early.teaches(portal, row, row.sent_at):
        verdict.delay = early.lengthened(portal.send_delay)
    verdict.settlements.append(_settle(row, state="ready", seen=True, ended=False))
    text = "The portal took it, but the process did not move; the same result is sent again."
    verdict.notes.append(Note(row.pk, "confirm", "lost", text))


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
