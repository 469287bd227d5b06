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


def test_auditors_do_neither():
    client = signed_in("auditors")
    call = failed()
    assert "handlers/invocation/replay" not in client.get(story(call)).content.decode()
    for deed in ("replay", "release"):
        url = reverse(f"admin:handlers_{deed}")
        assert client.get(url, {"call": call.pk}).status_code == 403
        assert client.post(url, {"call": call.pk, "why": "x"}).status_code == 403
    assert "replay_calls" not in client.get(LOG).content.decode()
    client.post(LOG, {"action": "replay_calls", "_selected_action": [call.pk]})
    assert Invocation.objects.count() == 1


def test_what_is_no_number_is_no_call():
    client = signed_in("operators")
    page = client.get(reverse("admin:handlers_replay"), {"call": ["x", "9" * 30, "-1"]})
    assert page.context["number"] == 0
