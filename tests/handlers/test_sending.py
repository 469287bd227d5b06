"""What goes in one request, and what the portal's answer makes of each row, against the sandbox (contract §4, §7)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from handlers import compute, sending, settle, timeline
from handlers.claims import Claim
from handlers.models import Attempt, Invocation, InvocationResult, ReceivedCall, Sending
from handlers.outgoing import Outgoing
from handlers.sending import send_one
from handlers.settle import SENDS_MAX
from portals import lease
from portals.client import PortalClient
from portals.clock import db_now
from portals.errors import UnknownAnswer
from portals.models import Bucket, Portal
from tests.handlers.rig import Rig
from tests.handlers.test_way import arrived, finished, later
from tests.system.processes import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def clock(control: Any) -> Any:
    yield
    control.post("clock", offset=0)


def computed(rig: Rig, lines: str = "") -> None:
    """Everything that arrived is computed and waits, `lines` (JSON) beside each result."""
    Portal.objects.update(paused_at=db_now())
    compute.work()
    InvocationResult.objects.update(lines=lines)
    Portal.objects.update(paused_at=None)


def one_request(rig: Rig, calm: bool = False) -> bool:
    held = lease.take(f"send:{rig.member_id}", 30)
    assert held is not None
    try:
        return send_one(Portal.objects.get(), held, calm)
    finally:
        held.release()


def test_the_nearest_deadline_goes_first_though_it_came_last(rig: Rig) -> None:
    """A result with a line of its log is two commands: half of what is claimed goes back, never the urgent ones."""
    rig.robot()
    burst = {"client_id": rig.client_id, "code": "double", "properties": {"amount": "1"}, "timeout": 86_400}
    rig.control.post(f"portals/{rig.name}/burst", count=55, per_second=40, **burst)
    arrived(55)
    urgent = [rig.run(timeout=60) for _ in range(2)]
    arrived(57)
    while Invocation.objects.filter(state="received").exists():
        computed(rig, '["a line"]')
    assert one_request(rig)
    rows = list(Invocation.objects.order_by("id"))
    assert [row.state for row in rows[-2:]] == ["delivered", "delivered"]
    assert 20 <= Sending.objects.get().results <= 25
    for number in urgent:
        finished(rig, number)


@pytest.mark.contract("7.16")
def test_s7_a_refused_repeat_says_nothing_of_the_arrival(make_rig: Callable[..., Rig], settings: Any) -> None:
    """Nobody can look, the first send was lost to a lock, and the repeat is refused for a reason nobody knows."""
    rig = make_rig(workflows=False)
    Portal.objects.update(instances=Portal.Instances.ABSENT)
    rig.robot()
    number = rig.run()
    arrived()
    until(lambda: rig.process(number)["state"] == "waiting", "it is saved", 10)
    rig.control.post(f"portals/{rig.name}/processes/{number}/lock", seconds=200)
    rig.work()
    row = Invocation.objects.get()
    assert (row.state, row.confirmation, row.sends) == ("delivered", "repeat", 1)
    assert rig.stats()["sends_lost"] == 1
    fault = {"kind": "error", "level": "command", "error": "ERROR_CORE", "methods": ["bizproc.event.send"]}
    rig.control.post(f"portals/{rig.name}/faults", count=1, **fault)
    later(312, settings, rig)
    rig.work()
    row.refresh_from_db()
    assert (row.state, row.confirmation, row.sends) == ("delivered", "repeat", 2)
    assert row.confirmed_at is None and row.attempts.get().code == "ERROR_CORE"
    later(60, settings, rig)
    rig.work()
    finished(rig, number)
    row.refresh_from_db()
    assert (row.state, row.confirmation, row.sends) == ("delivered", "unobservable", 3)


@pytest.mark.contract("7.16")
def test_s7_a_repeat_that_is_always_refused_is_a_persons_to_look_at(
    make_rig: Callable[..., Rig], settings: Any
) -> None:
    rig = make_rig(workflows=False)
    Portal.objects.update(instances=Portal.Instances.ABSENT)
    rig.robot()
    rig.run()
    arrived()
    rig.work()
    fault = {"kind": "error", "level": "command", "error": "ERROR_CORE", "methods": ["bizproc.event.send"]}
    rig.control.post(f"portals/{rig.name}/faults", **fault)
    for _ in range(8):
        later(400, settings, rig)
        rig.work()
    row = Invocation.objects.get()
    assert (row.state, row.cause, row.sends) == ("failed", "send_refused", SENDS_MAX)
    assert row.confirmed_at is None


def test_s5_a_plan_without_automation_is_one_trouble_from_its_beginning(rig: Rig, settings: Any) -> None:
    """Else it would begin anew at each try, and no alarm would ever see it last."""
    rig.robot()
    rig.run()
    arrived()
    rig.control.portal(rig.name, workflows=False, automation=False)
    rig.work()
    began = Portal.objects.get().trouble_since
    assert began is not None
    for _ in range(9):
        later(90, settings, rig)
        rig.work()
    portal = Portal.objects.get()
    assert (portal.trouble, portal.trouble_since) == ("no_robots", began)
    row = Invocation.objects.get()
    assert (row.state, row.sends) == ("ready", 0)


def test_a_row_whose_event_token_no_key_opens_ends_alone(rig: Rig) -> None:
    rig.robot()
    numbers = [rig.run() for _ in range(6)]
    arrived(6)
    computed(rig)
    damaged = Invocation.objects.order_by("id")[2]
    ReceivedCall.objects.filter(pk=damaged.pk).update(event_token=b"damaged")
    rig.work()
    damaged.refresh_from_db()
    assert (damaged.state, damaged.cause, damaged.sends) == ("failed", "token_unreadable", 0)
    assert damaged.ended_at is not None
    assert "ENCRYPTION_KEYS" in timeline.what_to_do(damaged)
    (noted,) = damaged.attempts.all()
    assert (noted.step, noted.code) == ("send", "token_unreadable")
    assert set(Invocation.objects.exclude(pk=damaged.pk).values_list("state", "sends")) == {("delivered", 1)}
    until(lambda: sum(rig.process(n)["state"] == "finished" for n in numbers) == 5, "the others go on", 10)


@pytest.mark.parametrize("stored", ["", "{", "[1]", "5", '{"log": null}', '{"values": 5, "log": null}'])
def test_a_row_whose_stored_result_is_damaged_ends_alone(rig: Rig, stored: str) -> None:
    rig.robot()
    for _ in range(3):
        rig.run()
    arrived(3)
    computed(rig)
    damaged = Invocation.objects.order_by("id")[1]
    InvocationResult.objects.filter(pk=damaged.pk).update(result=stored)
    rig.work()
    damaged.refresh_from_db()
    assert (damaged.state, damaged.cause, damaged.sends) == ("failed", "data_unreadable", 0)
    assert [note.code for note in damaged.attempts.all()] == ["data_unreadable"]
    assert timeline.story(damaged, damaged.attempts.all())
    assert set(Invocation.objects.exclude(pk=damaged.pk).values_list("state", "sends")) == {("delivered", 1)}


@pytest.mark.contract("7.17")
def test_s7_all_lines_of_a_result_that_goes_alone_are_written_though_the_bucket_is_empty(rig: Rig) -> None:
    """A text that a batch would substitute: six requests of its own, and the bucket takes the first at once."""
    rig.robot()
    number = rig.run()
    arrived()
    lines = [f"line {place}" for place in range(5)]
    computed(rig, json.dumps(lines))
    InvocationResult.objects.update(result=json.dumps({"values": {"total": "42"}, "log": "see $result[a]"}))
    Bucket.objects.update(capacity=3, level=1, level_at=db_now(), rate=2)
    rig.work()
    told = [line["text"] for line in finished(rig, number)["log"]]
    assert [text for text in told if text.startswith("line")] == lines
    row = Invocation.objects.get()
    assert (row.state, row.sends) == ("delivered", 1) and not row.attempts.exists()


def test_a_line_that_is_put_off_puts_off_the_result(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_ALONE_PATIENCE", 0.0)
    rig.robot()
    number = rig.run()
    arrived()
    computed(rig, '["first", "second"]')
    InvocationResult.objects.update(result=json.dumps({"values": {"total": "42"}, "log": "see $result[a]"}))
    Bucket.objects.update(capacity=3, level=1, level_at=db_now(), rate=0.5)
    assert one_request(rig)
    row = Invocation.objects.get()
    assert (row.state, row.sends) == ("ready", 0)
    Bucket.objects.update(capacity=50, level=0, rate=2)
    Invocation.objects.update(due_at=db_now())
    rig.work()
    told = [line["text"] for line in finished(rig, number)["log"]]
    assert "second" in told


LICENCE = {"kind": "error", "level": "command", "error": "402", "methods": ["bizproc.event.send"]}


@pytest.mark.contract("7.8")
@pytest.mark.parametrize("log", ["", "see $result[a]"], ids=["in a batch", "alone"])
def test_s7_402_is_the_portals_trouble_though_a_line_of_the_log_passed(
    make_rig: Callable[..., Rig], settings: Any, log: str
) -> None:
    rig = make_rig(generation="at_once", save=0)
    rig.robot()
    rig.control.post(f"portals/{rig.name}/faults", **LICENCE)
    number = rig.run()
    arrived()
    computed(rig, '["a line"]')
    InvocationResult.objects.update(result=json.dumps({"values": {"total": "42"}, "log": log}))
    rig.work()
    began = Portal.objects.get().trouble_since
    assert began is not None
    for _ in range(3):
        rig.work()
    assert rig.stats()["logs"] == 1
    later(61, settings, rig)
    rig.work()
    portal, row = Portal.objects.get(), Invocation.objects.get()
    assert (portal.trouble, portal.trouble_since) == (Portal.Trouble.LICENCE, began)
    assert (row.state, row.sends) == ("ready", 1) and not row.attempts.exists()
    assert Sending.objects.count() == 2
    assert rig.control.session.delete(f"{rig.control.base}/control/portals/{rig.name}/faults", timeout=30).ok
    later(61, settings, rig)
    rig.work()
    assert [line["text"] for line in finished(rig, number)["log"]].count("a line") == 1
    assert Portal.objects.get().trouble == ""


@pytest.mark.contract("7.8")
def test_s7_402_beside_results_that_are_taken_is_tried_again_in_a_minute(
    make_rig: Callable[..., Rig], settings: Any
) -> None:
    rig = make_rig(generation="at_once", save=0)
    rig.robot()
    rig.control.post(f"portals/{rig.name}/faults", count=1, **LICENCE)
    numbers = [rig.run(), rig.run()]
    arrived(2)
    computed(rig)
    for _ in range(3):
        rig.work()
    assert Portal.objects.get().trouble == ""
    assert set(Invocation.objects.values_list("state", flat=True)) == {"delivered", "ready"}
    assert (Sending.objects.count(), Attempt.objects.count()) == (1, 1)
    later(61, settings, rig)
    rig.work()
    for number in numbers:
        finished(rig, number)


@pytest.mark.parametrize("portals", [1, 2, 3, 13, 16, 64, 100])
def test_rows_that_fail_together_do_not_come_back_together(portals: int) -> None:
    """However many portals the numbers of a burst were dealt out to."""

    def delays(number: int) -> list[float]:
        invocation = Invocation()
        row = Outgoing(Claim(51_100 + number * portals, 1), invocation, {}, 0, False)
        found = []
        for sends in range(6):
            invocation.sends = sends
            settlement, _ = settle.whole(row, UnknownAnswer("no_json", "The answer is no JSON.", 502))
            assert settlement.delay is not None
            found.append(settlement.delay)
        return found

    rows = [delays(number) for number in range(50)]
    for one, other in itertools.combinations(rows, 2):
        assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 0.2


def test_a_result_that_breaks_the_answer_to_its_whole_request_ends_up_alone(
    rig: Rig, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.robot()
    for _ in range(34):
        rig.run()
    arrived(34)
    computed(rig)
    poison = f"r{Invocation.objects.order_by('id')[3].pk}"
    batch = PortalClient.batch

    def broken(client: PortalClient, commands: dict[str, Any]) -> Any:
        if poison in commands:
            raise UnknownAnswer("no_json", "The answer is no JSON.", 502)
        return batch(client, commands)

    monkeypatch.setattr(PortalClient, "batch", broken)
    for _ in range(90):
        rig.work()
        later(1, settings, rig)
    left = Invocation.objects.exclude(state="delivered")
    assert [f"r{row.pk}" for row in left] == [poison]
    assert Invocation.objects.filter(state="delivered").count() == 33
