"""What operators watch, counted in the database: the one source for `/readyz` and `/metrics`."""

from __future__ import annotations

import datetime as dt
import sqlite3
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Count, Max, Min, Q

import handlers.spool
from b24app.alarm import FailingSweep
from handlers import attention, lateness
from handlers.models import OPEN_STATES, Invocation, RefusedCall, State
from portals.clock import db_now
from portals.models import Bucket, PendingInstallation, Portal
from robots.models import ForeignCode, Registration
from robots.refused import refused


@dataclass(frozen=True)
class Queue:
    """Calls that nothing keeps from going on, and how long the oldest has been due, in seconds.

    `late`: calls, `unseen`: arrivals that should have gone on by now, as alarms have it; `late_minutes` since the
    oldest such call came in. `sweeps_fail`: of some room each time.
    """

    due: int
    oldest_seconds: float
    late: int
    late_minutes: int
    unseen: int
    sweeps_fail: bool


@dataclass(frozen=True)
class Spool:
    """What this machine's spool holds; `part` of SPOOL_MAX_MB (0 … 1); `bad` calls need a person. `broken`: it can't
    be asked, or did not take what this process had for it."""

    calls: int = 0
    bytes: int = 0
    part: float = 0.0
    bad: int = 0
    broken: bool = False


def queue() -> Queue:
    """Calls of portals in trouble, paused or uninstalled wait rightly, and are counted elsewhere."""
    now = db_now()
    due, oldest = 0, None
    # One state at a time: each has its partial index.
    for state in (State.RECEIVED, State.READY):
        found = Invocation.objects.filter(
            state=state,
            due_at__lte=now,
            lane_portal__state=Portal.State.INSTALLED,
            lane_portal__trouble="",
            lane_portal__paused_at=None,
        ).aggregate(due=Count("pk"), oldest=Min("due_at"))
        due += found["due"]
        oldest = min(filter(None, (oldest, found["oldest"])), default=None)
    age = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
    late = (lateness.to_compute(now), lateness.to_send(now))
    return Queue(
        due,
        age,
        sum(each.calls for each in late),
        max(each.minutes(now) for each in late),
        lateness.to_see(now).calls,
        FailingSweep.objects.exists(),
    )


def spool() -> Spool:
    """Asked of the spool's own file: it is what works without a database."""
    try:
        held = handlers.spool.held()
    except (OSError, sqlite3.Error):
        return Spool(broken=True)
    part = held.bytes / (settings.SPOOL_MAX_MB * 1024 * 1024)
    return Spool(held.calls, held.bytes, part, held.bad, bool(handlers.spool.failed_lately()))


def open_calls() -> dict[str, int]:
    """Unfinished calls by state; partial indexes, so finished ones cost nothing."""
    counted = dict.fromkeys((state.value for state in OPEN_STATES), 0)
    counted.update(dict(attention.still_open().order_by().values_list("state").annotate(Count("pk"))))
    return counted


def hour_calls() -> dict[tuple[str, str], int]:
    """Calls received within the last hour, by (state, cause)."""
    since = db_now() - dt.timedelta(hours=1)
    rows = (
        Invocation.objects.filter(received_at__gte=since)
        .values_list("state", "cause")
        .annotate(number=Count("pk"))
        .order_by()
    )
    return {(state, cause): number for state, cause, number in rows}


def last_call_id() -> int:
    """Grows with every call taken in; gaps are possible, so it counts from above."""
    return Invocation.objects.aggregate(last=Max("pk"))["last"] or 0


def unconfirmed() -> tuple[int, int]:
    """(results whose arrival is still to be seen, of which the process is known to wait still)."""
    owed = Invocation.objects.filter(confirm_at__isnull=False, confirmed_at=None).count()
    return owed, attention.stuck().count()


def portals() -> dict[tuple[str, str, str], int]:
    """Portals by (state, token, trouble)."""
    rows = (
        Portal.objects.values_list("state", "token_state", "trouble").annotate(number=Count("id")).order_by()
    )
    return {(state, token, trouble): number for state, token, trouble, number in rows}


def registrations() -> dict[str, int]:
    """Registrations by what a person or a push owes them."""
    return Registration.objects.aggregate(
        held=Count("id", filter=Q(pushed_version__isnull=False)),
        due=Count("id", filter=Q(due_at__isnull=False)),
        error=Count("id", filter=refused()),
        missing=Count("id", filter=Q(observed=Registration.Observed.MISSING, wanted_version__isnull=False)),
    ) | {"foreign": ForeignCode.objects.count()}


def pending_installations() -> int:
    return PendingInstallation.objects.filter(state=PendingInstallation.State.WAITING).count()


def ended_installations() -> tuple[int, int]:
    """Installations that came to nothing: all that are told of, and those that were to be finished by themselves."""
    told = PendingInstallation.objects.exclude(state=PendingInstallation.State.WAITING).aggregate(
        all=Count("pk"), promised=Count("pk", filter=Q(tries__gt=0))
    )
    return told["all"], told["promised"]


def refused_calls() -> int:
    """Calls of the last hour that proved nothing."""
    return RefusedCall.objects.filter(at__gte=db_now() - dt.timedelta(hours=1)).count()


def times_limited() -> int:
    """Answers 503 and 429 of all portals since ever."""
    return sum(Bucket.objects.values_list("limited", flat=True))
