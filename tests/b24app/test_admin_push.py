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
        {
            "robot": robot.pk,
            "code": robot.code,
            "version": version.pk,
            "number": 1,
            "before": None,
            "action": "add",
        }
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


def rolled_back(robot):
    """The robot's first version is wanted and was pushed; a breaking one is newer."""
    first = robot.versions.get()
    robot.properties.filter(identifier="amount").update(type="int")
    publish(Robot.objects.get(pk=robot.pk))
    portal = PortalFactory(application=robot.application)
    registration = Registration.objects.create(
        robot=robot,
        portal=portal,
        wanted_version=first,
        pushed_version=first,
        pushed_kind="robot",
        pushed_text=first.payload_text,
        installation=portal.installation,
        observed=Registration.Observed.MISSING,
    )
    return portal, registration, first


def test_the_repair_after_a_check_undoes_no_rollback_and_pushes_nothing_new(woken):
    client = signed_in("operators")
    robot = published()
    portal, _registration, first = rolled_back(robot)
    published(application=robot.application)
    check = Push.objects.create(kind="check", ordered_by="anna", ordered_at=NOW)
    outcome = {"code": robot.code, "action": "missing", "done": False, "why": "", "error_code": "gone"}
    PushItem.objects.create(push=check, portal=portal, state="failed", outcomes=[outcome])
    page = client.get(reverse("admin:robots_push_change", args=[check.pk]))
    assert page.context["repair"] == f"{reverse('admin:robots_push')}?repair={check.pk}"
    assert "It is gone from the portal." in page.content.decode() and "not done" not in page.content.decode()
    answer = client.get(page.context["repair"])
    (plan,) = answer.context["plans"]
    assert [(step["robot"], step["version"]) for step in plan["steps"]] == [(robot, first)]
    assert f"What check #{check.pk} found" in answer.content.decode()
    client.post(
        reverse("admin:robots_push"),
        {
            "repair": check.pk,
            "portal": portal.pk,
            "robot": robot.pk,
            "steps": "1",
            "step": plan["steps"][0]["tick"],
        },
    )
    item = PushItem.objects.get(push__kind="push")
    assert [(each["code"], each["version"]) for each in item.wanted] == [(robot.code, first.pk)]


def test_of_a_portals_steps_those_left_ticked_are_pushed(woken):
    client = signed_in("operators")
    one = published()
    two = published(application=one.application)
    portal = PortalFactory(application=one.application)
    (plan,) = plan_of(client, portal=portal.pk)["plans"]
    ticks = {step["robot"].pk: step["tick"] for step in plan["steps"]}
    posted = {"portal": portal.pk, "robot": [one.pk, two.pk], "steps": "1"}
    client.post(reverse("admin:robots_push"), posted)
    assert not Push.objects.exists(), "none was left ticked"
    client.post(reverse("admin:robots_push"), {**posted, "step": ticks[two.pk]})
    assert [each["code"] for each in PushItem.objects.get().wanted] == [two.code]


def test_the_plan_of_a_breaking_version_says_what_it_means_for_placed_robots():
    robot = published()
    rolled_back(robot)
    Registration.objects.update(observed=Registration.Observed.PRESENT)
    client = signed_in("operators")
    text = client.get(reverse("admin:robots_push"), {"robot": robot.pk}).content.decode()
    assert "breaking" in text and "Input “amount” was double and is int." in text
    assert "Robots that are placed already keep the settings" in text
    newest = robot.versions.get(number=2)
    page = client.get(reverse("admin:robots_robotversion_change", args=[newest.pk])).content.decode()
    assert "Robots that are placed already keep the settings" in page


def test_a_foreign_codes_own_page_leads_to_its_adoption():
    found = ForeignCode.objects.create(portal=PortalFactory(), kind="robot", code="theirs", seen_at=NOW)
    page = reverse("admin:robots_foreigncode_change", args=[found.pk])
    adopt = reverse("admin:robots_foreigncode_adopt", args=[found.pk])
    assert adopt in signed_in("operators").get(page).content.decode()
    assert adopt not in signed_in("auditors").get(page).content.decode()


def test_what_a_portal_lost_is_told_where_a_person_looks_first():
    robot = published()
    portal, registration, _first = rolled_back(robot)
    client = signed_in("operators")
    assert "1 robot is missing on its portal" in client.get("/admin/").content.decode()
    listed = client.get("/admin/robots/registration/?lost=yes").context["cl"].result_list
    assert list(listed) == [registration]
    page = client.get(reverse("admin:portals_portal_change", args=[portal.pk])).content.decode()
    assert "1 robot is missing there" in page and "installed and working" not in page
    assert "will be pushed again" not in page and "nothing does so by itself" in page
    row = client.get("/admin/portals/portal/").context["cl"].result_list[0]
    assert "hub-bad" in row.column_robots
    registration.due_at = NOW
    registration.save()
    assert "missing on its portal" not in client.get("/admin/").content.decode()
    page = client.get(reverse("admin:portals_portal_change", args=[portal.pk])).content.decode()
    assert "it is pushed again by itself" in page
