"""Calls that should have gone on by now, of portals that nothing keeps back: one reading for alarms, `/readyz`,
`/metrics` and the first page.

A call is late where it has been due for longer than a burst takes (nobody works on it), or came in longer ago than
all tries of the slowest robot take, whatever was tried since: each retry makes a call due anew. One whose answer is
owed a look or a quiet repeat is late likewise, by its next look and by its end.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.conf import settings
from django.db.models import BooleanField, Count, Min, Q
from django.db.models.expressions import RawSQL

from handlers.computed import TRIES_PASSING
from handlers.models import Confirmation, Invocation, ReceivedCall, State
from portals.models import Portal

# What is due for longer has nobody who works on it; a burst of 5,000 is through in two minutes (contract §9).
DUE = dt.timedelta(minutes=5)
LOOK_DUE = dt.timedelta(minutes=15)
# Delays between the most tries of a robot, and of a result that is refused for no known reason.
_DELAYS = dt.timedelta(minutes=30)
# Where nobody can look the quiet repeat comes 310 s after the call, later where a process is locked.
SEEN_AFTER = dt.timedelta(minutes=30)
_NO_NUMBER = 2**63 - 1
# Each state's partial index; SQLite wants its condition in its own words.
_YES = BooleanField()
_RECEIVED = RawSQL("handlers_invocation.state = 'received'", (), output_field=_YES)
_READY = RawSQL("handlers_invocation.state = 'ready'", (), output_field=_YES)
_CLAIMED = RawSQL("handlers_invocation.state IN ('computing', 'sending')", (), output_field=_YES)
_OWED = RawSQL("handlers_invocation.confirm_at IS NOT NULL", (), output_field=_YES)
_WELL = {
    "lane_portal__state": Portal.State.INSTALLED,
    "lane_portal__trouble": "",
    "lane_portal__paused_at": None,
}


@dataclass(frozen=True)
class Late:
    """How many, and since when the oldest has waited; None where there is none."""

    calls: int = 0
    since: dt.datetime | None = None

    def minutes(self, now: dt.datetime) -> int:
        return int((now - self.since).total_seconds() // 60) if self.since else 0


def open_for() -> dt.timedelta:
    """A call that is open for longer went through all tries that any robot has."""
    return _DELAYS + TRIES_PASSING * dt.timedelta(seconds=settings.ROBOT_TIME_LIMIT)


def to_compute(now: dt.datetime) -> Late:
    """Calls without a result."""
    return _open(now, _RECEIVED, State.COMPUTING)


def to_send(now: dt.datetime) -> Late:
    """Results that no portal took."""
    return _open(now, _READY, State.SENDING)


def to_see(now: dt.datetime) -> Late:
    """Results that were taken, and whose arrival should be known; those of processes that stand still have an alarm of
    their own, and are looked for as seldom as once a day."""
    overdue = Q(confirm_at__lte=now - LOOK_DUE) | Q(ended_at__lte=now - SEEN_AFTER)
    found = (
        Invocation.objects.filter(_OWED, overdue, confirmed_at=None, **_WELL)
        .exclude(confirmation=Confirmation.STUCK, confirm_at__gt=now - LOOK_DUE)
        .aggregate(calls=Count("pk"), since=Min("ended_at"))
    )
    return Late(**found)


def _open(now: dt.datetime, waiting: RawSQL, claimed: State) -> Late:
    number = _numbers_before(now - open_for())
    waits = Invocation.objects.filter(waiting, Q(due_at__lte=now - DUE) | Q(pk__lt=number))
    # A claimed one was due when it was claimed: how long ago says nothing.
    held = Invocation.objects.filter(_CLAIMED, state=claimed, pk__lt=number)
    found = [rows.filter(**_WELL).aggregate(calls=Count("pk"), first=Min("pk")) for rows in (waits, held)]
    firsts = [each["first"] for each in found if each["calls"]]
    if not firsts:
        return Late()
    since = ReceivedCall.objects.values_list("received_at", flat=True).get(pk=min(firsts))
    return Late(sum(each["calls"] for each in found), since)


def _numbers_before(moment: dt.datetime) -> int:
    """Calls that were taken in before have smaller numbers than this; one that waited in a spool was taken in when
    it was drained. So that no open call's arrival is read: a burst has a hundred thousand of them."""
    later = ReceivedCall.objects.filter(received_at__gt=moment).order_by("received_at", "pk")
    return later.values_list("pk", flat=True).first() or _NO_NUMBER
