"""Plan, push, progress, adoption: what is ordered, for whom, and that nothing is sent by looking."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portals import wake
from portals.models import Portal
from robots import admin_adopt
from robots.models import ForeignCode, Registration, Robot
from robots.publish import publish
from robots.push_result import PortalResult
from tests.b24app.people import signed_in
from tests.factories import NOW, ApplicationFactory, PortalFactory, RobotFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def woken(monkeypatch):
    queues = []
    monkeypatch.setattr(wake, "wake", queues.append)
    return queues


def published(**fields):
    robot = RobotFactory(**fields)
    publish(robot)
    return robot


def plan_of(client, **query):
    answer = client.get(reverse("admin:robots_push"), query)
    assert answer.status_code == 200
    return answer.context


def test_the_plan_says_what_changes_where_and_the_push_orders_it(woken):
    client = signed_in("operators")
    robot = published()
    first = PortalFactory(application=robot.application)
    second = PortalFactory(application=robot.application)
    PortalFactory(application=robot.application, state=Portal.State.UNINSTALLED)
    PortalFactory()
    context = plan_of(client, robot=robot.pk)
    assert {plan["portal"].pk for plan in context["plans"]} == {first.pk, second.pk}
    assert context["changing"] == 2
    assert not Registration.objects.exists()
    answer = client.post(reverse("admin:robots_push"), {"robot": robot.pk, "portal": first.pk})
    registration = Registration.objects.get()
    assert (registration.portal_id, registration.wanted_version.number) == (first.pk, 1)
    assert registration.due_at is not None
    assert woken == ["push"]
    assert LogEntry.objects.get().object_id == str(robot.pk)
    progress = client.get(answer["Location"])
    assert (progress.context["waiting"], progress.context["done"]) == (1, 0)
    assert 'http-equiv="refresh"' in progress.content.decode()


def test_the_progress_ends_with_what_the_portal_said():
    client = signed_in("operators")
    robot = published()
    portal = PortalFactory(application=robot.application)
    client.post(reverse("admin:robots_push"), {"robot": robot.pk, "portal": portal.pk})
    Registration.objects.update(error_code="ERROR_METHOD_NOT_FOUND", error_text="Method not found!")
    answer = client.get(reverse("admin:robots_push_progress"), {"robot": robot.pk})
    text = answer.content.decode()
    assert (answer.context["waiting"], answer.context["failed"]) == (0, 1)
    assert "Method not found!" in text and "plan does not include it" in text
    assert 'http-equiv="refresh"' not in text
    client.post(reverse("admin:robots_push"), {"robot": robot.pk, "portal": portal.pk})
    registration = Registration.objects.get()
    assert (registration.error_code, registration.due_at is not None) == ("", True)


def test_a_push_that_a_portal_holds_is_not_called_done():
    client = signed_in("operators")
    robot = published()
    portal = PortalFactory(application=robot.application, trouble=Portal.Trouble.PLAN_LAPSED)
    client.post(reverse("admin:robots_push"), {"robot": robot.pk, "portal": portal.pk})
    context = client.get(reverse("admin:robots_push_progress"), {"robot": robot.pk}).context
    assert (context["waiting"], context["held"], context["done"]) == (0, 1, 0)


def test_what_is_there_already_is_not_pushed_and_what_is_foreign_is_left(woken):
    client = signed_in("operators")
    robot = published()
    portal = PortalFactory(application=robot.application)
    ForeignCode.objects.create(portal=portal, kind="robot", code=robot.code, seen_at=robot.created_at)
    client.post(reverse("admin:robots_push"), {"robot": robot.pk, "portal": portal.pk})
    assert not Registration.objects.exists()
    assert woken == []
    (plan,) = plan_of(client, robot=robot.pk)["plans"]
    assert "foreign" in plan["steps"][0]["badge"]


def test_a_draft_never_published_is_told_so():
    robot = RobotFactory()
    PortalFactory(application=robot.application)
    (plan,) = plan_of(signed_in("operators"), robot=robot.pk)["plans"]
    assert "never published" in plan["steps"][0]["why"]


def test_a_removed_robot_is_deleted_where_it_was_pushed(woken):
    client = signed_in("operators")
    robot = published(removed_at=None)
    portal = PortalFactory(application=robot.application)
    other = PortalFactory(application=robot.application)
    version = robot.versions.get()
    Registration.objects.create(
        robot=robot,
        portal=portal,
        wanted_version=version,
        pushed_version=version,
        pushed_kind="robot",
        pushed_text=version.payload_text,
        installation=portal.installation,
    )
    Robot.objects.update(removed_at=robot.created_at)
    client.post(reverse("admin:robots_push"), {"robot": robot.pk, "portal": [portal.pk, other.pk]})
    registration = Registration.objects.get()
    assert registration.wanted_version is None and registration.due_at is not None


def test_auditors_see_no_plan_and_push_nothing():
    client = signed_in("auditors")
    robot = published()
    portal = PortalFactory(application=robot.application)
    assert client.get(reverse("admin:robots_push"), {"robot": robot.pk}).status_code == 403
    assert (
        client.post(reverse("admin:robots_push"), {"robot": robot.pk, "portal": portal.pk}).status_code == 403
    )
    assert not Registration.objects.exists()
    assert client.get(reverse("admin:robots_push_progress"), {"robot": robot.pk}).status_code == 200


def test_as_many_queries_for_a_plan_of_many_as_of_few():
    client = signed_in("operators")
    application = ApplicationFactory()
    url = reverse("admin:robots_push")

    def more(number):
        for _each in range(number):
            published(application=application)
            PortalFactory(application=application)

    more(2)
    client.get(url)
    with CaptureQueriesContext(connection) as few:
        assert len(client.get(url).context["plans"]) == 2
    more(5)
    with CaptureQueriesContext(connection) as many:
        assert len(client.get(url).context["plans"]) == 7
    assert len(many) == len(few)


def test_push_all_robots_from_the_list_of_portals():
    client = signed_in("operators")
    robot = published()
    portal = PortalFactory(application=robot.application)
    published()
    answer = client.post(
        "/admin/portals/portal/", {"action": "push_portals", "_selected_action": [portal.pk]}
    )
    context = client.get(answer["Location"]).context
    assert [plan["portal"].pk for plan in context["plans"]] == [portal.pk]
    assert context["robots"] == [robot]


def test_a_foreign_code_is_adopted_after_being_told_what_that_means(monkeypatch):
    asked = []

    def push(portal, robots, *, adopt, by):
        asked.append((portal.pk, robots, adopt, by))
        return PortalResult(portal)

    monkeypatch.setattr(admin_adopt, "push_portal", push)
    client = signed_in("operators")
    robot = published()
    portal = PortalFactory(application=robot.application)
    found = ForeignCode.objects.create(portal=portal, kind="robot", code=robot.code, seen_at=robot.created_at)
    url = reverse("admin:robots_foreigncode_adopt", args=[found.pk])
    assert url in client.get(reverse("admin:robots_foreigncode_changelist")).content.decode()
    assert "sets or clears every field" in client.get(url).content.decode()
    assert asked == []
    answer = client.post(url, follow=True)
    assert asked == [(portal.pk, [robot.code], [robot.code], "of-operators")]
    assert "is ours now" in answer.content.decode()
    auditor = signed_in("auditors")
    assert auditor.post(url).status_code == 403
    assert url not in auditor.get(reverse("admin:robots_foreigncode_changelist")).content.decode()


def test_a_foreign_code_without_a_robot_of_ours_is_not_adopted(monkeypatch):
    monkeypatch.setattr(admin_adopt, "push_portal", None)
    client = signed_in("operators")
    found = ForeignCode.objects.create(portal=PortalFactory(), kind="robot", code="theirs", seen_at=NOW)
    answer = client.post(reverse("admin:robots_foreigncode_adopt", args=[found.pk]))
    assert "There is no published robot with this code" in answer.content.decode()
