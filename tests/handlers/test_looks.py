"""What a look may conclude of odd answers, and how long it goes on (contract §7). No portal: its answers are given."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from b24app import alarm_causes
from handlers import claims, confirm, looks, waits
from handlers.models import Attempt, Confirmation, Invocation, Sending
from portals.clock import db_now
from portals.errors import UnknownAnswer
from portals.models import Portal
from tests.factories import InvocationFactory, PortalFactory

pytestmark = pytest.mark.django_db(transaction=True)

UNMOVED = "2020-01-01T00:00:00+00:00"
LONG_AGO = dt.timedelta(minutes=5)


@pytest.fixture
def portal() -> Portal:
    made: Portal = PortalFactory(instances=Portal.Instances.LIST)
    return made


def taken(portal: Portal, **fields: Any) -> Invocation:
    """A result that the portal took a moment ago; its look is due."""
    now = db_now()
    sending = Sending.objects.create(portal=portal, started_at=now, portal_time=now)
    known = {"sends": 1, "sent_at": now, "called_at": now - LONG_AGO, "workflow_id": "wf1", **fields}
    row: Invocation = InvocationFactory(
        portal=portal,
        state="delivered",
        confirmation=Confirmation.LOOK,
        confirm_at=now,
        sending=sending,
        **known,
    )
    return row


def look_at(
    portal: Portal, entries: Any, witness: Invocation | None = None, alone: Any = None
) -> confirm.Verdict:
    """The portal answers the look with `entries`, the one at a single process with `alone`; settled and learned."""
    portal.refresh_from_db()
    now = db_now()
    due = confirm.due(portal, now + dt.timedelta(seconds=1))
    look = looks.compose(portal, due, [witness] if witness else [], 2)
    answers = {key: alone if key == "alone" else entries for key in look.commands}
    verdict = confirm.read(portal, look, answers, {}, now, now)
    confirm.learn(portal, verdict)
    claims.settle(verdict.settlements)
    Attempt.objects.bulk_create(
        Attempt(invocation_id=note.invocation_id, step=note.step, at=now, code=note.code)
        for note in verdict.notes
    )
    return verdict


def process(name: str = "wf1", **fields: Any) -> dict[str, Any]:
    return {"ID": name, "MODIFIED": UNMOVED, "OWNED_UNTIL": None, **fields}


def sent_again(row: Invocation) -> None:
    """The portal takes it once more."""
    Invocation.objects.filter(pk=row.pk).update(
        state="delivered", confirmation=Confirmation.LOOK, confirm_at=db_now()
    )


@pytest.mark.contract("7.13")
@pytest.mark.parametrize("sends", [3, 8, 12])
def test_s7_a_result_lost_after_an_outages_many_sends_is_sent_again(portal: Portal, sends: int) -> None:
    row = taken(portal, sends=sends)
    look_at(portal, [process()])
    row.refresh_from_db()
    assert (row.state, [note.code for note in row.attempts.all()]) == ("ready", ["lost"])


@pytest.mark.contract("7.13")
def test_s7_a_process_that_stands_still_is_an_alarm_and_in_the_end_left_alone(portal: Portal) -> None:
    row = taken(portal)
    for _ in range(40):
        look_at(portal, [process()])
        row.refresh_from_db()
        if row.state == "ready":
            sent_again(row)
        else:
            assert row.confirmation == Confirmation.STUCK
            Invocation.objects.update(confirm_at=db_now())
    assert (row.state, row.confirmation) == ("delivered", Confirmation.STUCK)
    codes = [note.code for note in row.attempts.order_by("id")]
    assert codes[:3] == ["lost", "lost", "stuck"] and codes.count("lost") == 11


@pytest.mark.contract("7.13")
def test_s7_a_process_that_is_owned_for_ever_is_left_alone_in_the_end(portal: Portal) -> None:
    row = taken(portal)
    for _ in range(11):
        look_at(portal, [process(OWNED_UNTIL=(db_now() + dt.timedelta(seconds=5)).isoformat())])
        row.refresh_from_db()
        assert row.state == "ready"
        sent_again(row)
    look_at(portal, [process(OWNED_UNTIL=(db_now() + dt.timedelta(seconds=5)).isoformat())])
    row.refresh_from_db()
    assert (row.state, row.confirmation) == ("delivered", Confirmation.STUCK)
    assert row.confirm_at is not None and row.confirm_at > db_now() + dt.timedelta(hours=23)


@pytest.mark.contract("7.13")
@pytest.mark.parametrize("modified", [UNMOVED, "9999-12-31T23:59:59+00:00"])
def test_s7_owned_until_the_end_of_time_is_no_longer_than_a_lock(portal: Portal, modified: str) -> None:
    row = taken(portal)
    look_at(portal, [process(MODIFIED=modified, OWNED_UNTIL="9999-12-31T23:59:59-12:00")])
    row.refresh_from_db()
    due = row.due_at if row.state == "ready" else row.confirm_at
    assert due is not None and due <= db_now() + dt.timedelta(seconds=601)


def test_a_settlement_is_due_while_dates_can_be_read(portal: Portal) -> None:
    row = taken(portal)
    far = claims.Settlement(row.pk, row.fence, "delivered", "ready", delay=3e11, confirm_in=float("inf"))
    claims.settle([far])
    row.refresh_from_db()
    assert db_now() < row.due_at < db_now() + dt.timedelta(days=31)
    assert row.confirm_at is not None


@pytest.mark.contract("7.15")
@pytest.mark.parametrize("answer", [None, False, True, 5, "", "no"])
@pytest.mark.parametrize("instances", ["list", "single"])
def test_s7_an_answer_that_is_no_list_proves_nothing(portal: Portal, answer: Any, instances: str) -> None:
    Portal.objects.update(instances=instances)
    row = taken(portal)
    look_at(portal, answer)
    row.refresh_from_db()
    assert (row.confirmation, row.confirmed_at) == (Confirmation.LOOK, None)
    assert row.confirm_at is not None and row.confirm_at > db_now()


@pytest.mark.contract("7.15")
def test_s7_where_neither_a_list_nor_one_id_lists_what_waits_nobody_can_look(portal: Portal) -> None:
    Portal.objects.update(instances=Portal.Instances.UNKNOWN)
    row = taken(portal)
    waits = InvocationFactory(
        portal=portal, state="sending", workflow_id="wf2", called_at=db_now() - LONG_AGO
    )
    look_at(portal, [], witness=waits, alone=[])
    portal.refresh_from_db()
    row.refresh_from_db()
    assert portal.instances == Portal.Instances.ABSENT
    assert row.confirmed_at is None
    Invocation.objects.filter(pk=row.pk).update(confirm_at=db_now())
    look_at(portal, [])
    row.refresh_from_db()
    assert (row.confirmation, row.confirmed_at) == (Confirmation.REPEAT, None)


@pytest.mark.contract("7.15")
@pytest.mark.parametrize(
    ("listed", "alone", "instances"),
    [
        (["wf2"], ["wf2"], "list"),
        (["wf1"], ["wf2"], "single"),
        ([], ["wf2"], "single"),
        (["wf1", "wf2", "other"], ["wf2"], "single"),
        # What waited went on meanwhile: the others are listed.
        (["wf1"], [], "list"),
        # Neither filter is understood.
        (["wf1", "wf2", "other"], ["wf1", "wf2", "other"], "absent"),
    ],
)
def test_s7_how_processes_can_be_asked_for_is_proved_by_one_that_is_listed(
    portal: Portal, listed: list[str], alone: list[str], instances: str
) -> None:
    Portal.objects.update(instances=Portal.Instances.UNKNOWN)
    taken(portal)
    waits = InvocationFactory(
        portal=portal, state="sending", workflow_id="wf2", called_at=db_now() - LONG_AGO
    )
    look_at(portal, [process(n) for n in listed], witness=waits, alone=[process(n) for n in alone])
    portal.refresh_from_db()
    assert portal.instances == instances


@pytest.mark.contract("7.15")
def test_s7_a_list_that_turns_out_to_be_ignored_is_proved_anew(portal: Portal) -> None:
    row = taken(portal)
    look_at(portal, [process("other")])
    portal.refresh_from_db()
    row.refresh_from_db()
    assert (portal.instances, row.confirmed_at) == (Portal.Instances.UNKNOWN, None)


@pytest.mark.contract("7.16")
def test_s7_a_look_that_always_fails_ends_with_one_quiet_repeat(portal: Portal, settings: Any) -> None:
    row = taken(portal)
    asked = 0
    while asked < 30 and (due := confirm.due(portal, db_now())):
        asked += 1
        look = looks.compose(portal, due, [], 5)
        failed = {key: UnknownAnswer("INTERNAL_SERVER_ERROR") for key in look.commands}
        claims.settle(confirm.read(portal, look, {}, failed, db_now(), None).settlements)
        settings.CLOCK_OFFSET_SECONDS += 61
    row.refresh_from_db()
    assert (row.state, row.confirmation) == ("delivered", Confirmation.REPEAT)
    assert 5 <= asked <= 15


def test_the_alarm_of_a_process_that_a_person_ended_at_last_ends(settings):
    portal = PortalFactory(instances="list")
    row = taken(portal)
    for _ in range(22):
        settings.CLOCK_OFFSET_SECONDS += 90_000
        portal.refresh_from_db()
        assert confirm.due(portal, db_now())
        look_at(portal, [process(MODIFIED=(db_now() - dt.timedelta(days=900)).isoformat())])
        row.refresh_from_db()
        if row.state == "ready":
            sent_again(row)
    assert [c.kind for c in alarm_causes.stuck()] == ["stuck"]
    # now a person does what the alarm says and ends the process on the portal
    for _ in range(10):
        settings.CLOCK_OFFSET_SECONDS += 90_000
        portal.refresh_from_db()
        if confirm.due(portal, db_now()):
            look_at(portal, [])
    assert list(alarm_causes.stuck()) == []


def test_a_result_that_may_have_arrived_is_told_as_such_though_its_wait_is_over():
    portal = PortalFactory()
    row = InvocationFactory(
        portal=portal,
        state="ready",
        confirmation="maybe",
        sends=1,
        deadline=db_now() - dt.timedelta(seconds=1),
        stored__result='{"values":{},"log":null}',
    )
    waits.end_waits()
    row.refresh_from_db()
    assert row.confirmation == "maybe"
