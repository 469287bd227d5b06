"""What is wrong now: one function a question, each giving the causes it finds."""

from __future__ import annotations

import datetime as dt
import socket
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import Count, Q

from b24app import probe
from b24app.alarm import Alarm, FailingSweep, Kind
from handlers import attention, lateness, silence, spool
from handlers.lateness import Late
from handlers.models import Invocation, State
from portals.clock import db_now
from portals.models import Lease, Portal

MACHINE = socket.gethostname()[:100]

# After a pause, a trouble or an outage all that waited is late, and soon done.
CATCHES_UP = dt.timedelta(minutes=2)
TROUBLE_LASTS = dt.timedelta(minutes=10)
SWEEP_SILENT = dt.timedelta(minutes=1)
SPOOL_WAITS = dt.timedelta(minutes=1)
SPOOL_FULL = 0.5
# A question that met a busy file is well the next time.
SPOOL_ASKED = dt.timedelta(seconds=30)
# A robot's failures jump where at least so many of its latest calls failed, a share that is both large and
# several times what it was before. Where half of them fail it does not matter what was before.
FAILING, FAILING_SHARE, FAILING_TIMES, FAILING_ALWAYS = 5, 0.2, 3.0, 0.5
RECENT, BEFORE = dt.timedelta(minutes=15), dt.timedelta(hours=6)
# Troubles that a person must see to at once, without waiting whether they pass.
AT_ONCE = {
    Portal.Trouble.TOKEN_LOST,
    Portal.Trouble.USER_DISMISSED,
    Portal.Trouble.NO_RIGHTS,
    Portal.Trouble.WRONG_CLIENT,
    Portal.Trouble.KEY_MISSING,
}


@dataclass(frozen=True)
class Cause:
    """`grace`: it is told only where it lasts this long, since a moment of it is usual."""

    kind: Kind
    subject: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    grace: dt.timedelta = dt.timedelta()


def calls_late() -> Iterator[Cause]:
    yield from _late(Kind.CALLS_LATE, lateness.to_compute)


def results_late() -> Iterator[Cause]:
    yield from _late(Kind.RESULTS_LATE, lateness.to_send)


def unconfirmed() -> Iterator[Cause]:
    yield from _late(Kind.UNCONFIRMED, lateness.to_see)


def _late(kind: Kind, question: Callable[[dt.datetime], Late]) -> Iterator[Cause]:
    now = db_now()
    late = question(now)
    if late.calls:
        yield Cause(kind, params={"calls": late.calls, "minutes": late.minutes(now)}, grace=CATCHES_UP)


def stuck() -> Iterator[Cause]:
    rows = (
        attention.stuck().order_by().values("lane_portal_id", "lane_portal__domain", "lane_portal__member_id")
    )
    for row in rows.annotate(calls=Count("pk")):
        name = row["lane_portal__domain"] or row["lane_portal__member_id"]
        yield Cause(Kind.STUCK, str(row["lane_portal_id"]), {"portal": name, "calls": row["calls"]})


def portals_in_trouble() -> Iterator[Cause]:
    now = db_now()
    silent = silence.since_before(now - TROUBLE_LASTS)
    wrong = Portal.objects.filter(state=Portal.State.INSTALLED).filter(
        ~Q(trouble="")
        | Q(token_state__in=[Portal.Token.NONE, Portal.Token.LOST])
        | Q(token_is_admin=False)
        | Q(pk__in=silent)
    )
    for portal in wrong:
        lost = portal.token_state in (Portal.Token.NONE, Portal.Token.LOST)
        trouble = portal.trouble or (Portal.Trouble.TOKEN_LOST if lost else "")
        lasts = now - portal.trouble_since if portal.trouble_since else dt.timedelta()
        # A code, not its words: each reader has a language of his own.
        if trouble and (lost or trouble in AT_ONCE or lasts >= TROUBLE_LASTS):
            yield Cause(Kind.PORTAL_TROUBLE, str(portal.pk), {"portal": str(portal), "trouble": str(trouble)})
        elif portal.pk in silent:
            params = {"portal": str(portal), "trouble": str(Portal.Trouble.UNREACHABLE)}
            # What waited for an end of a pause has had no time for an answer.
            yield Cause(Kind.PORTAL_TROUBLE, str(portal.pk), params, grace=CATCHES_UP)
        if portal.token_is_admin is False:
            yield Cause(Kind.PORTAL_NO_ADMIN, str(portal.pk), {"portal": str(portal)})


def robots_failing() -> Iterator[Cause]:
    now = db_now()
    told = Alarm.objects.filter(kind=Kind.ROBOT_FAILING, ended_at=None)
    opened = dict(told.values_list("subject", "opened_at"))
    for code, (calls, failed) in _outcomes(now - RECENT, now).items():
        # Told already, a quiet quarter of an hour in which all fail is no end of it.
        if failed < (1 if code in opened else FAILING) or failed < calls * FAILING_SHARE:
            continue
        # Against the time before its alarm: what fails since would soon be the usual.
        until = opened.get(code, now) - RECENT
        calls_before, failed_before = _outcomes(until - BEFORE, until, code).get(code, (0, 0))
        share_before = failed_before / calls_before if calls_before else 0.0
        if failed >= calls * FAILING_ALWAYS or failed / calls > share_before * FAILING_TIMES:
            yield Cause(Kind.ROBOT_FAILING, code, {"robot": code, "calls": calls, "failed": failed})


