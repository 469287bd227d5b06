"""Calls that are old enough to be forgotten, a few at a time."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from handlers.models import OPEN_STATES, Attempt, Invocation, InvocationResult, ReceivedCall, Sending
from portals.clock import db_now

# SQLite has one write lock for all, and on any database a transaction's pages go to the disk together: a step takes
# about as long as an acknowledgement does, and then whoever takes calls in has twice that for himself.
_STEP_SECONDS = 0.003
_REST = 2.0
_LEAST, _MOST = 10, 500
# A purge that the machine's end takes back is done again, so its commits wait for no disk: the next call's does, for
# its own row. On SQLite what was written also goes into the file by the hand of the purge, not of a call.
_UNHURRIED = {
    "postgresql": ["SET synchronous_commit = off"],
    "sqlite": ["PRAGMA synchronous = NORMAL", "PRAGMA wal_autocheckpoint = 200"],
}
_AS_BEFORE = {
    "postgresql": ["RESET synchronous_commit"],
    "sqlite": ["PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 1000"],
}


def purge(days: int, progress: Callable[[int], object] = lambda _done: None) -> int:
    """Removes calls received more than `days` ago that have ended and owe nothing; how many.

    In transactions so short that the intake never waits for them. `progress` hears now and then how many so far.
    """
    before = db_now() - dt.timedelta(days=days)
    done = told = 0
    with _unhurried():
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


@contextmanager
def _unhurried() -> Iterator[None]:
    """Commits of this connection that need not be on the disk at once; inside a transaction it stays as it is."""
    if connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        for statement in _UNHURRIED[connection.vendor]:
            cursor.execute(statement)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for statement in _AS_BEFORE[connection.vendor]:
                cursor.execute(statement)


def _calls(before: dt.datetime, most: int) -> int:
    with transaction.atomic():
        # Locked: a person may release or replay one between this and its end, and it owes something then.
        old = list(
            Invocation.objects.select_for_update(skip_locked=True)
            .filter(received_at__lt=before, confirm_at__isnull=True)
            .exclude(state__in=OPEN_STATES)
            .order_by("received_at")
            .values_list("pk", flat=True)[:most]
        )
        Attempt.objects.filter(invocation_id__in=old).delete()
        InvocationResult.objects.filter(invocation_id__in=old).delete()
        # Told apart, since Django would read each row that it deletes of a model with a parent, under the write lock.
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
