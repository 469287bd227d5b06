"""Replay and release: a token has one result for ever (design §2)."""

from __future__ import annotations

import datetime as dt
import json
import threading
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from handlers import attention, claims, replay
from handlers.claims import Settlement
from handlers.models import OPEN_STATES, Attempt, Invocation, InvocationResult, ReceivedCall, Sending, State
from portals.client import PortalClient
from portals.clock import db_now
from portals.models import Portal
from robots.models import RobotVersion
from tests.factories import InvocationFactory, RegistrationFactory, RobotFactory, RobotVersionFactory
from tests.handlers.rig import Rig
from tests.handlers.test_way import arrived, finished, later

pytestmark = pytest.mark.django_db(transaction=True)
AMOUNT = {"amount": {"Name": "Amount", "Type": "double"}}
BROKEN = {"type": "expression", "returns": {"total": "1 / (amount - amount)"}}


def failed_call(rig: Rig) -> tuple[Any, Invocation]:
    rig.robot("held", compute=BROKEN)
    number = rig.run("held")
    arrived()
    rig.work()
    return number, Invocation.objects.get(state="failed")


def facts(call: Invocation) -> dict[str, Any]:
    """All that a run's row says, but that a later run follows it."""
    row = Invocation.objects.filter(pk=call.pk).values().get()
    return {name: value for name, value in row.items() if name not in ("followed_at", "fence")}


def test_a_replay_of_a_failed_call_computes_anew_and_the_former_run_stays(rig: Rig) -> None:
    number, failed = failed_call(rig)
    # As after a push of a mended version: a version is frozen, so this run names another.
    mended = rig.robot("mended")
    Invocation.objects.filter(pk=failed.pk).update(version=mended)
    failed.refresh_from_db()
    before = facts(failed)
    again = replay.replay(failed, "anna", "the robot is mended")
    rig.work()
    finished(rig, number)
    again.refresh_from_db()
    assert (again.run, again.state) == (2, "delivered")
    assert facts(failed) == before
    note = Attempt.objects.get(invocation=again, step="person")
    assert (note.code, note.actor, note.text) == ("replay", "anna", "the robot is mended")


def unknown_call(rig: Rig) -> tuple[Any, Invocation]:
    """A call of a code that nobody published here, as after a loss of the catalog."""
    payload = {"CODE": "later", "NAME": "Later", "USE_SUBSCRIPTION": "Y", "PROPERTIES": AMOUNT}
    payload["RETURN_PROPERTIES"] = {"total": {"Name": "Total", "Type": "double"}}
    handler = f"{rig.hub_url}/b24/{rig.application.slug}/handler/"
    PortalClient(rig.portal).call("bizproc.robot.add", {**payload, "HANDLER": handler})
    number = rig.run("later")
    arrived()
    return number, Invocation.objects.get(cause="code_unknown")


def test_a_call_of_an_unknown_code_is_replayed_once_the_robot_is_published(rig: Rig) -> None:
    number, failed = unknown_call(rig)
    assert failed.version is None
    with pytest.raises(replay.CannotReplay, match="No robot with this code is published"):
        replay.replay(failed, "anna", "too early")
    version = RobotVersionFactory(robot=RobotFactory(application=rig.application, code="later"))
    again = replay.replay(failed, "anna", "published")
    assert again.version == version
    rig.work()
    finished(rig, number)
    again.refresh_from_db()
    assert (again.run, again.state) == (2, "delivered")
    failed.refresh_from_db()
    assert failed.version is None


def test_an_unknown_code_is_replayed_by_the_version_pushed_there_not_by_another_applications(
    rig: Rig,
) -> None:
    _number, failed = unknown_call(rig)
    RobotVersionFactory(robot=RobotFactory(code="later"))
    with pytest.raises(replay.CannotReplay):
        replay.replay(failed, "anna", "another application's")
    robot = RobotFactory(application=rig.application, code="later")
    pushed = RobotVersionFactory(robot=robot)
    latest = RobotVersionFactory(robot=robot)
    assert replay.version_sought(failed) == latest.pk
    RegistrationFactory(robot=robot, portal=rig.portal, wanted_version=latest, pushed_version=pushed)
    assert replay.replay(failed, "anna", "").version == pushed


@pytest.mark.contract("7.9")
def test_s7_a_replay_sends_the_stored_result_again_never_another(rig: Rig) -> None:
    rig.robot()
    rig.run()
    arrived()
    rig.work()
    first = Invocation.objects.get()
    again = replay.replay(first, "anna", "the client says it did not arrive")
    assert again.state == State.READY
    rig.work()
    bodies = list(InvocationResult.objects.order_by("pk").values_list("result", flat=True))
    assert bodies[0] == bodies[1]
    assert rig.stats()["doubled"] == 0


