"""Replay and release by a person: shown first, done with a reason, told with a name."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from django.urls import reverse
from django.utils import timezone

from handlers.models import Attempt, Invocation, State
from tests.b24app.people import signed_in
from tests.factories import InvocationFactory, RobotVersionFactory

pytestmark = pytest.mark.django_db

LOG = "/admin/handlers/invocation/"


def failed(**fields):
    return InvocationFactory(version=RobotVersionFactory(), state=State.FAILED, cause="robot_error", **fields)


def story(call):
    return reverse("admin:handlers_invocation_change", args=[call.pk])


def test_from_the_story_to_a_new_run_in_two_clicks():
    client = signed_in("operators")
    call = failed()
    link = reverse("admin:handlers_replay") + f"?call={call.pk}"
    assert link in client.get(story(call)).content.decode()
    page = client.get(link)
    assert (page.context["number"], page.context["late"]) == (1, 0)
    answer = client.post(reverse("admin:handlers_replay"), {"call": call.pk, "why": "Mended the robot"})
    again = Invocation.objects.get(run=2)
    assert answer["Location"] == story(again)
    assert again.state == State.RECEIVED
    told = client.get(story(again)).content.decode()
    assert "of-operators" in told and "Mended the robot" in told
    call.refresh_from_db()
    assert call.state == State.FAILED


def test_a_reason_is_asked_for():
    client = signed_in("operators")
    call = failed()
    answer = client.post(reverse("admin:handlers_replay"), {"call": call.pk, "why": " "})
    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert Invocation.objects.count() == 1


def test_a_release_lets_the_process_go_on():
    client = signed_in("operators")
    call = failed()
    client.post(reverse("admin:handlers_release"), {"call": call.pk, "why": "Not needed any more"})
    call.refresh_from_db()
    assert call.state == State.READY
    assert call.released_at is not None
    assert json.loads(call.result)["log"] == "Not needed any more"
    assert Attempt.objects.get(code="release").actor == "of-operators"


def test_a_call_that_was_run_again_is_decided_about_at_its_latest_run():
    client = signed_in("operators")
    call = failed()
    client.post(reverse("admin:handlers_replay"), {"call": call.pk, "why": "Mended the robot"})
    assert client.get(story(call)).context["extra_actions"] == []
    answer = client.post(
        reverse("admin:handlers_release"), {"call": call.pk, "why": "By mistake"}, follow=True
    )
    assert "1 call not: The call was run again" in answer.content.decode()
    call.refresh_from_db()
    assert call.state == State.FAILED


def test_many_at_a_stroke_and_each_refusal_told():
    client = signed_in("operators")
    good = [failed(), failed()]
    late = failed(deadline=timezone.now() - dt.timedelta(hours=1))
    chosen = [call.pk for call in [*good, late]]
    answer = client.post(LOG, {"action": "replay_calls", "_selected_action": chosen})
    page = client.get(answer["Location"])
    assert (page.context["number"], page.context["late"]) == (3, 1)
    done = client.post(reverse("admin:handlers_replay"), {"call": chosen, "why": "again"}, follow=True)
    text = done.content.decode()
    assert "2 calls are on their way." in text
    assert "1 call not: The process has stopped waiting" in text
    assert Invocation.objects.filter(run=2).count() == 2


def test_what_failed_and_can_not_be_cleared_otherwise_is_acknowledged():
    client = signed_in("operators")
    late = dt.timedelta(hours=1)
    for call in (failed(waits=False), failed(deadline=timezone.now() - late)):
        link = reverse("admin:handlers_acknowledge") + f"?call={call.pk}"
        assert link in client.get(story(call)).content.decode()
        assert client.get(link).context["waiting"] == 0
        answer = client.post(
            reverse("admin:handlers_acknowledge"), {"call": call.pk, "why": "Mended"}, follow=True
        )
        text = answer.content.decode()
        assert "1 call is acknowledged." in text and "of-operators acknowledged it" in text
        assert not [each for each in answer.context["extra_actions"] if each["words"] == "Acknowledge"]
    log = client.get(LOG + "?state=attention")
    assert list(log.context["cl"].result_list) == []
    assert "acknowledged" in client.get(LOG).content.decode()


def test_an_acknowledgement_says_which_processes_go_on_waiting():
    client = signed_in("operators")
    calls = [failed(), failed(waits=False)]
    page = client.get(reverse("admin:handlers_acknowledge"), {"call": [call.pk for call in calls]})
    assert page.context["waiting"] == 1
    assert "1 process still waits" in page.content.decode()


def test_past_its_deadline_neither_replay_nor_release_is_offered():
    client = signed_in("operators")
    call = failed(deadline=timezone.now() - dt.timedelta(hours=1))
    offered = client.get(story(call)).context["extra_actions"]
    assert [each["words"] for each in offered] == ["Acknowledge"]


def test_after_calls_were_decided_about_one_comes_back_to_the_filter():
    client = signed_in("operators")
    calls = [failed(), failed()]
    chosen = [call.pk for call in calls]
    answer = client.post(
        LOG + "?state=attention&cause=robot_error", {"action": "replay_calls", "_selected_action": chosen}
    )
    page = client.get(answer["Location"])
    back = page.context["back"]
    done = client.post(reverse("admin:handlers_replay"), {"call": chosen, "why": "again", "back": back})
    assert done["Location"] == LOG + "?state=attention&cause=robot_error"


def test_auditors_do_neither():
    client = signed_in("auditors")
    call = failed()
    assert "handlers/invocation/replay" not in client.get(story(call)).content.decode()
    for deed in ("replay", "release", "acknowledge"):
        url = reverse(f"admin:handlers_{deed}")
        assert client.get(url, {"call": call.pk}).status_code == 403
        assert client.post(url, {"call": call.pk, "why": "x"}).status_code == 403
    assert "replay_calls" not in client.get(LOG).content.decode()
    for action in ("replay_calls", "acknowledge_calls"):
        client.post(LOG, {"action": action, "_selected_action": [call.pk]})
    assert (Invocation.objects.count(), Attempt.objects.count()) == (1, 0)


def test_what_is_no_number_is_no_call():
    client = signed_in("operators")
    page = client.get(reverse("admin:handlers_replay"), {"call": ["x", "9" * 30, "-1"]})
    assert page.context["number"] == 0
