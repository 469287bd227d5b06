"""The story of a call in plain words: every end, every thing on the way, and what is still to come."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from django.utils import timezone, translation

from handlers import timeline, values_shown
from handlers.models import Attempt, Cause, Confirmation, Sending, State
from portals.models import Portal
from tests.factories import NOW, InvocationFactory, PortalFactory, RobotFactory, RobotVersionFactory

pytestmark = pytest.mark.django_db
PYTHON = {"type": "python", "function": "shop.discount"}


def at(seconds):
    return NOW + dt.timedelta(seconds=seconds)


def told(call):
    """[(title, details …)] in the order of the story."""
    moments = timeline.story(call, call.attempts.order_by("id"))
    return [(moment.title, *moment.details) for moment in moments]


def titles(call):
    return [each[0] for each in told(call)]


def test_a_call_that_went_well():
    version = RobotVersionFactory(robot=RobotFactory(code="discount"), number=3, compute=PYTHON)
    portal = PortalFactory(domain="shop.bitrix24.com")
    sending = Sending.objects.create(
        portal=portal, started_at=at(1), answered_at=at(1.5), seconds=0.5, results=48, outcome="answered"
    )
    call = InvocationFactory(
        portal=portal,
        version=version,
        state=State.DELIVERED,
        started_at=at(0.2),
        computed_at=at(0.5),
        sent_at=at(1),
        sending=sending,
        sends=1,
        ended_at=at(1.5),
        confirmed_at=at(31),
        confirmation=Confirmation.CONFIRMED,
        revision="a1b2c3",
        tries=1,
    )
    assert told(call) == [
        (
            "Received from shop.bitrix24.com",
            "The process waits until it gets an answer, for ever if need be.",
        ),
        (
            "Computed by discount, version 3",
            "It took 0.300 s.",
            "Code revision a1b2c3 (fingerprint of the robot's source file as it was loaded).",
        ),
        ("Sent to the portal", "In a batch of 48 results.", "The portal answered after 0.500 s."),
        ("The portal took the result",),
        ("Arrival confirmed", "The portal was asked for the process: it has gone on."),
    ]
    assert timeline.headline(call) == "The portal took the result, and it arrived."
    assert timeline.what_to_do(call) == ""


def test_what_a_portal_in_trouble_held_up_was_not_sent():
    portal = PortalFactory()
    sending = Sending.objects.create(
        portal=portal, outcome="trouble", code="dropped", seconds=0.1, started_at=at(9), results=1
    )
    call = InvocationFactory(portal=portal, state=State.READY, sends=1, sent_at=at(2), sending=sending)
    title, *details = told(call)[-2]
    assert title == "Held up by the portal's trouble"
    assert "In a batch of 1 result." not in details
    assert details[-1] == "Sent 1 time in all."


def failed(**fields):
    return InvocationFactory(state=State.FAILED, cause=Cause.ROBOT_ERROR, ended_at=at(9), **fields)


def test_a_failed_call_that_was_run_again_asks_for_nobody():
    call = failed(followed_at=at(20))
    said = timeline.headline(call)
    assert "still waits" not in said and "run again" in said
    assert (timeline.what_to_do(call), timeline.tone_of(call)) == ("", "off")
    assert titles(call)[-1] == "A later run goes on with the call"


def test_a_failed_call_past_its_deadline_waits_for_nobody():
    call = failed(deadline=at(60))
    said = timeline.headline(call)
    assert "still waits" not in said and "went on without a result" in said
    assert "Release" not in timeline.what_to_do(call) and "acknowledge" in timeline.what_to_do(call)
    assert "still waits" in timeline.headline(failed(deadline=timezone.now() + dt.timedelta(hours=1)))


def test_a_failed_call_that_nobody_waits_for_is_acknowledged():
    call = failed(waits=False, version=RobotVersionFactory())
    assert "Acknowledge" in timeline.what_to_do(call)
    Attempt.objects.create(
        invocation=call, step="person", at=at(20), code="acknowledge", actor="anna", text="seen"
    )
    call.acknowledged_at = at(20)
    assert timeline.headline(call).endswith("The process did not wait. A person has acknowledged it.")
    assert (timeline.what_to_do(call), timeline.tone_of(call)) == ("", "off")
    assert told(call)[-1] == ("anna acknowledged it", "seen")


def test_a_restored_call_says_what_is_not_known():
    call = InvocationFactory(state=State.FAILED, cause=Cause.RESTORED, ended_at=at(9))
    assert "only the portal can tell" in timeline.headline(call)
    assert "Look at the process on the portal first" in timeline.what_to_do(call)


def test_what_went_wrong_stands_where_it_happened():
    call = InvocationFactory(
        state=State.FAILED,
        cause=Cause.ROBOT_ERROR,
        started_at=at(1),
        ended_at=at(9),
        repeats=2,
        deadline=timezone.now() + dt.timedelta(hours=1),
    )
    place = {"type": "ZeroDivisionError", "file": "shop/robot_handlers.py", "line": 14, "message": "division"}
    Attempt.objects.create(
        invocation=call, step="compute", at=at(2), code="robot_error", text="division by zero", detail=place
    )
    Attempt.objects.create(invocation=call, step="compute", at=at(8), code="worker_lost", text="")
    story = told(call)
    assert story[0][-1] == "The same call came 2 times more; it is one call all the same."
    assert story[1] == (
        "Computing went wrong: the robot's code raised an error",
        "ZeroDivisionError in shop/robot_handlers.py, line 14: division",
    )
    assert story[2] == ("Computing went wrong: the worker that computed it died",)
    assert story[3] == ("Failed: a person must look", "The robot's code raised an error.")
    assert "still waits" in timeline.headline(call)
    assert "replay" in timeline.what_to_do(call)


@pytest.mark.parametrize(
    ("code", "text", "detail", "english", "russian"),
    [
        (
            "robot_error",
            "KeyError in shop/x.py, line 3: 'a'",
            {"type": "KeyError", "file": "shop/x.py", "line": 3, "message": "'a'"},
            ["KeyError in shop/x.py, line 3: 'a'"],
            ["KeyError в shop/x.py, строка 3: 'a'"],
        ),
        (
            "time_limit",
            "The robot ran longer than 2.5 seconds.",
            None,
            ["The robot ran longer than 2.5 seconds."],
            ["Робот работал дольше 2.5 секунд."],
        ),
        ("worker_lost", "The worker that computed it died.", None, [], []),
        (
            "402",
            "402 the licence (HTTP 200)",
            None,
            ["the licence (HTTP 200)"],
            ["the licence (HTTP 200)"],
        ),
        (
            "dropped",
            "dropped The connection was dropped before the answer was whole.",
            None,
            ["The connection was dropped before the answer was whole."],
            ["Соединение оборвалось раньше, чем пришёл весь ответ."],
        ),
        (
            "no_json",
            "no_json Not JSON: Something {went} wrong (HTTP 502)",
            None,
            ["Not JSON: Something {went} wrong (HTTP 502)"],
            ["Не JSON: Something {went} wrong (HTTP 502)"],
        ),
    ],
)
def test_an_error_is_told_once_and_in_the_readers_language(code, text, detail, english, russian):
    call = InvocationFactory()
    step = "send" if code == "402" else "compute"
    Attempt.objects.create(invocation=call, step=step, at=at(1), code=code, text=text, detail=detail)
    assert told(call)[1][1:] == tuple(english)
    with translation.override("ru"):
        assert told(call)[1][1:] == tuple(russian)


def test_an_unreadable_input_is_told_in_the_readers_language_or_as_stored():
    payload = {"PROPERTIES": {"a": {"Type": "int"}}}
    call = InvocationFactory(
        version=RobotVersionFactory(payload=payload), call=json.dumps({"properties": {"a": "soon"}})
    )
    stored = values_shown.inputs_of(call).problem
    Attempt.objects.create(invocation=call, step="compute", at=at(1), code="input_wrong", text=stored)
    assert told(call)[1][1:] == (stored,)
    with translation.override("ru"):
        (said,) = told(call)[1][1:]
        assert said != stored and "soon" in said
    call.call = json.dumps({"properties": {"a": "5"}})
    assert told(call)[1][1:] == (stored,)


@pytest.mark.parametrize(("step", "code"), [("compute", "memory"), ("person", "release")])
def test_why_it_ended_stands_before_the_end_though_it_was_noted_right_after_it(step, code):
    call = InvocationFactory(state=State.FAILED, cause=Cause.MEMORY, ended_at=at(5))
    if step == "person":
        call.released_at, call.ended_at, call.state = at(5), at(7), State.DELIVERED
    Attempt.objects.create(invocation=call, step=step, at=at(5.02), code=code, actor="ann")
    number = 1 if step == "person" else 0
    assert titles(call)[1].startswith("ann released" if number else "Computing went wrong")
    assert titles(call)[2].startswith("Released" if number else "Failed")


def test_the_advice_holds_since_a_replay_has_the_same_input_and_version():
    def advice(cause, compute, **more):
        version = RobotVersionFactory(compute=compute) if compute else None
        return timeline.what_to_do(
            InvocationFactory(state=State.FAILED, cause=cause, version=version, **more)
        )

    expression = {"type": "expression", "returns": {"total": "1"}}
    assert advice(Cause.ROBOT_ERROR, PYTHON) == "Correct the robot's code, then replay."
    assert "same version" in advice(Cause.ROBOT_ERROR, expression)
    assert "Release" in advice(Cause.INPUT_WRONG, PYTHON)
    assert "Release" not in advice(Cause.INPUT_WRONG, PYTHON, waits=False)
    assert "publish a robot" in advice(Cause.CODE_UNKNOWN, None)
    assert "Install the code" in advice(Cause.CODE_UNKNOWN, PYTHON)


@pytest.mark.parametrize("cause", [each for each in Cause if each.value not in ("", "token_refused")])
@pytest.mark.parametrize("state", [State.FAILED, State.REFUSED, State.EXPIRED])
def test_every_end_has_its_words(state, cause):
    call = InvocationFactory(state=state, cause=cause, ended_at=at(5))
    assert timeline.headline(call)
    assert titles(call)[-1]
    assert "%(" not in timeline.headline(call) + timeline.what_to_do(call) + "".join(titles(call))


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_tone_and_a_sentence(state):
    call = InvocationFactory(state=state)
    assert timeline.tone_of(call)
    assert timeline.headline(call).endswith(".")


def test_every_cause_of_a_failure_says_what_to_do():
    ends = {"token_refused", "process_gone", "portal_gone", "wait_over"}
    for cause in Cause:
        if cause.value and cause not in ends:
            assert timeline.what_to_do(InvocationFactory(state=State.FAILED, cause=cause)), cause


def test_a_call_on_its_way_says_what_comes_next():
    call = InvocationFactory(state=State.READY, due_at=at(30), deadline=at(60), computed_at=at(1))
    assert titles(call)[-2:] == ["Next: sending", "The process stops waiting"]
    call = InvocationFactory(state=State.DELIVERED, ended_at=at(1), confirm_at=at(40), confirmation="look")
    assert titles(call)[-1] == "Next: the portal is asked whether it arrived"
    assert "will be looked for" in timeline.headline(call)


@pytest.mark.parametrize(
    ("portal", "why"),
    [
        ({"paused_at": NOW}, "the portal is paused"),
        ({"state": Portal.State.UNINSTALLED}, "the application is uninstalled there"),
        ({"trouble": Portal.Trouble.UNPAID}, "the application is not paid for"),
    ],
)
def test_a_held_call_says_why(portal, why):
    call = InvocationFactory(portal=PortalFactory(**portal), state=State.READY)
    assert titles(call)[-1] == f"Held: {why}"
    assert why in timeline.headline(call)


def test_a_late_call_and_one_that_does_not_wait():
    call = InvocationFactory(called_at=at(-90), waits=False)
    ((_title, *details), *_rest) = told(call)
    assert details[0].startswith("The portal had made the call 90 s earlier")
    assert details[1] == "The process does not wait for a result."


def test_what_a_person_did_is_told_with_the_name():
    call = InvocationFactory(run=2, state=State.RECEIVED)
    Attempt.objects.create(
        invocation=call, step="person", at=at(1), code="replay", text="Fixed it", actor="ann"
    )
    assert told(call)[:2] == [
        (
            "Run 2 of this call began, by replay",
            "The process waits until it gets an answer, for ever if need be.",
        ),
        ("ann replayed it", "Fixed it"),
    ]


def test_a_release_is_no_success():
    call = InvocationFactory(state=State.DELIVERED, cause=Cause.MEMORY, released_at=at(5), ended_at=at(6))
    assert timeline.headline(call) == "Released: the process went on with empty values."
    assert "Released: the process may go on with empty values" in titles(call)


def test_a_stuck_process_is_bad_though_delivered():
    call = InvocationFactory(state=State.DELIVERED, confirmation=Confirmation.STUCK, ended_at=at(1))
    assert timeline.tone_of(call) == "bad"
    assert timeline.what_to_do(call)


@pytest.mark.parametrize(
    ("instances", "why"),
    [("absent", ["This portal's plan does not let us ask for its processes."]), ("list", [])],
)
def test_an_arrival_that_was_not_seen_is_the_plans_doing_only_where_it_is(instances, why):
    portal = PortalFactory(instances=instances)
    call = InvocationFactory(
        portal=portal, state=State.DELIVERED, confirmation=Confirmation.UNOBSERVABLE, ended_at=at(1)
    )
    (moment,) = (m for m in timeline.story(call, []) if m.title.startswith("Arrival can't be observed"))
    assert moment.details == why


def test_a_story_makes_no_query(django_assert_num_queries):
    call = InvocationFactory(state=State.DELIVERED, ended_at=at(1))
    attempts = list(call.attempts.all())
    with django_assert_num_queries(0):
        timeline.story(call, attempts)


def test_values_typed_and_raw():
    call = InvocationFactory(
        version=RobotVersionFactory(),
        call=json.dumps({"properties": {"amount": "1000.50", "extra": {"0": "a"}}}),
        stored__result=json.dumps({"values": {"total": "2001.00", "ghost": "x"}}),
    )
    inputs = values_shown.inputs_of(call)
    assert [(row.id, row.name, row.shown, row.raw, row.declared) for row in inputs.rows] == [
        ("amount", "Amount", "1000.50", "1000.50", True),
        ("extra", "", "", '{"0": "a"}', False),
    ]
    with translation.override("ru"):
        assert values_shown.inputs_of(call).rows[0].shown == "1000,50"
    outputs = values_shown.outputs_of(call)
    assert [(row.id, row.raw, row.declared) for row in outputs.rows] == [
        ("total", "2001.00", True),
        ("ghost", "x", False),
    ]


def test_an_unreadable_value_hides_no_other():
    payload = {"PROPERTIES": {"a": {"Type": "int"}, "b": {"Type": "int"}}}
    call = InvocationFactory(
        version=RobotVersionFactory(payload=payload),
        call=json.dumps({"properties": {"a": "x", "b": "2"}}),
    )
    inputs = values_shown.inputs_of(call)
    assert [row.shown for row in inputs.rows] == ["can't be read", "2"]
    assert "“a”" in inputs.problem


def test_a_call_without_a_body_or_with_a_broken_one_is_shown_all_the_same():
    for call in (InvocationFactory(call=""), InvocationFactory(call="{", stored__lines="x")):
        assert values_shown.inputs_of(call).rows == []
        assert values_shown.lines_of(call) == []
        assert told(call)


def test_why_a_call_ended_is_told_before_its_end() -> None:
    """It is noted a moment after it."""
    end = NOW + dt.timedelta(seconds=1)
    call = InvocationFactory(state=State.FAILED, cause="robot_error", ended_at=end)
    Attempt.objects.create(
        invocation=call, step="compute", at=end + dt.timedelta(milliseconds=5), code="robot_error"
    )
    assert "Failed" in timeline.story(call, call.attempts.select_related("sending"))[-1].title
