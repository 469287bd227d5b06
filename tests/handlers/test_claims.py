"""Claims: compare-and-set, fences, leases, one result a token (design §2 rules 3 and 5)."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction

from handlers import claims, sweeper
from handlers.claims import Settlement
from handlers.models import Attempt, Invocation, InvocationResult
from portals.clock import db_now
from portals.models import Portal
from robots.models import RobotVersion
from tests.handlers.calls import post

pytestmark = pytest.mark.django_db(transaction=True)

DUE = "state = 'received' ORDER BY id"


@pytest.fixture
def row(portal: Portal, version: RobotVersion) -> Invocation:
    post(portal, version=version.pk)
    return Invocation.objects.get()


def expire() -> None:
    Invocation.objects.update(lease_until=db_now() - dt.timedelta(seconds=1))


def test_a_row_is_claimed_once(portal: Portal, version: RobotVersion) -> None:
    for _ in range(30):
        post(portal, version=version.pk)
    claimed: list[int] = []

    def take() -> None:
        claimed.extend(claim.id for claim in claims.claim(DUE, [], "computing", 10))
        connections.close_all()

    threads = [threading.Thread(target=take) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed))
    assert Invocation.objects.filter(state="computing").count() == len(claimed)


def test_a_claim_names_its_owner_and_raises_the_fence(row: Invocation) -> None:
    (claim,) = claims.claim(DUE, [], "computing", 1)
    row.refresh_from_db()
    assert claim.fence == row.fence == 1
    assert row.owner and row.lease_until is not None


def test_an_overtaken_owner_writes_nothing(row: Invocation) -> None:
    (first,) = claims.claim(DUE, [], "computing", 1)
    expire()
    sweeper.sweep()
    (second,) = claims.claim(DUE, [], "computing", 1)
    late = Settlement(first.id, first.fence, "computing", "ready", result='{"values": {"a": 1}, "log": null}')
    assert claims.settle([late]) == set()
    assert claims.start(first) is False
    mine = Settlement(
        second.id, second.fence, "computing", "ready", result='{"values": {"a": 2}, "log": null}'
    )
    assert claims.settle([mine]) == {row.pk}
    assert '"a": 2' in InvocationResult.objects.get().result


def test_a_result_is_stored_once_and_for_ever(row: Invocation) -> None:
    (first,) = claims.claim(DUE, [], "computing", 1)
    claims.settle([Settlement(first.id, first.fence, "computing", "received", result="first")])
    (second,) = claims.claim(DUE, [], "computing", 1)
    claims.settle([Settlement(second.id, second.fence, "computing", "ready", result="second")])
    assert InvocationResult.objects.get().result == "first"


def test_many_settlements_are_one_transaction(portal: Portal, version: RobotVersion) -> None:
    for _ in range(3):
        post(portal, version=version.pk)
    claimed = claims.claim(DUE, [], "computing", 3)
    wrong = Settlement(claimed[2].id, claimed[2].fence, "computing", "nowhere")
    good = [Settlement(c.id, c.fence, "computing", "ready", result="x") for c in claimed[:2]]
    with pytest.raises(IntegrityError):
        claims.settle([*good, wrong])
    assert Invocation.objects.filter(state="computing").count() == 3
    assert not InvocationResult.objects.exists()


def test_a_renewed_lease_is_not_taken_up(row: Invocation) -> None:
    claimed = claims.claim(DUE, [], "computing", 1)
    expire()
    assert claims.renew(claimed) == 1
    sweeper.sweep()
    row.refresh_from_db()
    assert row.state == "computing"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks no rows")
def test_a_renewal_waits_for_no_row_that_is_just_settled(portal: Portal, version: RobotVersion) -> None:
    for _ in range(2):
        post(portal, version=version.pk)
    first, second = claims.claim(DUE, [], "computing", 2)
    renewed: list[int] = []

    def renew() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
        renewed.append(claims.renew([first, second]))
        connections.close_all()

    with transaction.atomic():
        claims.settle([Settlement(first.id, first.fence, "computing", "ready", result="x")])
        thread = threading.Thread(target=renew)
        thread.start()
        thread.join()
    assert renewed == [1]
    assert Invocation.objects.get(pk=first.id).lease_until is None


def test_only_the_row_that_had_begun_is_charged(portal: Portal, version: RobotVersion) -> None:
    for _ in range(2):
        post(portal, version=version.pk)
    first, second = claims.claim(DUE, [], "computing", 2)
    claims.start(first)
    expire()
    sweeper.sweep()
    rows = {row.pk: row for row in Invocation.objects.all()}
    assert (rows[first.id].state, rows[first.id].tries) == ("received", 1)
    assert (rows[second.id].state, rows[second.id].tries) == ("received", 0)
    assert Attempt.objects.get().invocation_id == first.id


def test_a_call_that_kills_every_worker_ends_failed(row: Invocation) -> None:
    for _ in range(5):
        Invocation.objects.update(due_at=db_now())
        (claim,) = claims.claim(DUE, [], "computing", 1)
        claims.start(claim)
        expire()
        sweeper.sweep()
    row.refresh_from_db()
    assert (row.state, row.cause) == ("failed", "process_died")
    assert Attempt.objects.count() == 5


def test_a_lost_sender_sends_again(row: Invocation) -> None:
    (claim,) = claims.claim(DUE, [], "computing", 1)
    claims.settle([Settlement(claim.id, claim.fence, "computing", "ready", result="x")])
    claims.claim("state = 'ready' ORDER BY id", [], "sending", 1)
    expire()
    sweeper.sweep()
    row.refresh_from_db()
    assert (row.state, row.sends) == ("ready", 1)


@pytest.mark.contract("7.9")
def test_s7_what_was_to_be_ended_without_a_result_is_computed_where_its_portal_came_back(
    row: Invocation,
) -> None:
    """Whoever ended the calls of a portal that was gone died, and the portal was installed again."""
    due = row.due_at
    claims.claim(DUE, [], "sending", 1)
    expire()
    sweeper.sweep()
    row.refresh_from_db()
    assert (row.state, row.sends, row.confirmation, row.due_at) == ("received", 0, "", due)
    assert not Attempt.objects.exists()


def test_the_database_knows_states_and_causes(row: Invocation) -> None:
    for wrong in ({"state": "lost"}, {"cause": "because"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Invocation.objects.update(**wrong)


def test_times_are_the_databases(row: Invocation, settings: Any) -> None:
    settings.CLOCK_OFFSET_SECONDS = 3600
    (claim,) = claims.claim(DUE, [], "computing", 1)
    claims.settle([Settlement(claim.id, claim.fence, "computing", "ready", delay=10.0, result="x")])
    row.refresh_from_db()
    ahead = (row.due_at - dt.datetime.now(dt.UTC)).total_seconds()
    assert 3600 < ahead < 3600 + 60
