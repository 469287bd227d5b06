"""One owner at a time, and a late one is told (design §2 rule 6)."""

import threading

import pytest
from django.db import connection, transaction

from portals import lease
from portals.models import Lease

pytestmark = pytest.mark.django_db(transaction=True)


def test_second_taker_gets_none_until_released():
    held = lease.take("send:1", 60)
    assert held is not None
    assert lease.take("send:1", 60) is None
    held.release()
    again = lease.take("send:1", 60)
    assert again is not None
    assert again.fence == held.fence + 1


def test_an_overtaken_owner_holds_nothing_and_renews_nothing():
    first = lease.take("send:1", -1)
    second = lease.take("send:1", 60)
    assert second is not None
    with transaction.atomic():
        assert not lease.holds(first)
        assert lease.holds(second)
    assert not first.renew(60)
    first.release()
    assert lease.take("send:1", 60) is None


def test_an_expired_lease_nobody_took_is_still_held():
    held = lease.take("send:1", -1)
    assert lease.holds(held)
    assert held.renew(60)
    assert lease.take("send:1", 60) is None


def test_a_removed_row_does_not_revive_an_old_owner():
    old = lease.take("send:1", -1)
    Lease.objects.all().delete()
    new = lease.take("send:1", 60)
    assert new.fence == old.fence
    assert not lease.holds(old)


def test_of_many_threads_one_wins():
    won = []
    gate = threading.Barrier(8)

    def taker():
        try:
            gate.wait()
            held = lease.take("send:1", 60)
            if held:
                won.append(held)
        finally:
            connection.close()

    threads = [threading.Thread(target=taker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_it_is_not_taken_in_a_transaction():
    with pytest.raises(RuntimeError), transaction.atomic():
        lease.take("send:1", 60)
