"""Old calls are forgotten; never one that a person takes up at that moment."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
from django.db import connection, transaction

from handlers.models import Invocation, State
from handlers.purge import purge
from portals.clock import db_now
from tests.factories import InvocationFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
def test_a_call_that_is_released_meanwhile_is_kept() -> None:
    old = db_now() - dt.timedelta(days=100)
    kept, forgotten = (InvocationFactory(state=State.FAILED, received_at=old) for _ in range(2))

    def forget() -> None:
        try:
            purge(30)
        finally:
            connection.close()

    purging = threading.Thread(target=forget)
    with transaction.atomic():
        Invocation.objects.filter(pk=kept.pk).update(state=State.READY)
        purging.start()
        # It passes by the call that is being released; were it to wait, it would take it once this is committed.
        purging.join(5)
    purging.join(30)
    assert list(Invocation.objects.values_list("pk", "state")) == [(kept.pk, State.READY)]
    assert not Invocation.objects.filter(pk=forgotten.pk).exists()
