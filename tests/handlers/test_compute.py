"""Computing: what a failure costs, who is charged, who waits for whom (design §2 rule 8)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import translation

from handlers import attempt_words, claims, compute, computed, delivery, slots, sweeper, timeline, units
from handlers.models import Attempt, Invocation, ReceivedCall
from portals.clock import db_now
from portals.models import Portal, PortalSetting
from robots.models import RobotVersion
from robots.runner import Runner, RunnerUnavailable
from tests.damage import damage
from tests.factories import PortalFactory, RobotFactory, RobotVersionFactory
from tests.handlers.calls import post
from tests.portals.lab import Server, ok
from tests.robots.runner_jobs import APPS

pytestmark = pytest.mark.django_db(transaction=True)

PAYLOAD = {
    "USE_SUBSCRIPTION": "Y",
    "NAME": {"en": "R"},
    "PROPERTIES": {"amount": {"Name": "A", "Type": "double"}},
    "RETURN_PROPERTIES": {
        "total": {"Name": "T", "Type": "string"},
        "text": {"Name": "X", "Type": "text"},
    },
}


@pytest.fixture(autouse=True)
def nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "deliver_now", lambda portal: None)


def robot(portal: Portal, code: str, function: str, **fields: Any) -> RobotVersion:
    made = RobotFactory(
        application=portal.application, code=code, compute={"type": "python", "function": function}, **fields
    )
    return RobotVersionFactory(robot=made, payload={"CODE": code, **PAYLOAD})


def test_the_call_id_is_the_same_at_each_try(portal: Portal, version: RobotVersion, monkeypatch: Any) -> None:
    from robots.job import Outcome

    seen: list[str] = []

    class Fails:
        def run(self, job: Any, **more: Any) -> Outcome:
            seen.append(job.call_id)
            return Outcome(False, "process_died", sentence="It died.")

    monkeypatch.setattr(compute, "runner", Fails)
    post(portal, version=version.pk)
    for _ in range(3):
        Invocation.objects.update(due_at="2020-01-01T00:00:00+00:00")
        compute.work()
    assert len(seen) == 3 and len(set(seen)) == 1
    row = Invocation.objects.get()
    assert (row.state, row.cause, row.tries) == ("failed", "process_died", 3)
    assert [note.code for note in Attempt.objects.all()] == ["process_died"] * 3


def test_a_row_given_back_for_a_moment_is_woken_for(
    portal: Portal, version: RobotVersion, monkeypatch: Any
) -> None:
    from handlers import due
    from robots.job import Outcome

    class Fails:
        def run(self, job: Any, **more: Any) -> Outcome:
            return Outcome(False, "process_died", sentence="It died.")

    woken: list[tuple[str, float]] = []
    monkeypatch.setattr(compute, "runner", Fails)
    monkeypatch.setattr(due, "wake_later", lambda queue, seconds: woken.append((queue, seconds)))
    post(portal, version=version.pk)
    compute.work()
    [(queue, seconds)] = woken
    assert queue == "compute" and 1.0 <= seconds <= 1.5


def test_an_input_that_cant_be_read_fails_at_once_with_a_sentence(
    portal: Portal, version: RobotVersion
) -> None:
    post(portal, version=version.pk, **{"properties[amount]": "twelve"})
    compute.work()
    row = Invocation.objects.get()
    assert (row.state, row.cause, row.tries) == ("failed", "input_wrong", 1)
    assert "amount" in Attempt.objects.get().text


def test_a_function_that_no_longer_exists_is_said(portal: Portal) -> None:
    post(portal, version=robot(portal, "gone", "shop.gone").pk, code="gone")
    compute.work()
    row = Invocation.objects.get()
    assert (row.state, row.cause) == ("failed", "code_unknown")
    assert "shop.gone" in Attempt.objects.get().text


def test_one_robot_takes_half_of_the_computing_children_at_most(
    portal: Portal, version: RobotVersion, settings: Any
) -> None:
    settings.WORKER_CONCURRENCY = 6
    assert slots.computing() == 3
    places = [slots.take_robot(portal.pk, "double") for _ in range(3)]
    assert [place is not None for place in places] == [True, True, False]
    post(portal, version=version.pk)
    other = PortalFactory(application=portal.application)
    post(other, version=version.pk)
    compute.work()
    states = dict(Invocation.objects.values_list("portal_id", "state"))
    assert states == {portal.pk: "received", other.pk: "ready"}


def test_computing_takes_half_of_the_children_at_most(
    portal: Portal, version: RobotVersion, settings: Any
) -> None:
    settings.WORKER_CONCURRENCY = 6
    post(portal, version=version.pk)
    held = [slots.take_computing() for _ in range(3)]
    assert all(held)
    compute.work()
    assert Invocation.objects.get().state == "received"
    assert slots.take_delivering() is not None, "delivery finds a child all the same"


def test_what_a_unit_has_no_time_for_goes_back(
    portal: Portal, version: RobotVersion, monkeypatch: Any
) -> None:
    for _ in range(3):
        post(portal, version=version.pk)
    monkeypatch.setattr(units, "SECONDS", -1.0)
    rows = claims.claim("state = 'received' ORDER BY id", [], "computing", 3)
    compute._compute_unit(Portal.objects.get(), units.Unit(rows))
    states = list(Invocation.objects.order_by("id").values_list("state", "tries"))
    assert states == [("ready", 1), ("received", 0), ("received", 0)]


def test_a_portals_settings_reach_its_robots_alone(portal: Portal) -> None:
    PortalSetting.objects.create(portal=portal, name="erp_key", value="the-secret-key")
    other = PortalFactory(application=portal.application)
    assert compute.portal_settings(portal) == {"erp_key": "the-secret-key"}
    assert compute.portal_settings(other) == {}


def dated(portal: Portal, *days: str, **properties: str) -> list[str]:
    """Calls with these dates, one after the other; the state each ends in."""
    fields = {"day": {"Name": "D", "Type": "datetime"}, "count": {"Name": "C", "Type": "int"}}
    payload = {**PAYLOAD, "PROPERTIES": fields, "RETURN_PROPERTIES": {}}
    code = f"dated{RobotVersion.objects.count()}"
    made = RobotFactory(
        application=portal.application, code=code, compute={"type": "expression", "returns": {}}
    )
    version = RobotVersionFactory(robot=made, payload={"CODE": code, **payload})
    more = {f"properties[{name}]": value for name, value in properties.items()}
    for day in days:
        post(portal, version=version.pk, code=code, **{"properties[day]": day}, **more)
        compute.work()
    portal.refresh_from_db()
    return list(Invocation.objects.filter(robot_code=code).order_by("id").values_list("state", flat=True))


def test_s6_a_date_with_one_reading_teaches_the_portals_format(portal: Portal) -> None:
    dated(portal, "11/24/2026")
    assert (portal.date_format, portal.date_format_source) == ("MDY", "learned")


def test_s6_am_and_pm_teach_the_portals_format(portal: Portal) -> None:
    dated(portal, "04/05/2026 10:00:00 am")
    assert (portal.date_format, portal.date_format_source) == ("MDY", "learned")


@pytest.mark.parametrize("day", ["03.02.2026", "24.11.2026", "2026-11-24"])
def test_s6_dots_and_iso_say_nothing_of_slashes(portal: Portal, day: str) -> None:
    Portal.objects.update(date_format="MDY", date_format_source="language")
    dated(portal, day)
    assert (portal.date_format, portal.date_format_source) == ("MDY", "language")


def test_s6_one_contrary_value_does_not_overturn_what_was_learned(portal: Portal) -> None:
    dated(portal, "11/24/2026", "11/25/2026", "24/11/2026", "25/11/2026")
    assert (portal.date_format, portal.date_format_source) == ("MDY", "learned")
    dated(portal, "26/11/2026")
    assert portal.date_format == "DMY", "more against it than for it: the portal changed it"


def test_s6_a_call_that_fails_teaches_nothing(portal: Portal) -> None:
    Portal.objects.update(date_format="DMY", date_format_source="language")
    assert dated(portal, "11/24/2026", count="many") == ["failed"]
    assert Invocation.objects.get().cause == "input_wrong"
    assert (portal.date_format, portal.date_format_source) == ("DMY", "language")


def test_a_format_that_a_person_set_is_not_learned_over(portal: Portal) -> None:
    Portal.objects.update(date_format="DMY", date_format_source="person")
    dated(portal, "11/24/2026")
    assert (portal.date_format, portal.date_format_source) == ("DMY", "person")


def test_an_unreadable_setting_ends_the_portals_calls_where_a_person_sees_them(
    portal: Portal, version: RobotVersion
) -> None:
    setting = PortalSetting.objects.create(portal=portal, name="erp_key", value="the-secret-key")
    damage(setting, "value")
    other = PortalFactory(application=portal.application)
    for each in (portal, other):
        post(each, version=version.pk)
    compute.work()
    row = Invocation.objects.get(portal=portal)
    assert (row.state, row.cause, row.tries) == ("failed", "data_unreadable", 0)
    assert row.ended_at is not None and "ENCRYPTION_KEYS" in timeline.what_to_do(row)
    noted = Attempt.objects.get()
    assert attempt_words.details_of(noted, row) == [
        "No key of ENCRYPTION_KEYS opens one of the portal's settings."
    ]
    with translation.override("ru"):
        assert attempt_words.details_of(noted, row)[0].startswith("Одну из настроек портала")
    assert Invocation.objects.get(portal=other).state == "ready"


def test_calls_of_a_portal_whose_tokens_no_key_opens_are_computed(
    portal: Portal, version: RobotVersion
) -> None:
    post(portal, version=version.pk)
    damage(portal, "access_token")
    compute.work()
    row = Invocation.objects.get()
    assert (row.state, row.sends) == ("ready", 0)


@pytest.mark.parametrize("stored", ["", "{", "[]", "null", "[" * 5000])
def test_a_damaged_call_ends_alone(portal: Portal, version: RobotVersion, stored: str) -> None:
    for _ in range(3):
        post(portal, version=version.pk)
    damaged = Invocation.objects.order_by("id")[1]
    ReceivedCall.objects.filter(pk=damaged.pk).update(call=stored)
    compute.work()
    assert list(Invocation.objects.order_by("id").values_list("state", "cause")) == [
        ("ready", ""),
        ("failed", "data_unreadable"),
        ("ready", ""),
    ]


class NoRunner:
    def run(self, *_args: Any, **_more: Any) -> Any:
        raise RunnerUnavailable("The runner could not start: no memory")


def test_a_runner_that_does_not_start_charges_nobody_and_is_told_once_a_call(
    portal: Portal, version: RobotVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        post(portal, version=version.pk)
    long_ago = db_now() - dt.timedelta(minutes=5)
    monkeypatch.setattr(compute, "runner", NoRunner)
    for _ in range(4):
        Invocation.objects.update(due_at=long_ago)
        compute.work()
        rows = Invocation.objects.order_by("id").values_list("state", "tries", "due_at")
        assert [row[:2] for row in rows] == [("received", 0)] * 3
        assert [row[2] for row in rows][1:] == [long_ago] * 2, "the others keep their places"
        assert rows[0][2] > db_now()
    (noted,) = Attempt.objects.all()
    assert (noted.invocation_id, noted.code) == (Invocation.objects.earliest("id").pk, "runner_unavailable")
    monkeypatch.undo()
    monkeypatch.setattr(delivery, "deliver_now", lambda portal: None)
    Invocation.objects.update(due_at=long_ago)
    compute.work()
    assert set(Invocation.objects.values_list("state", "tries")) == {("ready", 1)}


def test_what_was_computed_before_the_runner_was_gone_is_sent(
    portal: Portal, version: RobotVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr(compute, "wake", woken.append)
    real, calls = compute.runner(), []

    def runner() -> Any:
        calls.append(1)
        return real if len(calls) == 1 else NoRunner()

    monkeypatch.setattr(compute, "runner", runner)
    for _ in range(3):
        post(portal, version=version.pk)
    compute.work()
    assert list(Invocation.objects.order_by("id").values_list("state", "tries")) == [
        ("ready", 1),
        ("received", 0),
        ("received", 0),
    ]
    assert woken == ["deliver"] and len(calls) == 2, "no other row tries to start one"


def test_a_failed_call_and_its_cause_are_one_commit(
    portal: Portal, version: RobotVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(portal, version=version.pk, **{"properties[amount]": "twelve"})
    for module, due in ((units, None), (sweeper, "computing")):
        monkeypatch.setattr(module, "failpoint", _dies)
        with pytest.raises((Died, ExceptionGroup)):
            if due:
                Invocation.objects.update(lease_until="2020-01-01T00:00:00+00:00", tries=5)
                sweeper.sweep()
            else:
                compute.work()
        assert (Invocation.objects.get().state, Attempt.objects.count()) == ("computing", 0)
    monkeypatch.undo()
    Invocation.objects.update(lease_until="2020-01-01T00:00:00+00:00")
    sweeper.sweep()
    assert (Invocation.objects.get().state, Attempt.objects.count()) == ("failed", 1)


class Died(Exception):
    """A process that dies, as far as the database sees."""


def _dies(name: str) -> None:
    if name.endswith("in_commit"):
        raise Died


@pytest.fixture(scope="module")
def runs_samples() -> Iterator[Runner]:
    with Runner(environment=APPS) as runner:
        yield runner


class Asking:
    """A portal that answers each request by `answer`, and calls of a robot that asks it (and so of a real runner)."""

    def __init__(self) -> None:
        self.server = Server()
        self.server.reply = lambda path, params: self.answer
        self.answer: Any = ok({"TITLE": "Deal"})
        self.portal: Portal = PortalFactory(
            client_endpoint=f"{self.server.base}/rest/", token_server=self.server.base
        )

    def calls(self, number: int = 1, function: str = "rest_uncaught", **fields: Any) -> None:
        version = robot(self.portal, "asks", f"sample.{function}", **fields)
        for _ in range(number):
            assert post(self.portal, version=version.pk, code="asks").status_code == 200

    def troubled(self, **fields: Any) -> None:
        """Written by somebody else, and for long not to be asked again."""
        Portal.objects.filter(pk=self.portal.pk).update(
            trouble_since=db_now(), ask_again_at=db_now() + dt.timedelta(days=9), **fields
        )


@pytest.fixture
def asking(
    settings: Any, monkeypatch: pytest.MonkeyPatch, runs_samples: Runner, transactional_db: None
) -> Iterator[Asking]:
    made = Asking()
    settings.B24_ALLOW_HTTP, settings.B24_OAUTH_URLS = True, [made.server.base]
    monkeypatch.setattr(compute, "runner", lambda: runs_samples)
    yield made
    made.server.stop()


def work_for(settings: Any, minutes: float, step: float = 30.0) -> None:
    """A worker that looks each `step` seconds."""
    for _ in range(round(minutes * 60 / step)):
        settings.CLOCK_OFFSET_SECONDS += step
        compute.work()


def error(code: str, status: int, text: str = "") -> tuple[int, dict[str, str], dict[str, str]]:
    return status, {"error": code, "error_description": text}, {}


WAITS_FOR = [
    ("plan_lapsed", error("ACCESS_DENIED", 401, "REST API is available only on commercial plans")),
    ("user_dismissed", error("authorization_error", 401)),
    ("unpaid", error("PAYMENT_REQUIRED", 402)),
    ("bucket", error("QUERY_LIMIT_EXCEEDED", 503)),
]


@pytest.mark.parametrize(("code", "answer"), WAITS_FOR, ids=[code for code, _ in WAITS_FOR])
def test_a_call_whose_robot_asks_its_portal_waits_while_that_takes_nothing(
    asking: Asking, settings: Any, code: str, answer: Any
) -> None:
    asking.calls(on_failure="release")
    asking.answer = answer
    work_for(settings, 15)
    row = Invocation.objects.get()
    assert (row.state, row.tries) == ("received", 0)
    assert 0 < (row.due_at - db_now()).total_seconds() + 30 <= 120
    assert len(asking.server.asked) < 40, "once a minute, not each time somebody looks"
    (noted,) = Attempt.objects.all()
    assert noted.code == code and code not in attempt_words.title_of(noted), "in words, once"
    assert "sample_handlers" in attempt_words.details_of(noted, row)[0]
    asking.answer = ok({"TITLE": "Deal"})
    work_for(settings, 3)
    row = Invocation.objects.get()
    assert (row.state, row.cause, row.tries) == ("ready", "", 1)


@pytest.mark.parametrize("trouble", ["token_lost", "unreachable"])
def test_a_call_whose_robot_asks_waits_for_a_portal_that_is_left_alone(
    asking: Asking, settings: Any, trouble: str
) -> None:
    asking.calls()
    asking.troubled(trouble=trouble, token_state="lost" if trouble == "token_lost" else "working")
    work_for(settings, 15)
    row = Invocation.objects.get()
    assert (row.state, row.tries, asking.server.asked) == ("received", 0, [])
    assert [noted.code for noted in Attempt.objects.all()] == [trouble]
    Portal.objects.update(trouble="", ask_again_at=None, token_state="working")
    work_for(settings, 3)
    assert Invocation.objects.get().state == "ready"


def test_what_waits_for_its_portal_ends_by_its_deadline(asking: Asking, settings: Any) -> None:
    asking.calls()
    Invocation.objects.update(deadline=db_now() + dt.timedelta(minutes=10))
    asking.troubled(trouble="unpaid")
    work_for(settings, 9)
    assert Invocation.objects.get().state == "received"
    work_for(settings, 2)
    sweeper.sweep()
    row = Invocation.objects.get()
    assert (row.state, row.cause, row.tries) == ("expired", "wait_over", 0)


def test_a_token_server_that_is_away_fails_no_call(asking: Asking, settings: Any) -> None:
    asking.calls()
    Portal.objects.update(access_expires_at=db_now() - dt.timedelta(minutes=1))
    asking.answer = 504, b"<html>gateway timeout</html>", {}
    work_for(settings, 15)
    row = Invocation.objects.get()
    assert (row.state, row.tries, asking.server.methods()[0]) == ("received", 0, "token")
    assert [noted.code for noted in Attempt.objects.all()] == ["token_server"]


def test_a_burst_of_calls_whose_robot_asks_waits_for_the_limit(asking: Asking, settings: Any) -> None:
    """5,000 calls at 2 requests a second, a hundred times smaller; 35 are let through in that time."""
    settings.BUCKET_RATE, settings.BUCKET_BURST = 0.04, 2
    asking.calls(50)
    work_for(settings, 15)
    done = Invocation.objects.filter(state="ready").count()
    assert done == len(asking.server.asked) > 25, "little of what the portal allows is left unused"
    assert Invocation.objects.filter(state="received", tries=0).count() == 50 - done
    assert set(Attempt.objects.values_list("code", flat=True)) == {"bucket"}
    assert Attempt.objects.count() == Attempt.objects.values("invocation").distinct().count()


@pytest.mark.parametrize(
    ("waited", "retry_after", "delay"),
    [(0, 0.5, 0.5), (20, 0.5, 10), (3000, 0.5, 60), (0, 30, 30), (0, 900, 60), (0, None, 60)],
)
def test_the_longer_one_waits_the_more_rarely_it_asks(
    waited: float, retry_after: float | None, delay: float
) -> None:
    from robots.job import Outcome

    outcome = Outcome(False, "robot_error", retry_after=retry_after, waits_for="bucket")
    delays = [
        computed.kept_waiting(claims.Claim(1, 1), outcome, waited, jitter)[0].delay for jitter in (0, 0.5)
    ]
    assert delays == [delay, delay * 1.25], "apart from those that came together"


def test_a_request_that_breaks_at_the_portal_is_charged(asking: Asking) -> None:
    asking.calls()
    asking.answer = 500, b"", {}
    for _ in range(computed.TRIES_PASSING):
        Invocation.objects.update(due_at="2020-01-01T00:00:00+00:00")
        compute.work()
    row = Invocation.objects.get()
    assert (row.state, row.cause, row.tries) == ("failed", "robot_error", computed.TRIES_PASSING)


def test_a_robot_that_catches_its_portals_trouble_has_its_own_result(asking: Asking) -> None:
    asking.calls(function="rest_refused")
    asking.troubled(trouble="unpaid")
    compute.work()
    assert Invocation.objects.get().state == "ready"
