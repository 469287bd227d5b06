"""A portal that gives no answer is left alone but for one small question now and then; its results wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from b24app import alarm_causes
from handlers import delivery, looks, silence
from handlers.models import Invocation, Sending
from portals import lease, sweep
from portals.clock import db_now
from portals.models import Portal
from tests.factories import PortalFactory
from tests.handlers.calls import ready
from tests.portals.lab import Server

pytestmark = pytest.mark.django_db(transaction=True)


class Silent:
    """A portal that says nothing to what is asked, but to `app.info` where it is `half_well`."""

    def __init__(self) -> None:
        self.server, self.asked = Server(), list[str]()
        self.well = self.half_well = False
        self.answer: Any = (502, b"<html>bad gateway</html>", {})
        self.server.reply = self._reply
        self.portal: Portal = PortalFactory(client_endpoint=f"{self.server.base}/rest/", instances="absent")

    def _reply(self, path: str, params: dict[str, Any]) -> Any:
        method = path.rsplit("/", 1)[-1]
        self.asked.append(method)
        if not self.well and not (self.half_well and method == "app.info"):
            return self.answer
        results = dict.fromkeys(params.get("cmd", {}), True)
        return 200, {"result": {"result": results, "result_error": {}}, "time": {"start": time.time()}}, {}

    def call(self) -> Invocation:
        return ready(self.portal)

    def deliver(self) -> list[str]:
        """What is asked where a worker looks for work now."""
        self.asked.clear()
        found = delivery._with_work(self.portal.member_id)
        if found:
            held = lease.take(f"send:{self.portal.member_id}", 20)
            assert held is not None
            held.release()
            delivery._serve(found)
        self.portal.refresh_from_db()
        return list(self.asked)


@pytest.fixture
def silent(settings: Any) -> Iterator[Silent]:
    settings.B24_ALLOW_HTTP = True
    settings.BUCKET_RATE, settings.BUCKET_BURST = 50, 1000
    made = Silent()
    yield made
    made.server.stop()


def later(settings: Any, seconds: float) -> None:
    settings.CLOCK_OFFSET_SECONDS += seconds


def falls_silent(silent: Silent, settings: Any) -> None:
    for _ in range(silence.MOST):
        assert silent.portal.trouble == ""
        assert silent.deliver() == ["batch"]
        later(settings, 30)
    assert silent.portal.trouble == Portal.Trouble.UNREACHABLE


@pytest.mark.parametrize("answer", [(502, b"<html>bad gateway</html>", {}), None], ids=["502", "drops it"])
def test_a_silent_portal_is_asked_for_little_and_its_results_wait(
    silent: Silent, settings: Any, answer: Any
) -> None:
    silent.answer = answer
    row = silent.call()
    falls_silent(silent, settings)
    fresh = silent.call()
    since = silent.portal.trouble_since
    for _ in range(6):
        later(settings, 61)
        assert silent.deliver() == ["app.info"]
    row.refresh_from_db()
    fresh.refresh_from_db()
    # What was not sent is no sending, and each waits without a delay of its own.
    assert (row.state, row.sends, fresh.state, fresh.sends) == ("ready", silence.MOST, "ready", 0)
    assert fresh.due_at <= db_now()
    assert silent.portal.trouble_since == since, "it is one trouble from its beginning"
    # Within the minute it is left alone.
    assert silent.deliver() == []

    silent.well = True
    later(settings, 61)
    assert silent.deliver() == ["app.info", "batch"]
    assert set(Invocation.objects.values_list("state", flat=True)) == {"delivered"}
    assert (silent.portal.trouble, silent.portal.ask_again_at) == ("", None)


def test_its_first_answer_to_anything_ends_the_trouble(silent: Silent, settings: Any) -> None:
    silent.call()
    falls_silent(silent, settings)
    Invocation.objects.update(due_at=db_now() + timedelta(hours=2))
    later(settings, 90)
    silent.well = True
    assert sweep._ask_troubled() == 1
    silent.portal.refresh_from_db()
    assert silent.portal.trouble == ""


def test_one_that_answers_little_and_no_results_stays_in_trouble(silent: Silent, settings: Any) -> None:
    silent.call()
    falls_silent(silent, settings)
    since = silent.portal.trouble_since
    silent.half_well = True
    for _ in range(3):
        later(settings, 400)
        assert silent.deliver() == ["app.info", "batch"]
    assert (silent.portal.trouble, silent.portal.trouble_since) == (Portal.Trouble.UNREACHABLE, since)
    assert silent.portal.ask_again_at > db_now()


def test_an_answer_between_begins_the_count_anew(silent: Silent, settings: Any) -> None:
    silent.call()
    for _ in range(silence.MOST - 1):
        silent.deliver()
        later(settings, 30)
    silent.well = True
    silent.deliver()
    silent.well = False
    silent.call()
    for _ in range(silence.MOST - 1):
        assert silent.deliver() == ["batch"]
        later(settings, 30)
    assert silent.portal.trouble == ""
    # One that could not be made for want of the bucket says nothing either way.
    Sending.objects.create(portal=silent.portal, started_at=db_now(), outcome=Sending.Outcome.PASSES)
    silent.deliver()
    assert silent.portal.trouble == Portal.Trouble.UNREACHABLE


def test_one_that_says_it_cannot_now_is_silent_no_more(silent: Silent, settings: Any) -> None:
    silent.call()
    falls_silent(silent, settings)
    silent.answer = (503, {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}, {})
    later(settings, 61)
    assert silent.deliver() == ["app.info"]
    assert silent.portal.trouble == ""
    silent.well = True
    later(settings, 2)
    assert silent.deliver() == ["batch"]
    assert Invocation.objects.get().state == "delivered"


def looks_break_it(silent: Silent) -> list[int]:
    """The portal answers results alone, and nothing that has a look in it; the looked-at requests' results."""
    Portal.objects.update(instances="list", access_expires_at=db_now() + timedelta(days=1))
    silent.portal.refresh_from_db()
    broken: list[int] = []
    silent.well = True
    answers = silent.server.reply

    def reply(path: str, params: dict[str, Any]) -> Any:
        commands = params.get("cmd", {})
        if any(looks.METHOD in command for command in commands.values()):
            broken.append(sum(key.startswith("r") for key in commands))
            return silent.answer
        return answers(path, params)

    silent.server.reply = reply
    return broken


