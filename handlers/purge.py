"""Calls that are old enough to be forgotten, a few at a time."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator

from django.db import transaction

from handlers.models import OPEN_STATES, Attempt, Invocation, InvocationResult, ReceivedCall, Sending
from portals.clock import db_now

# SQLite has one write lock for all, and on any database a transaction's pages go to the disk together: a step takes
# about as long as an acknowledgement may wait, and then whoever takes calls in has twice that for himself.
_STEP_SECONDS = 0.01
_REST = 2.0
_LEAST, _MOST = 10, 500


def purge(days: int, progress: Callable[[int], object] = lambda _done: None) -> int:
    """Removes calls received more than `days` ago that have ended and owe nothing; how many.

    In transactions so short that the intake never waits for them. `progress` hears now and then how many so far.
    """
    before = db_now() - dt.timedelta(days=days)
    done = told = 0
    for removed in _gently(lambda most: _calls(before, most)):
        done += removed
        if done - told >= _MOST:
            told = done
            progress(done)
    # A call is sent after it was received: what was sent before the oldest one left is no kept call's.
    oldest = ReceivedCall.objects.order_by("received_at").values_list("received_at", flat=True).first()
    for _removed in _gently(lambda most: _sendings(min(before, oldest or before), most)):
        pass
    return done


def _calls(before: dt.datetime, most: int) -> int:
    with transaction.atomic():
        old = list(
            Invocation.objects.filter(received_at__lt=before, confirm_at__isnull=True)
            .exclude(state__in=OPEN_STATES)
            .order_by("received_at")
            .values_list("pk", flat=True)[:most]
        )
        Attempt.objects.filter(invocation_id__in=old).delete()
        InvocationResult.objects.filter(invocation_id__in=old).delete()
        # Told apart, since Django would read each row that it deletes of a model with a parent.
        calls = Invocation.objects.filter(pk__in=old)
        calls._raw_delete(calls.db)
        ReceivedCall.objects.filter(pk__in=old)._raw_delete(calls.db)
    return len(old)


def _sendings(before: dt.datetime, most: int) -> int:
    """Calls don't bar a sending's end (their column has neither index nor rule): looking for them would read every
    call for each sending."""
    with transaction.atomic():
        old = Sending.objects.filter(started_at__lt=before).order_by("pk").values_list("pk", flat=True)
        page = list(old[:most])
        Sending.objects.filter(pk__in=page).delete()
    return len(page)


def _gently(step: Callable[[int], int]) -> Iterator[int]:
    """`step(most)` until it finds fewer than it may take, as many at a time as _STEP_SECONDS allow."""
    most = _LEAST
    while True:
        began = time.monotonic()
        removed = step(most)
        took = time.monotonic() - began
        yield removed
        if removed < most:
            return
        most = min(_MOST, max(_LEAST, int(most * min(2.0, _STEP_SECONDS / max(took, 1e-6)))))
        time.sleep(_REST * took)