def _outcomes(since: dt.datetime, until: dt.datetime, code: str = "") -> dict[str, tuple[int, int]]:
    """(calls, failed ones) received in a time, by robot; all of them, or one. What failed and was released, by a
    person or because its robot says so, failed too."""
    rows = Invocation.objects.filter(received_at__gte=since, received_at__lt=until).order_by()
    if code:
        rows = rows.filter(robot_code=code)
    counted = rows.values_list("robot_code").annotate(
        calls=Count("pk"),
        failed=Count("pk", filter=Q(state=State.FAILED) | Q(released_at__isnull=False) & ~Q(cause="")),
    )
    return {row[0]: (row[1], row[2]) for row in counted}


def sweeper_silent() -> Iterator[Cause]:
    now = db_now()
    ended = Lease.objects.filter(name="sweep:handlers").values_list("until", flat=True).first()
    if ended is None:
        # Before the very first sweep: whether one comes is seen by how long this lasts.
        yield Cause(Kind.SWEEPER_SILENT, params={"minutes": _minutes(SWEEP_SILENT)}, grace=SWEEP_SILENT * 2)
    elif now - ended > SWEEP_SILENT:
        yield Cause(Kind.SWEEPER_SILENT, params={"minutes": _minutes(now - ended)})


def sweeps_failing() -> Iterator[Cause]:
    now = db_now()
    for each in FailingSweep.objects.filter(since__lte=now - SWEEP_SILENT):
        params = {"room": each.room, "minutes": _minutes(now - each.since), "error": each.error}
        yield Cause(Kind.SWEEP_FAILS, each.room, params)


def broker_away() -> Iterator[Cause]:
    if probe.broker.ask() != probe.OK:
        yield Cause(Kind.BROKER_AWAY, grace=dt.timedelta(seconds=30))


def database_away() -> Iterator[Cause]:
    if probe.database.ask() != probe.OK:
        yield Cause(Kind.DATABASE_AWAY, MACHINE, {"machine": MACHINE}, dt.timedelta(seconds=10))


def spool_used() -> Iterator[Cause]:
    held = spool.held()
    waits = dt.datetime.now(dt.UTC).timestamp() - held.oldest if held.oldest else 0.0
    if held.calls > held.bad and waits > SPOOL_WAITS.total_seconds():
        params = {"machine": MACHINE, "calls": held.calls - held.bad, "minutes": int(waits // 60)}
        yield Cause(Kind.SPOOL_USED, MACHINE, params)
    part = held.bytes / (settings.SPOOL_MAX_MB * 1024 * 1024)
    if part >= SPOOL_FULL:
        yield Cause(Kind.SPOOL_FULL, MACHINE, {"machine": MACHINE, "percent": int(part * 100)})
    if held.bad:
        yield Cause(Kind.DEAD_LETTERS, MACHINE, {"machine": MACHINE, "calls": held.bad})


def spool_broken() -> Iterator[Cause]:
    """By a question and by what this process had to write: a disk that is full can be read."""
    grace = dt.timedelta()
    if not (error := spool.failed_lately()):
        try:
            spool.held()
        except (OSError, sqlite3.Error) as failed:
            error, grace = type(failed).__name__, SPOOL_ASKED
    if error:
        yield Cause(Kind.SPOOL_BROKEN, MACHINE, {"machine": MACHINE, "error": error}, grace)


def _minutes(lasting: dt.timedelta) -> int:
    return int(lasting.total_seconds() // 60)


# Each with the kinds it may find: what a question that fails would have found neither opens nor ends.
EVERYWHERE: list[tuple[Callable[[], Iterator[Cause]], set[str]]] = [
    (calls_late, {Kind.CALLS_LATE}),
    (results_late, {Kind.RESULTS_LATE}),
    (unconfirmed, {Kind.UNCONFIRMED}),
    (stuck, {Kind.STUCK}),
    (portals_in_trouble, {Kind.PORTAL_TROUBLE, Kind.PORTAL_NO_ADMIN}),
    (robots_failing, {Kind.ROBOT_FAILING}),
    (sweeper_silent, {Kind.SWEEPER_SILENT}),
    (sweeps_failing, {Kind.SWEEP_FAILS}),
    (broker_away, {Kind.BROKER_AWAY}),
]
# Asked on each machine, and kept there: they must go out without a database.
OF_THIS_MACHINE: list[tuple[Callable[[], Iterator[Cause]], set[str]]] = [
    (database_away, {Kind.DATABASE_AWAY}),
    (spool_broken, {Kind.SPOOL_BROKEN}),
    (spool_used, {Kind.SPOOL_USED, Kind.SPOOL_FULL, Kind.DEAD_LETTERS}),
]