def test_a_look_that_breaks_its_answer_ends_with_a_repeat_and_is_no_silence(
    silent: Silent, settings: Any
) -> None:
    broken = looks_break_it(silent)
    silent.call()
    Invocation.objects.update(workflow_id="wf1")
    for _ in range(100):
        silent.deliver()
        assert silent.portal.trouble == ""
        later(settings, 10)
    row = Invocation.objects.get()
    assert (row.confirmation, row.confirm_at, row.sends) == ("unobservable", None, 2)
    assert 5 <= len(broken) <= 15


def test_looks_that_break_their_answer_hold_up_few_results_of_a_busy_portal(
    silent: Silent, settings: Any
) -> None:
    broken = looks_break_it(silent)
    for number in range(100):
        Invocation.objects.filter(pk=silent.call().pk).update(workflow_id=f"wf{number}")
        silent.deliver()
        assert silent.portal.trouble == ""
        later(settings, 10)
    assert Invocation.objects.filter(state="delivered").count() >= 98
    # Looked at all the same.
    assert 5 <= len(broken) <= 20
    # The first answer to a look is the end of it.
    silent.server.reply = silent._reply
    for _ in range(15):
        silent.call()
        silent.deliver()
        later(settings, 10)
    assert not silence.looks_go_apart(silent.portal)


def test_one_that_answers_little_and_no_results_is_an_alarm_though_little_waits_for_it(
    silent: Silent, settings: Any
) -> None:
    """Each answer to a small question ends its trouble, until the one call that waits is lost again."""
    Portal.objects.update(access_expires_at=db_now() + timedelta(days=1))
    silent.half_well = True
    silent.call()

    def alarmed(steps: int) -> list[bool]:
        found = []
        for _ in range(steps):
            silent.deliver()
            sweep._ask_troubled()
            found.append([cause.kind for cause in alarm_causes.portals_in_trouble()] == ["portal_trouble"])
            later(settings, 10)
        return found

    assert not any(alarmed(60))
    # From then on without a gap, whether it is in trouble just then or not.
    assert all(alarmed(60)[1:])
    Portal.objects.update(paused_at=db_now(), trouble="")
    assert list(alarm_causes.portals_in_trouble()) == []
    Portal.objects.update(paused_at=None)
    silent.well = True
    assert not any(alarmed(30)[20:])
    # Another that is lost is no silence yet.
    silent.well = False
    silent.call()
    assert not any(alarmed(30))
