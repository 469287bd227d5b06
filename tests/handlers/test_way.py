"""A call's way from the portal to the portal, against the sandbox (contract §6, §7)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from handlers import delivery, known, sweeper
from handlers.models import Attempt, Confirmation, Invocation, ReceivedCall, Sending
from portals import learn, transport
from portals.client import PortalClient
from portals.clock import db_now
from portals.models import Portal
from robots.models import OnFailure
from tests.handlers.rig import Rig
from tests.system.processes import until

pytestmark = pytest.mark.django_db(transaction=True)


def arrived(count: int = 1) -> None:
    until(lambda: Invocation.objects.count() >= count, "the calls are in", 20)


def finished(rig: Rig, number: Any) -> dict[str, Any]:
    """The process once it has gone on."""
    return until(lambda: (p := rig.process(number))["state"] == "finished" and p, "the process goes on", 10)


def later(seconds: float, settings: Any, rig: Rig) -> None:
    """Time goes by, for the hub and for the portal alike."""
    settings.CLOCK_OFFSET_SECONDS += seconds
    rig.control.post("clock", advance=seconds)


@pytest.fixture(autouse=True)
def clock(control: Any) -> Any:
    yield
    control.post("clock", offset=0)


@pytest.mark.contract("6.1", "7.1")
def test_s6_s7_a_call_is_computed_and_its_result_arrives(rig: Rig) -> None:
    rig.robot()
    number = rig.run()
    arrived()
    rig.work()
    row = Invocation.objects.get()
    assert (row.state, row.cause) == ("delivered", ""), list(row.attempts.values())
    assert float(finished(rig, number)["steps"][0]["values"]["total"]) == 42


@pytest.mark.contract("7.11", "7.15")
def test_s7_a_result_that_arrived_is_confirmed_by_a_look(rig: Rig, settings: Any) -> None:
    rig.robot()
    finished_number = rig.run()
    arrived()
    rig.work()
    finished(rig, finished_number)
    row = Invocation.objects.get()
    assert (row.confirmation, row.confirmed_at) == (Confirmation.LOOK, None)
    # The witness that went with the result proved that this portal takes a list of ids.
    assert Portal.objects.get().instances == Portal.Instances.LIST
    later(31, settings, rig)
    rig.work()
    row.refresh_from_db()
    assert row.confirmation == Confirmation.CONFIRMED and row.confirmed_at is not None
    assert row.sends == 1 and rig.stats()["sends"] == 1


@pytest.mark.contract("7.12")
def test_s7_not_listed_before_30_seconds_proves_nothing(rig: Rig, settings: Any) -> None:
    rig.robot()
    rig.run()
    arrived()
    rig.work()
    Invocation.objects.update(confirm_at=db_now())
    rig.work()
    assert Invocation.objects.get().confirmation == Confirmation.LOOK


@pytest.mark.contract("7.6", "7.13")
def test_s7_a_result_lost_to_an_unsaved_process_is_sent_again(
    make_rig: Callable[..., Rig], settings: Any
) -> None:
    rig = make_rig(save=20)
    rig.robot()
    number = rig.run()
    arrived()
    rig.work()
    assert Invocation.objects.get().state == "delivered"
    assert rig.stats()["sends_lost"] == 1
    later(31, settings, rig)
    rig.work()  # looks, and finds it standing where it was saved
    rig.work()
    finished(rig, number)
    later(31, settings, rig)
    rig.work()
    row = Invocation.objects.get()
    assert row.confirmation == Confirmation.CONFIRMED, row.__dict__
    assert rig.stats()["doubled"] == 0


@pytest.mark.contract("7.7", "7.13")
def test_s7_a_locked_process_gets_it_once_it_is_free(make_rig: Callable[..., Rig], settings: Any) -> None:
    rig = make_rig(save=0)
    rig.robot()
    number = rig.run(lock=200)
    arrived()
    rig.work()
    for _ in range(8):
        later(60, settings, rig)
        rig.work()
    finished(rig, number)
    row = Invocation.objects.get()
    assert row.confirmation == Confirmation.CONFIRMED, (row.__dict__, list(Attempt.objects.values()))
    assert rig.stats()["doubled"] == 0


@pytest.mark.contract("7.14")
def test_s7_a_process_that_went_on_to_its_next_step_gets_one_quiet_repeat(rig: Rig, settings: Any) -> None:
    rig.robot()
    rig.robot("elsewhere", handler="http://127.0.0.1:9/nobody/")
    steps = [
        {"client_id": rig.client_id, "code": code, "properties": {"amount": "1"}}
        for code in ("double", "elsewhere")
    ]
    number = rig.run(steps=steps)
    arrived()
    for _ in range(6):
        rig.work()
        later(31, settings, rig)
    first = Invocation.objects.get()
    assert first.confirmation == Confirmation.CONFIRMED, list(Attempt.objects.values())
    assert (first.sends, first.confirm_at) == (2, None)
    # It arrived at once: nothing is learned of the portal.
    assert Portal.objects.get().send_delay == 0
    assert rig.process(number)["state"] == "waiting"


@pytest.mark.contract("7.14")
def test_s7_a_portal_whose_processes_are_saved_late_is_sent_to_later(
    make_rig: Callable[..., Rig], settings: Any
) -> None:
    rig = make_rig(save=3)
    rig.robot()
    number = rig.run()
    arrived()
    rig.work()
    # What becomes of a result is decided right after the answer to it.
    until(lambda: rig.stats()["sends_lost"] == 1, "it came too early", 10)
    # To the look it moved, by being saved: the quiet repeat is what it goes on by.
    later(31, settings, rig)
    rig.work()
    finished(rig, number)
    row = Invocation.objects.get()
    assert (row.sends, row.confirmed_at is None) == (2, False)
    assert Portal.objects.get().send_delay == 0
    later(4, settings, rig)
    rig.work()
    assert Portal.objects.get().send_delay == 0.5
    assert Invocation.objects.get().confirm_at is None
    # The next one is not sent before.
    rig.run()
    arrived(2)
    rig.work()
    row = Invocation.objects.latest("id")
    assert (row.due_at - row.received_at).total_seconds() > 0.45


@pytest.mark.contract("7.16")
def test_s7_where_nobody_can_look_one_quiet_repeat_is_all(
    make_rig: Callable[..., Rig], settings: Any
) -> None:
    rig = make_rig(workflows=False)
    rig.robot()
    rig.run()
    arrived()
    rig.work()
    later(31, settings, rig)
    rig.work()
    assert Portal.objects.get().instances == Portal.Instances.ABSENT
    for _ in range(3):
        later(320, settings, rig)
        rig.work()
    row = Invocation.objects.get()
    assert (row.confirmation, row.sends, row.confirmed_at) == (Confirmation.UNOBSERVABLE, 2, None)


@pytest.mark.contract("7.15")
@pytest.mark.parametrize("filter_ids", ["all", "none", "one", "never"])
def test_s7_a_filter_that_is_not_understood_never_sends_for_ever(
    make_rig: Callable[..., Rig], settings: Any, filter_ids: str
) -> None:
    rig = make_rig(ids_filter=filter_ids)
    rig.robot()
    for _ in range(3):
        rig.run()
    arrived(3)
    rig.work()
    for _ in range(16):
        later(61, settings, rig)
        rig.work()
    assert not Invocation.objects.filter(confirm_at__isnull=False).exists(), list(
        Invocation.objects.values("confirmation", "sends", "confirm_at")
    )
    assert max(Invocation.objects.values_list("sends", flat=True)) <= 2
    assert rig.stats()["waiting"] == 0


@pytest.mark.contract("7.15")
def test_s7_a_lonely_lost_result_is_found_where_a_list_of_ids_is_not_understood(
    make_rig: Callable[..., Rig], settings: Any
) -> None:
    rig = make_rig(ids_filter="none", save=4)
    rig.robot()
    number = rig.run()
    arrived()
    rig.work()
    assert rig.process(number)["state"] != "finished"
    later(31, settings, rig)
    # The look finds it lost, and it is sent again at once.
    rig.work()
    rig.work()
    finished(rig, number)
    assert Portal.objects.get().instances == Portal.Instances.SINGLE


@pytest.mark.contract("7.6")
@pytest.mark.parametrize("text", [False, True])
def test_s7_at_once_an_early_404_passes(make_rig: Callable[..., Rig], settings: Any, text: bool) -> None:
    rig = make_rig(generation="at_once", save=4, error_404_as_text=text)
    rig.robot()
    number = rig.run()
    arrived()
    rig.work()
    assert Invocation.objects.get().state == "ready"
    later(5, settings, rig)
    rig.work()
    finished(rig, number)
    assert Invocation.objects.get().state == "delivered"
    assert Portal.objects.get().send_delay > 0


@pytest.mark.contract("7.5")
def test_s7_at_once_a_late_404_is_the_end(make_rig: Callable[..., Rig], settings: Any) -> None:
    rig = make_rig(generation="at_once")
    rig.robot()
    number = rig.run()
    arrived()
    rig.control.post(f"portals/{rig.name}/processes/{number}/terminate")
    later(31, settings, rig)
    rig.work()
    row = Invocation.objects.get()
    assert (row.state, row.cause) == ("refused", "process_gone")
    assert row.attempts.get().code == "404"


@pytest.mark.contract("7.5")
def test_s7_at_once_a_404_after_a_lost_answer_is_no_refusal(
    make_rig: Callable[..., Rig], settings: Any
) -> None:
    rig = make_rig(generation="at_once")
    rig.robot()
    fault = {"kind": "drop_after", "methods": ["batch"], "count": 1}
    rig.control.post(f"portals/{rig.name}/faults", **fault)
    number = rig.run()
    arrived()
    rig.work()
    row = Invocation.objects.get()
    assert (row.state, row.confirmation) == ("ready", Confirmation.MAYBE)
    finished(rig, number)
    # Until thirty seconds have passed a 404 may mean that the process is not saved yet.
    later(10, settings, rig)
    rig.work()
    assert Invocation.objects.get().state == "ready"
    later(31, settings, rig)
    rig.work()
    row = Invocation.objects.get()
    assert (row.state, row.cause, row.confirmation) == ("delivered", "", Confirmation.MAYBE)
    assert row.confirmed_at is None and row.confirm_at is None


def clock_behind(make_rig: Callable[..., Rig], seconds: float, **more: Any) -> Rig:
    """A portal whose clock is behind ours, as one answer has told."""
    rig = make_rig(**more)
    rig.control.post("clock", offset=-seconds)
    PortalClient(Portal.objects.get()).call("app.info")
    assert abs(Portal.objects.get().clock_ahead + seconds) <= 2
    known.read_states()
    rig.robot()
    return rig


@pytest.mark.contract("7.6")
def test_s7_an_early_404_passes_on_a_portal_whose_clock_is_behind(
    make_rig: Callable[..., Rig], settings: Any
) -> None:
    rig = clock_behind(make_rig, 45, generation="at_once", save=4)
    number = rig.run()
    arrived()
    rig.work()
    assert Invocation.objects.get().state == "ready"
    later(5, settings, rig)
    rig.work()
    finished(rig, number)
    assert Invocation.objects.get().state == "delivered"


@pytest.mark.contract("7.12")
def test_s7_not_listed_proves_nothing_early_on_a_portal_whose_clock_is_behind(
    make_rig: Callable[..., Rig], settings: Any
) -> None:
    rig = clock_behind(make_rig, 45, save=12)
    Portal.objects.update(instances=Portal.Instances.LIST)
    number = rig.run()
    arrived()
    rig.work()
    later(5, settings, rig)
    rig.work()
    assert Invocation.objects.get().confirmation == Confirmation.LOOK
    for _ in range(4):
        later(31, settings, rig)
        rig.work()
    finished(rig, number)
    assert Invocation.objects.get().confirmation == Confirmation.CONFIRMED


@pytest.mark.contract("6.15")
def test_s6_a_wait_ends_by_our_clock_on_a_portal_whose_clock_is_behind(make_rig: Callable[..., Rig]) -> None:
    rig = clock_behind(make_rig, 45)
    number = rig.run(timeout=40)
    arrived()
    rig.work()
    finished(rig, number)
    row = Invocation.objects.get()
    assert row.state == "delivered" and abs((row.called_at - row.received_at).total_seconds()) <= 3


def test_a_slow_answer_teaches_nothing_of_the_clock(rig: Rig) -> None:
    portal = Portal.objects.get()
    now = db_now()
    learn.clock(portal, now - dt.timedelta(seconds=20), 20.0)
    assert Portal.objects.get().clock_ahead == 0.0
    learn.clock(portal, now - dt.timedelta(seconds=20), 1.0)
    assert -20 <= Portal.objects.get().clock_ahead <= -18
    learn.clock(portal, now + dt.timedelta(days=400_000), 1.0)
    assert Portal.objects.get().clock_ahead < 0


@pytest.mark.contract("7.7")
def test_s7_at_once_423_is_tried_until_it_is_free(make_rig: Callable[..., Rig], settings: Any) -> None:
    rig = make_rig(generation="at_once")
    rig.robot()
    number = rig.run(lock=100)
    arrived()
    for _ in range(8):
        rig.work()
        later(30, settings, rig)
    finished(rig, number)
    assert {a.code for a in Attempt.objects.all()} == {"423"}


@pytest.mark.contract("7.8")
@pytest.mark.parametrize(
    ("error", "state", "cause"), [("499", "refused", "process_gone"), ("402", "ready", "")]
)
def test_s7_at_once_499_ends_and_402_is_the_portals_trouble(
    make_rig: Callable[..., Rig], error: str, state: str, cause: str
) -> None:
    rig = make_rig(generation="at_once")
    rig.robot()
    fault = {"kind": "error", "level": "command", "methods": ["bizproc.event.send"], "error": error}
    rig.control.post(f"portals/{rig.name}/faults", **fault)
    rig.run()
    arrived()
    rig.work()
    row = Invocation.objects.get()
    assert (row.state, row.cause) == (state, cause), list(row.attempts.values())
    if error == "402":
        assert Portal.objects.get().trouble == Portal.Trouble.LICENCE


@pytest.mark.contract("7.3")
def test_s7_a_wrong_signature_is_final(rig: Rig) -> None:
    from portals.crypto import encrypt

    rig.robot()
    rig.run()
    arrived()
    ReceivedCall.objects.update(event_token=encrypt(b"forged|A1|0000"))
    rig.work()
    row = Invocation.objects.get()
    assert (row.state, row.cause) == ("refused", "token_refused")
    assert Portal.objects.get().trouble == ""


@pytest.mark.contract("4.16")
def test_s4_a_lapsed_plan_is_the_portals_trouble_and_keeps_what_waits(rig: Rig, settings: Any) -> None:
    rig.robot()
    number = rig.run()
    arrived()
    rig.control.portal(rig.name, commercial=False)
    rig.work()
    assert Invocation.objects.get().state == "ready"
    assert Portal.objects.get().trouble == Portal.Trouble.PLAN_LAPSED
    rig.control.portal(rig.name, commercial=True)
    rig.work()
    assert Invocation.objects.get().state == "ready", "asked again once a minute only"
    later(61, settings, rig)
    rig.work()
    finished(rig, number)


@pytest.mark.contract("4.17")
@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "503", "500", "html"])
def test_s4_what_passes_is_sent_again_and_arrives_once(rig: Rig, settings: Any, kind: str) -> None:
    rig.robot()
    rig.control.post(f"portals/{rig.name}/faults", kind=kind, count=2, methods=["batch"])
    number = rig.run()
    arrived()
    for _ in range(6):
        rig.work()
        later(20, settings, rig)
    finished(rig, number)
    assert Invocation.objects.get().state == "delivered"
    assert rig.stats()["doubled"] == 0
    assert Sending.objects.exclude(outcome="answered").count() >= 2


@pytest.mark.contract("4.12")
def test_s4_a_value_that_reads_like_a_reference_arrives_untouched(rig: Rig) -> None:
    text = {"Name": {"en": "T"}, "Type": "string", "Required": "N", "Multiple": "N"}
    payload = {"CODE": "echo", "USE_SUBSCRIPTION": "Y", "NAME": {"en": "E"}, "PROPERTIES": {"a": text},
               "RETURN_PROPERTIES": {"b": text}}  # fmt: skip
    rig.robot("echo", payload=payload, compute={"type": "expression", "returns": {"b": "a"}})
    for value in ("$result[r1]", "plain"):
        rig.run("echo", properties={"a": value})
    arrived(2)
    rig.work()
    until(lambda: rig.stats()["waiting"] == 0, "both went on", 10)
    sent = {finished(rig, n)["steps"][0]["values"]["b"] for n in _numbers(rig)}
    assert sent == {"$result[r1]", "plain"}


def _numbers(rig: Rig) -> list[Any]:
    return [p["id"] for p in rig.control.get(f"portals/{rig.name}/processes")["items"]]


@pytest.mark.contract("9.1", "9.2")
def test_s9_a_burst_goes_in_batches_of_fifty(rig: Rig) -> None:
    rig.robot()
    burst = {"client_id": rig.client_id, "code": "double", "properties": {"amount": "1"}}
    # Not faster than the test's own server can listen.
    rig.control.post(f"portals/{rig.name}/burst", count=120, per_second=80, **burst)
    arrived(120)
    rig.work()
    until(lambda: rig.stats()["waiting"] == 0, "all went on", 20)
    stats = rig.stats()
    assert stats["distinct"] == 120 and stats["doubled"] == 0 and stats["limit_503"] == 0
    assert Sending.objects.count() <= 4
    # A unit of computing ends after half a second: on a busy machine a few rows less than fifty are ready by then.
    assert 40 <= max(Sending.objects.values_list("results", flat=True)) <= 50


@pytest.mark.contract("7.19")
def test_s7_s6_a_robot_that_does_not_wait_is_sent_nothing(rig: Rig) -> None:
    rig.robot()
    rig.run(subscription="N")
    arrived()
    rig.work()
    row = Invocation.objects.get()
    assert row.state == "not_awaited" and json.loads(row.result)["values"]
    assert rig.stats()["sends"] == 0


@pytest.mark.contract("7.20")
def test_s7_s6_after_its_deadline_nothing_is_sent(rig: Rig, settings: Any) -> None:
    rig.robot()
    number = rig.run(timeout=60)
    arrived()
    later(61, settings, rig)
    rig.work()
    row = Invocation.objects.get()
    assert (row.state, row.cause) == ("expired", "wait_over")
    assert rig.stats()["sends"] == 0
    assert rig.process(number)["state"] != "waiting"


def test_an_error_of_the_robot_is_failed_and_released_where_it_says_so(rig: Rig) -> None:
    broken = {"type": "expression", "returns": {"total": "1 / (amount - amount)"}}
    rig.robot("held", compute=broken)
    rig.robot("let_go", compute=broken, on_failure=OnFailure.RELEASE)
    held, let_go = rig.run("held"), rig.run("let_go")
    arrived(2)
    rig.work()
    finished(rig, let_go)
    assert rig.process(held)["state"] == "waiting"
    rows = {row.robot_code: row for row in Invocation.objects.all()}
    assert (rows["held"].state, rows["held"].cause) == ("failed", "robot_error")
    assert (rows["let_go"].state, rows["let_go"].cause) == ("delivered", "robot_error")
    assert rows["let_go"].released_at is not None


def test_no_transaction_is_open_while_the_portal_is_spoken_to(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    post = transport.post

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append(connection.in_atomic_block)
        return post(*args, **kwargs)

    monkeypatch.setattr(transport, "post", watched)
    rig.robot()
    rig.run()
    arrived()
    rig.work()
    assert seen and not any(seen)


def test_the_result_is_stored_before_it_is_sent(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[str] = []
    post = transport.post

    def watched(*args: Any, **kwargs: Any) -> Any:
        row = Invocation.objects.select_related("stored", "sending").first()
        if row is not None and row.state == "sending":
            stored.append(row.result)
            assert row.sending is not None and row.sending.outcome == "open"
        return post(*args, **kwargs)

    rig.robot()
    rig.run()
    arrived()
    monkeypatch.setattr(transport, "post", watched)
    rig.work()
    assert stored and json.loads(stored[0])["values"]


def test_a_paused_portal_takes_calls_and_is_sent_nothing(rig: Rig) -> None:
    rig.robot()
    Portal.objects.update(paused_at=db_now())
    number = rig.run()
    arrived()
    rig.work()
    assert Invocation.objects.get().state == "ready" and rig.stats()["sends"] == 0
    Portal.objects.update(paused_at=None)
    delivery.work()
    finished(rig, number)


@pytest.mark.contract("7.10")
def test_s7_results_of_one_account_never_travel_in_two_requests_at_once(rig: Rig) -> None:
    from portals import lease

    rig.robot()
    rig.run()
    arrived()
    other_sender = lease.take(f"send:{rig.member_id}", 30)
    assert other_sender is not None
    rig.work()
    assert Invocation.objects.get().state == "ready"
    other_sender.release()
    sweeper.sweep()
    delivery.work()
    assert Invocation.objects.get().state == "delivered"


def test_s4_a_call_of_its_own_has_a_refusing_portal_asked_within_seconds(rig: Rig, settings: Any) -> None:
    rig.robot()
    first = rig.run()
    arrived()
    rig.control.portal(rig.name, commercial=False)
    rig.work()
    assert Portal.objects.get().trouble == Portal.Trouble.PLAN_LAPSED
    rig.control.portal(rig.name, commercial=True)
    second = rig.run()
    arrived(2)
    rig.work()
    assert rig.stats()["waiting"] == 2, "asked a moment ago"
    later(6, settings, rig)
    rig.work()
    for number in (first, second):
        finished(rig, number)
