"""After a restore no call is answered by itself that may have been answered since the backup (contract §7)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.core.management import call_command

from handlers import replay, replay_orders
from handlers.models import Attempt, Invocation, InvocationResult, ReplayOrder, Sending, State
from portals.clock import db_now
from portals.models import Portal
from robots.models import RobotVersion
from tests.factories import InvocationFactory
from tests.handlers.rig import Rig
from tests.handlers.test_way import arrived, finished

pytestmark = pytest.mark.django_db(transaction=True)
OWN = [
    *("state", "cause", "due_at", "fence", "tries", "sends", "sending_id", "started_at", "computed_at"),
    *("sent_at", "ended_at", "confirmation", "confirm_at", "lease_until", "owner"),
]


class Backup:
    """The rows of the log as they were when it was made."""

    def __init__(self) -> None:
        self.rows = list(Invocation.objects.values("came_id", *OWN))

    def restore(self) -> None:
        for model in (Attempt, InvocationResult, Sending):
            model.objects.all().delete()
        for row in self.rows:
            Invocation.objects.filter(pk=row["came_id"]).update(**{name: row[name] for name in OWN})
        call_command("backup_restored", verbosity=0)


@pytest.mark.contract("7.9")
@pytest.mark.parametrize("computing", [False, True])
def test_s7_a_call_under_way_at_the_backup_is_not_answered_again_by_itself(rig: Rig, computing: bool) -> None:
    rig.robot()
    number = rig.run()
    arrived()
    if computing:
        Invocation.objects.update(state=State.COMPUTING, lease_until=db_now() - dt.timedelta(seconds=1))
    backup = Backup()
    rig.work()
    finished(rig, number)
    backup.restore()
    # Computed now, it would be another result.
    Invocation.objects.update(
        version=rig.robot("other", compute={"type": "expression", "returns": {"total": "7"}})
    )
    rig.work()
    call = Invocation.objects.get()
    assert (call.state, call.cause) == ("failed", "restored")
    assert rig.stats()["doubled"] == 0
    rig.work()
    assert rig.stats()["doubled"] == 0


def test_a_person_who_has_looked_replays_what_still_waits(rig: Rig) -> None:
    rig.robot()
    number = rig.run()
    arrived()
    Backup().restore()
    replay.replay(Invocation.objects.get(), "anna", "the process waits")
    rig.work()
    assert finished(rig, number)["steps"][0]["values"] == {"total": "42"}


def test_what_can_send_no_other_result_goes_on(rig: Rig) -> None:
    rig.robot()
    rig.run(subscription="N")
    arrived()
    unawaited = Invocation.objects.get()
    Backup().restore()
    rig.work()
    unawaited.refresh_from_db()
    assert unawaited.state == State.NOT_AWAITED


def test_what_has_a_result_or_no_wait_any_more_is_left_as_it_is(
    portal: Portal, version: RobotVersion
) -> None:
    now = db_now()
    fields: dict[str, Any] = {"portal": portal, "version": version}
    ready = InvocationFactory(**fields, state=State.READY, stored__result="{}")
    late = InvocationFactory(**fields, deadline=now - dt.timedelta(seconds=1))
    soon = InvocationFactory(**fields, deadline=now + dt.timedelta(hours=1))
    call_command("backup_restored", verbosity=0)
    states = dict(Invocation.objects.values_list("pk", "state"))
    assert states == {ready.pk: "ready", late.pk: "received", soon.pk: "failed"}


def test_what_had_failed_before_says_that_it_may_have_been_decided_about_since(
    portal: Portal, version: RobotVersion
) -> None:
    fields: dict[str, Any] = {"portal": portal, "version": version, "state": State.FAILED, "cause": "memory"}
    failed = InvocationFactory(**fields)
    InvocationFactory(**fields, waits=False)
    InvocationFactory(**fields, stored__result="{}")
    InvocationFactory(**fields, followed_at=db_now())
    for _again in range(2):
        call_command("backup_restored", verbosity=0)
    assert list(Attempt.objects.values_list("invocation", "code")) == [(failed.pk, "restored")]


@pytest.mark.contract("7.9")
def test_s7_an_open_replay_of_many_does_not_do_again_what_it_did_after_the_backup(
    portal: Portal, version: RobotVersion
) -> None:
    failed = InvocationFactory(portal=portal, version=version, state=State.FAILED, cause="memory")
    calls = Invocation.objects.all()
    going, draft = (replay_orders.draft(ReplayOrder.Deed.REPLAY, calls, "anna") for _ in range(2))
    assert replay_orders.confirm(going, "mended")
    done = ReplayOrder.objects.create(
        deed=ReplayOrder.Deed.REPLAY, ordered_at=db_now(), confirmed_at=db_now(), ended_at=db_now()
    )
    call_command("backup_restored", verbosity=0)
    replay_orders.work()
    assert list(Invocation.objects.values_list("pk", "state")) == [(failed.pk, "failed")]
    ends = dict(ReplayOrder.objects.values_list("pk", "cancelled_by"))
    assert ends == {going.pk: "backup_restored", draft.pk: "backup_restored", done.pk: ""}
    assert not replay_orders.confirm(draft, "on a page left open"), "what ended is set going no more"
