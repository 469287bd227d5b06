"""The list of pushes and the page of one: live, found again, told by portal; who may cancel and retry."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portals import wake
from portals.models import Portal
from robots.models import Push, PushItem
from tests.b24app.people import signed_in
from tests.factories import NOW, PortalFactory, RegistrationFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(wake, "wake", lambda queue: None)


def item_of(push, state, code="discount", **fields):
    registration = RegistrationFactory(robot__code=code) if "portal" not in fields else None
    portal = fields.pop("portal", None) or registration.portal
    robot = registration.robot.pk if registration else 1
    version = registration.wanted_version_id if registration else None
    wanted = [{"robot": robot, "code": code, "version": version, "number": 1, "action": "add"}]
    return PushItem.objects.create(push=push, portal=portal, state=state, wanted=wanted, **fields)


def made(**fields):
    return Push.objects.create(ordered_by="anna", ordered_at=NOW, codes=["discount"], **fields)


def refused(why="Empty activity NAME!", error_code="ERROR_ACTIVITY_VALIDATION_FAILURE"):
    return [{"code": "discount", "action": "add", "done": False, "why": why, "error_code": error_code}]


def page(client, push):
    return client.get(reverse("admin:robots_push_change", args=[push.pk]))


def test_the_page_tells_who_what_where_and_what_the_portal_said():
    push = made(ended_at=NOW)
    item_of(push, "failed", outcomes=refused())
    item_of(push, "done", outcomes=[{**refused()[0], "done": True}])
    answer = page(signed_in("auditors"), push)
    text = answer.content.decode()
    assert "anna" in text and "Empty activity NAME!" in text and "Correct the robot" in text
    assert "add: 1" in text
    assert answer.context["rows"][0]["item"].state == "failed", "what went wrong comes first"
    assert not answer.context["open"] and "live.js" not in text
    assert "Cancel the rest" not in text and "again</button>" not in text, "an auditor sees, nothing else"


def test_a_portal_that_takes_nothing_tells_what_a_person_does():
    push = made()
    portal = PortalFactory(trouble=Portal.Trouble.PLAN_LAPSED)
    item_of(push, "held", portal=portal, trouble="The plan lapsed (ACCESS_DENIED)")
    text = page(signed_in("operators"), push).content.decode()
    assert "The plan lapsed (ACCESS_DENIED)" in text and "Ask the client to renew" in text


def test_a_push_can_be_left_and_found_again():
    client = signed_in("auditors")
    push = made()
    item_of(push, "done")
    item_of(push, "waiting")
    listed = client.get(reverse("admin:robots_push_changelist")).content.decode()
    assert reverse("admin:robots_push_change", args=[push.pk]) in listed
    assert "under way: 1 of 2" in listed and "anna" in listed


def test_the_part_that_changes_is_told_by_itself():
    client = signed_in("auditors")
    push = made()
    item = item_of(push, "working")
    url = reverse("admin:robots_push_state", args=[push.pk])
    first = client.get(url)
    assert 'data-open="1"' in first.content.decode() and "<html" not in first.content.decode()
    assert "no-store" in first["Cache-Control"]
    PushItem.objects.filter(pk=item.pk).update(state="done")
    assert 'data-open=""' in client.get(url).content.decode()
    assert signed_in("stranger").get(url).status_code == 403


def test_operators_cancel_the_rest_and_try_the_failed_again():
    client = signed_in("operators")
    push = made()
    waiting = item_of(push, "waiting")
    failed = item_of(push, "failed", outcomes=refused())
    assert client.get(reverse("admin:robots_push_cancel", args=[push.pk])).status_code == 403
    client.post(reverse("admin:robots_push_cancel", args=[push.pk]))
    waiting.refresh_from_db()
    push.refresh_from_db()
    assert (waiting.state, push.cancelled_by) == ("cancelled", "of-operators")
    answer = client.post(reverse("admin:robots_push_retry", args=[push.pk]))
    again = Push.objects.get(retry_of=push)
    assert answer["Location"] == reverse("admin:robots_push_change", args=[again.pk])
    assert [item.portal_id for item in again.items.all()] == [failed.portal_id]
    assert again.ordered_by == "of-operators"
    assert f"push #{again.pk}" in page(client, push).content.decode()


@pytest.mark.parametrize("deed", ["cancel", "retry"])
def test_auditors_neither_cancel_nor_retry(deed):
    push = made()
    item_of(push, "failed", outcomes=refused())
    item_of(push, "waiting")
    assert signed_in("auditors").post(reverse(f"admin:robots_push_{deed}", args=[push.pk])).status_code == 403
    assert Push.objects.count() == 1 and push.items.filter(state="waiting").exists()


def test_a_check_leads_to_the_plan_of_what_differs():
    push = made(kind="check")
    item_of(push, "failed", outcomes=[{**refused()[0], "action": "missing", "why": "It is gone."}])
    item_of(push, "done")
    answer = page(signed_in("operators"), push)
    assert answer.context["repair"] == f"{reverse('admin:robots_push')}?repair={push.pk}"
    assert "differs" in answer.content.decode() and "not done" not in answer.content.decode()
    assert "missing" in answer.content.decode() and "It is gone." in answer.content.decode()
    assert page(signed_in("auditors"), push).context["repair"] == ""


def test_as_many_queries_for_a_hundred_portals_as_for_two():
    client = signed_in("operators")
    push = made()
    pages = [
        reverse("admin:robots_push_change", args=[push.pk]),
        reverse("admin:robots_push_changelist"),
        reverse("admin:robots_push_state", args=[push.pk]),
    ]
    counts = []
    for number in (2, 98):
        for _each in range(number):
            item_of(push, "failed", portal=PortalFactory(), outcomes=refused(), trouble="no")
        made()
        for url in pages:
            client.get(url)
            with CaptureQueriesContext(connection) as asked:
                client.get(url)
            counts.append(len(asked))
    assert counts[:3] == counts[3:]


def test_what_portals_hold_up_is_not_through():
    push = made()
    item_of(push, "done")
    item_of(push, "held", trouble="The plan lapsed")
    answer = page(signed_in("operators"), push)
    text = answer.content.decode()
    assert "1 of 2 portals are through. 1 is held up" in text and "Ended at" not in text
    assert answer.context["may_cancel"]
