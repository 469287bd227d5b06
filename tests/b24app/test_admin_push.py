"""Plan, push, progress, adoption: what is ordered, for whom, and that nothing is sent by looking."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portals import wake
from portals.models import Portal, PortalGroup
from robots.models import ForeignCode, Push, PushItem, Registration, Robot
from robots.publish import publish
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
    assert not Push.objects.exists()
    answer = client.post(reverse("admin:robots_push"), {"robot": robot.pk, "portal": first.pk})
    push = Push.objects.get()
    item = push.items.get()
    assert (push.ordered_by, push.codes, item.portal_id) == ("of-operators", [robot.code], first.pk)
    version = robot.versions.get()
    assert item.wanted == [
        {"robot": robot.pk, "code": robot.code, "version": version.pk, "number": 1, "action": "add"}
    ]
    assert not Registration.objects.exists(), "nothing is wanted before the push is carried out"
    assert woken == ["push"]
    assert LogEntry.objects.get().object_id == str(robot.pk)
    page = client.get(answer["Location"])
    assert (page.context["open"], page.context["may_cancel"], page.context["may_retry"]) == (
        True,
        True,
        False,
    )
    assert "live.js" in page.content.decode() and "Look again" in page.content.decode()


def test_a_push_of_no_portal_is_told_and_stores_nothing(woken):
    client = signed_in("operators")
    robot = published()
    PortalFactory(application=robot.application)
    answer = client.post(reverse("admin:robots_push"), {"robot": robot.pk}, follow=True)
    assert "No portal was ticked" in answer.content.decode()
    assert not Push.objects.exists() and woken == []


def test_what_is_there_already_is_not_pushed_and_what_is_foreign_is_left(woken):
    client = signed_in("operators")
    robot = published()
    portal = PortalFactory(application=robot.application)
    ForeignCode.objects.create(portal=portal, kind="robot", code=robot.code, seen_at=robot.created_at)
    client.post(reverse("admin:robots_push"), {"robot": robot.pk, "portal": portal.pk})
    assert not Push.objects.exists()
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
    item = PushItem.objects.get()
    assert (item.portal_id, item.wanted[0]["version"], item.wanted[0]["action"]) == (
        portal.pk,
        None,
        "delete",
    )


def test_auditors_see_no_plan_and_push_nothing():
    client = signed_in("auditors")
    robot = published()
    portal = PortalFactory(application=robot.application)
    assert client.get(reverse("admin:robots_push"), {"robot": robot.pk}).status_code == 403
    assert (
        client.post(reverse("admin:robots_push"), {"robot": robot.pk, "portal": portal.pk}).status_code == 403
    )
    assert not Push.objects.exists()


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


def test_a_foreign_code_is_adopted_after_being_told_what_that_means(woken):
    client = signed_in("operators")
    robot = published()
    portal = PortalFactory(application=robot.application)
    found = ForeignCode.objects.create(portal=portal, kind="robot", code=robot.code, seen_at=robot.created_at)
    url = reverse("admin:robots_foreigncode_adopt", args=[found.pk])
    assert url in client.get(reverse("admin:robots_foreigncode_changelist")).content.decode()
    assert "sets or clears every field" in client.get(url).content.decode()
    assert not Push.objects.exists()
    answer = client.post(url)
    push = Push.objects.get()
    assert answer["Location"] == reverse("admin:robots_push_change", args=[push.pk])
    assert (push.adopt, push.items.get().wanted[0]["action"], woken) == ([robot.code], "update", ["push"])
    auditor = signed_in("auditors")
    assert auditor.post(url).status_code == 403
    assert url not in auditor.get(reverse("admin:robots_foreigncode_changelist")).content.decode()


def test_a_foreign_code_without_a_robot_of_ours_is_not_adopted():
    client = signed_in("operators")
    found = ForeignCode.objects.create(portal=PortalFactory(), kind="robot", code="theirs", seen_at=NOW)
    answer = client.post(reverse("admin:robots_foreigncode_adopt", args=[found.pk]))
    assert "There is no published robot with this code" in answer.content.decode()
    assert not Push.objects.exists()


def test_an_older_version_goes_to_the_portals_that_are_ticked():
    client = signed_in("operators")
    robot = published()
    first = robot.versions.get()
    portal = PortalFactory(application=robot.application)
    PortalFactory(application=robot.application)
    robot.description = "Other words"
    robot.save()
    second = publish(robot)
    Registration.objects.create(
        robot=robot,
        portal=portal,
        wanted_version=second,
        pushed_version=second,
        pushed_kind="robot",
        pushed_text=second.payload_text,
        installation=portal.installation,
    )
    listed = client.get(reverse("admin:robots_robotversion_changelist")).content.decode()
    assert f"{reverse('admin:robots_push')}?version={first.pk}" in listed
    page = client.get(reverse("admin:robots_push"), {"version": first.pk})
    text = page.content.decode()
    assert "older than what is there" in text and f'value="{portal.pk}" checked' not in text
    client.post(reverse("admin:robots_push"), {"version": first.pk, "robot": robot.pk, "portal": portal.pk})
    item = PushItem.objects.get()
    assert (item.portal_id, item.wanted[0]["version"], item.wanted[0]["number"]) == (portal.pk, first.pk, 1)


def test_a_plan_for_the_portals_of_a_group():
    client = signed_in("operators")
    robot = published()
    portal = PortalFactory(application=robot.application)
    PortalFactory(application=robot.application)
    group = PortalGroup.objects.create(name="canary")
    portal.groups.add(group)
    context = plan_of(client, robot=robot.pk, group=group.pk)
    assert [plan["portal"].pk for plan in context["plans"]] == [portal.pk]


def test_checks_are_ordered_not_made_in_the_page(woken):
    client = signed_in("operators")
    portal = PortalFactory()
    gone = PortalFactory(state=Portal.State.UNINSTALLED)
    answer = client.post(
        "/admin/portals/portal/", {"action": "check_portals", "_selected_action": [portal.pk, gone.pk]}
    )
    check = Push.objects.get()
    assert (check.kind, [item.portal_id for item in check.items.all()], woken) == (
        "check",
        [portal.pk],
        ["push"],
    )
    assert answer["Location"] == reverse("admin:robots_push_change", args=[check.pk])
