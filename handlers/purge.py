"""Calls that are old enough to be forgotten, a page at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.db import transaction

from handlers.models import OPEN_STATES, Attempt, Invocation, InvocationBody, Sending
from portals.clock import db_now

_PAGE = 500


def purge(days: int, progress: Callable[[int], object] = lambda _done: None) -> int:
    """Removes calls received more than `days` ago that have ended and owe nothing; how many.

    In short transactions, so that the intake never waits for it.
    """
    before = db_now() - dt.timedelta(days=days)
    done = 0
    while True:
        with transaction.atomic():
            old = list(
                Invocation.objects.filter(received_at__lt=before, confirm_at__isnull=True)
                .exclude(state__in=OPEN_STATES)
                .order_by("received_at")
                .values_list("pk", flat=True)[:_PAGE]
            )
            Attempt.objects.filter(invocation_id__in=old).delete()
            InvocationBody.objects.filter(invocation_id__in=old).delete()
            Invocation.objects.filter(pk__in=old).delete()
        done += len(old)
        progress(done)
        if len(old) < _PAGE:
            break
    while True:
        with transaction.atomic():
            sendings = (
                Sending.objects.filter(started_at__lt=before).order_by("pk").values_list("pk", flat=True)
            )
            page = list(sendings[:_PAGE])
            Invocation.objects.filter(sending_id__in=page).update(sending=None)
            Sending.objects.filter(pk__in=page).delete()
        if len(page) < _PAGE:
            return done
