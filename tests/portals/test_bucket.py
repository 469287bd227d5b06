"""The bucket stays below the portal's limit whoever asks, and obeys the portal (contract §4)."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction

from portals import bucket
from portals.models import Bucket

pytestmark = pytest.mark.django_db(transaction=True)
MEMBER = "a" * 32


def burst(**kwargs):
    taken = 0
    while bucket.take(MEMBER, **kwargs) == 0.0:
        taken += 1
    return taken


def test_background_leaves_room_for_a_persons_push():
    background = burst()
    assert background == 47
    assert bucket.take(MEMBER) > 0
    assert burst(person=True) == 2


def test_eight_threads_never_take_more_than_the_portal_allows(settings):
    settings.BUCKET_RATE, settings.BUCKET_BURST = 20, 50
    moments = []
    end = time.monotonic() + 1.5

    def taker():
        try:
            while time.monotonic() < end:
                if bucket.take(MEMBER, person=True) == 0.0:
                    moments.append(time.monotonic())
        finally:
            connection.close()

    threads = [threading.Thread(target=taker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The portal's own arithmetic over the moments we took: its bucket of 50 never runs over.
    level, last = 0.0, moments[0]
    for moment in sorted(moments):
        level = max(0.0, level - (moment - last) * 20) + 1
        last = moment
        assert level <= 50
    assert len(moments) > 49


def test_the_wait_it_tells_is_enough():
    burst()
    wait = bucket.take(MEMBER)
    row = Bucket.objects.get()
    # Time passes in the database's clock: the row is moved back instead of sleeping.
    Bucket.objects.update(level_at=row.level_at - timedelta(seconds=wait))
    assert bucket.take(MEMBER) == 0.0


def test_it_obeys_a_503_and_waits_longer_when_it_goes_on():
    assert bucket.take(MEMBER) == 0.0
    bucket.report_limited(MEMBER)
    first = bucket.snapshot(MEMBER)
    assert first.limited == 1
    assert first.blocked_for > 0
    assert bucket.take(MEMBER, person=True) > 0
    # Answers that were under way with it change nothing.
    bucket.report_limited(MEMBER)
    assert bucket.snapshot(MEMBER).limited == 1
    Bucket.objects.update(blocked_until=Bucket.objects.get().level_at)
    bucket.report_limited(MEMBER)
    again = bucket.snapshot(MEMBER)
    assert Bucket.objects.get().blocked_seconds == 2.0
    assert again.blocked_for > first.blocked_for


@pytest.mark.contract("4.7")
def test_s4_an_enterprise_account_has_its_own_limits():
    bucket.take(MEMBER)
    Bucket.objects.update(capacity=250, rate=5, level=0)
    assert burst(person=True) >= 249


def test_it_is_refused_inside_a_transaction():
    with pytest.raises(RuntimeError), transaction.atomic():
        bucket.take(MEMBER)