@pytest.mark.contract("7.9")
def test_s7_a_run_whose_call_was_run_again_is_not_released_beside_it(rig: Rig) -> None:
    number, failed = failed_call(rig)
    stale = Invocation.objects.get(pk=failed.pk)
    Invocation.objects.filter(pk=failed.pk).update(version=rig.robot("mended"))
    failed.refresh_from_db()
    replay.replay(failed, "anna", "mended")
    failed.refresh_from_db()
    with pytest.raises(replay.CannotReplay, match="run again"):
        replay.release(failed, "boris", "goes on without")
    with pytest.raises(replay.CannotReplay, match="changed meanwhile"):
        replay.release(stale, "boris", "goes on without")
    rig.work()
    assert finished(rig, number)["steps"][0]["values"] == {"total": "42"}
    assert rig.stats()["doubled"] == 0
    assert InvocationResult.objects.count() == 1


def test_the_database_lets_no_followed_run_be_under_way_again(rig: Rig) -> None:
    _number, failed = failed_call(rig)
    replay.replay(failed, "anna", "")
    with pytest.raises(IntegrityError, match="invocation_followed_is_over"), transaction.atomic():
        Invocation.objects.filter(pk=failed.pk).update(state=State.READY)


def test_of_a_release_and_replays_at_the_same_moment_one_is_done(
    portal: Portal, version: RobotVersion
) -> None:
    deeds = [replay.release, replay.replay, replay.release, replay.replay]
    for _round in range(8):
        call = InvocationFactory(portal=portal, version=version, state=State.FAILED, cause="robot_error")
        read = [Invocation.whole.get(pk=call.pk) for _deed in deeds]
        together = threading.Barrier(len(deeds))
        done: list[str] = []

        def act(deed: Any, row: Invocation, together: Any = together, done: list[str] = done) -> None:
            together.wait()
            try:
                deed(row, "anna", "")
                done.append(deed.__name__)
            except replay.CannotReplay:
                pass
            finally:
                connections.close_all()

        threads = [threading.Thread(target=act, args=pair) for pair in zip(deeds, read, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == 1
        runs = Invocation.objects.filter(token_hash=call.token_hash)
        assert runs.filter(state__in=OPEN_STATES).count() == 1


def test_the_arrival_of_a_result_sent_again_is_the_later_runs_to_find_out(rig: Rig) -> None:
    rig.robot()
    rig.run()
    arrived()
    rig.work()
    first = Invocation.objects.get()
    assert first.confirm_at is not None
    again = replay.replay(first, "anna", "")
    # Whoever looks just then writes nothing.
    late = Settlement(first.pk, first.fence, "delivered", "ready", confirmation="look")
    assert claims.settle([late]) == set()
    rig.work()
    again.refresh_from_db()
    first.refresh_from_db()
    assert (first.state, first.confirm_at, again.confirm_at is not None) == ("delivered", None, True)


def test_an_open_call_is_not_replayed(rig: Rig) -> None:
    rig.robot()
    rig.run()
    arrived()
    with pytest.raises(replay.CannotReplay):
        replay.replay(Invocation.objects.get(), "anna", "")


def test_past_its_deadline_a_call_is_not_replayed(rig: Rig, settings: Any) -> None:
    rig.robot("held", compute=BROKEN)
    rig.run("held", timeout=60)
    arrived()
    rig.work()
    later(61, settings, rig)
    with pytest.raises(replay.CannotReplay):
        replay.replay(Invocation.objects.get(), "anna", "")
    rig.control.post("clock", offset=0)


def test_a_released_process_goes_on_with_nothing_and_nothing_else_is_ever_sent(rig: Rig) -> None:
    number, failed = failed_call(rig)
    released = replay.release(failed, "anna", "goes on without")
    assert released.state == State.READY and released.cause == "robot_error"
    rig.work()
    step = finished(rig, number)["steps"][0]
    assert not step["values"] and step["results"][0]["log"] == "goes on without"
    released.refresh_from_db()
    assert released.state == "delivered" and released.released_at is not None
    assert json.loads(released.result) == {"values": {}, "log": "goes on without"}
    again = replay.replay(released, "anna", "by mistake")
    assert again.result == released.result


def test_what_does_not_wait_is_neither_released_nor_sent_again(rig: Rig) -> None:
    rig.robot()
    rig.run(subscription="N")
    arrived()
    rig.work()
    row = Invocation.objects.get()
    with pytest.raises(replay.CannotReplay):
        replay.release(row, "anna", "")
    with pytest.raises(replay.CannotReplay):
        replay.replay(row, "anna", "")


@pytest.mark.parametrize("subscription", ["N", "Y"])
def test_what_failed_is_acknowledged_and_asks_for_nobody_any_more(rig: Rig, subscription: str) -> None:
    rig.robot("held", compute=BROKEN)
    rig.run("held", subscription=subscription)
    arrived()
    rig.work()
    call = Invocation.objects.get()
    assert list(attention.failed()) == [call]
    replay.acknowledge(call, "anna", "the robot is mended for the calls to come")
    assert (call.state, call.acknowledged_at is not None) == ("failed", True)
    assert not attention.failed().exists()
    note = Attempt.objects.get(step="person")
    assert (note.code, note.actor, note.text) == (
        "acknowledge",
        "anna",
        "the robot is mended for the calls to come",
    )
    with pytest.raises(replay.CannotReplay, match="asks for nobody"):
        replay.acknowledge(call, "boris", "")
    rig.work()
    assert not Sending.objects.exists()


def test_an_acknowledged_call_may_be_released_and_is_news_again_where_that_fails(rig: Rig) -> None:
    number, failed = failed_call(rig)
    replay.acknowledge(failed, "anna", "later")
    released = replay.release(failed, "anna", "now")
    assert released.acknowledged_at is None
    rig.work()
    finished(rig, number)


def test_only_what_asks_for_a_person_is_acknowledged(portal: Portal, version: RobotVersion) -> None:
    fields: dict[str, Any] = {"portal": portal, "version": version}
    stuck = InvocationFactory(**fields, state=State.DELIVERED, confirmation="stuck")
    assert list(attention.stuck()) == [stuck]
    replay.acknowledge(stuck, "anna", "ended there by hand")
    assert not attention.stuck().exists()
    for others in ({"state": State.DELIVERED}, {}, {"state": State.FAILED, "followed_at": db_now()}):
        with pytest.raises(replay.CannotReplay, match="asks for nobody"):
            replay.acknowledge(InvocationFactory(**fields, **others), "anna", "")


def test_past_its_deadline_a_call_is_not_released_but_acknowledged(
    portal: Portal, version: RobotVersion
) -> None:
    past = db_now() - dt.timedelta(seconds=1)
    late = InvocationFactory(
        portal=portal, version=version, state=State.FAILED, cause="memory", deadline=past
    )
    with pytest.raises(replay.CannotReplay, match="stopped waiting"):
        replay.release(late, "anna", "")
    replay.acknowledge(late, "anna", "seen")
    assert not attention.failed().exists()


def test_purge_forgets_what_has_ended_and_keeps_what_is_owed(rig: Rig) -> None:
    rig.robot()
    for _ in range(3):
        rig.run()
    arrived(3)
    rig.work()
    done, owed, _young = Invocation.objects.order_by("id")
    Invocation.objects.filter(pk=done.pk).update(confirm_at=None, confirmation="confirmed")
    Invocation.objects.filter(pk__in=[done.pk, owed.pk]).update(received_at="2020-01-01T00:00:00+00:00")
    call_command("purge_invocations", "--days", "30", verbosity=0)
    assert set(Invocation.objects.values_list("pk", flat=True)) == {owed.pk, _young.pk}
    assert set(ReceivedCall.objects.values_list("pk", flat=True)) == {owed.pk, _young.pk}
    assert not InvocationResult.objects.filter(pk=done.pk).exists()


def test_purge_keeps_a_sending_as_long_as_a_call_of_it(rig: Rig) -> None:
    rig.robot()
    rig.run()
    arrived()
    rig.work()
    owed = Invocation.objects.get()
    assert owed.sending is not None and owed.confirm_at is not None
    Invocation.objects.update(received_at="2020-01-01T00:00:00+00:00")
    Sending.objects.update(started_at="2020-01-01T00:00:01+00:00")
    gone = Sending.objects.create(portal=owed.portal, started_at="2019-12-31T23:59:59+00:00")
    with CaptureQueriesContext(connection) as asked:
        call_command("purge_invocations", "--days", "30", verbosity=0)
    assert list(Sending.objects.values_list("pk", flat=True)) == [owed.sending_id] != [gone.pk]
    # Whose calls they were is not looked for: without an index each sending would cost a reading of the whole log.
    of_calls = [each["sql"] for each in asked if "handlers_attempt" not in each["sql"]]
    by_sending = [sql for sql in of_calls if '"sending_id" IN' in sql or '"sending_id" =' in sql]
    assert not by_sending
