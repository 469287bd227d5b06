"""A robot's page: typed into a definition, rules beside their fields, publish, plan, push, test run."""

from __future__ import annotations

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portals import wake
from portals.models import Portal
from robots import admin_adopt
from robots.definition import definition_of, write_definition
from robots.models import ForeignCode, Property, Registration, Robot
from robots.publish import publish
from robots.push_result import PortalResult
from tests.b24app.people import signed_in
from tests.factories import NOW, ApplicationFactory, PortalFactory, RobotFactory

pytestmark = pytest.mark.django_db

ADD = "/admin/robots/robot/add/"
FULL = {
    "code": "full",
    "kind": "robot",
    "name": {"en": "Full", "ru": "Полный", "de": "Voll"},
    "description": "As it is",
    "subscription": "no_wait",
    "auth_user_id": 7,
    "document_type": ["crm", "CCrmDocumentDeal", "DEAL"],
    "filter": {
        "include": ["b24", ["crm", "CCrmDocumentDeal"], ["crm", "X", "DYNAMIC_177"]],
        "exclude": ["box"],
    },
    "properties": [
        {
            "id": "size",
            "type": "select",
            "name": {"en": "Size"},
            "description": {"ru": "Размер"},
            "options": {"s": "Small", "l": {"en": "Large", "ru": "Большой"}},
            "default": "s",
            "required": True,
        },
        {"id": "tags", "type": "string", "name": "Tags", "multiple": True, "default": ["a", "b"]},
        {"id": "flag", "type": "bool", "name": "Flag", "default": True},
    ],
    "return_properties": [{"id": "total", "type": "double", "name": {"en": "Total"}}],
    "compute": {"type": "expression", "returns": {"total": "len(tags) * 2"}, "log": "{total}"},
    "on_failure": "release",
}


@pytest.fixture
def integrator():
    return signed_in("integrators")


@pytest.fixture(autouse=True)
def woken(monkeypatch):
    queues = []
    monkeypatch.setattr(wake, "wake", queues.append)
    return queues


def posted(client, url):
    """What a browser would send back of the page as it is."""
    page = client.get(url)
    assert page.status_code == 200
    data = {}
    forms = [page.context["adminform"].form]
    for inline in page.context["inline_admin_formsets"]:
        formset = inline.formset
        forms += [formset.management_form, *formset.forms]
    for form in forms:
        for bound in form:
            flatten(data, bound.field.widget, bound.html_name, bound.value())
    return data


def flatten(data, widget, name, value):
    if hasattr(widget, "widgets"):
        values = (
            value
            if isinstance(value, list) and len(value) == len(widget.widgets)
            else widget.decompress(value)
        )
        # decompress of a list of entries is not to be taken for the list of parts
        if widget.__class__.__name__ == "FilterSideWidget":
            values = widget.decompress(value)
        for part, suffix, each in zip(widget.widgets, widget.widgets_names, values, strict=True):
            flatten(data, part, name + suffix, each)
    elif widget.__class__.__name__ == "CheckboxInput":
        if value:
            data[name] = "on"
    elif value not in (None, ""):
        data[name] = value


def typed(application, **changed):
    """A new robot `double` as typed into the empty form: one input, one output."""
    data = {
        "application": application.pk,
        "code": "double",
        "kind": "robot",
        "name_en": "Double",
        "name_ru": "Удвоить",
        "subscription": "wait",
        "on_failure": "hold",
        "compute_type": "expression",
        "returns": "total = amount * 2",
        "log": "{amount} gives {total}",
    }
    for prefix, identifier in (("properties", "amount"), ("properties-2", "total")):
        data |= {
            f"{prefix}-TOTAL_FORMS": 1,
            f"{prefix}-INITIAL_FORMS": 0,
            f"{prefix}-0-identifier": identifier,
            f"{prefix}-0-type": "double",
            f"{prefix}-0-name_en": identifier.title(),
        }
    return data | changed


def change_url(robot):
    return reverse("admin:robots_robot_change", args=[robot.pk])


def test_a_new_robot_is_what_was_typed(integrator):
    answer = integrator.post(ADD, typed(ApplicationFactory()))
    assert answer.status_code == 302, answer.context["errors"]
    definition = definition_of(Robot.objects.get())
    assert definition["name"] == {"en": "Double", "ru": "Удвоить"}
    assert definition["compute"] == {
        "type": "expression",
        "returns": {"total": "amount * 2"},
        "log": "{amount} gives {total}",
    }
    assert [item["id"] for item in definition["properties"]] == ["amount"]
    assert [item["id"] for item in definition["return_properties"]] == ["total"]


def test_the_form_keeps_all_that_a_catalog_file_can_say(integrator):
    robot, _changed = write_definition(ApplicationFactory(), FULL)
    before = definition_of(robot)
    history = robot.history.count()
    answer = integrator.post(change_url(robot), posted(integrator, change_url(robot)))
    assert answer.status_code == 302, answer.context["errors"]
    robot = Robot.objects.get()
    assert definition_of(robot) == before
    assert robot.history.count() == history
    assert Property.objects.count() == 4


def test_a_property_is_changed_moved_added_and_deleted(integrator):
    robot, _changed = write_definition(ApplicationFactory(), FULL)
    data = posted(integrator, change_url(robot))
    data |= {
        "properties-0-position": 5,
        "properties-1-name_en": "Labels",
        "properties-1-default": "x\r\ny",
        "properties-2-DELETE": "on",
        "properties-3-identifier": "fresh",
        "properties-3-type": "int",
        "properties-3-name_en": "Fresh",
    }
    answer = integrator.post(change_url(robot), data)
    assert answer.status_code == 302, answer.context["errors"]
    items = definition_of(Robot.objects.get())["properties"]
    assert [item["id"] for item in items] == ["tags", "size", "fresh"]
    assert (items[0]["name"], items[0]["default"]) == ({"en": "Labels"}, ["x", "y"])


@pytest.mark.parametrize(
    ("changed", "where", "said"),
    [
        ({"code": "not good"}, "code", "valid value"),
        ({"code": ""}, "code", "required"),
        ({"name_en": ""}, "name", "en"),
        ({"name_en": "", "name_ru": ""}, "name", "name is needed"),
        ({"name_others": "nonsense"}, "name", "one line each"),
        ({"document_type": "crm, DEAL"}, "document_type", "three parts"),
        ({"include_others": "a, b, c, d"}, "include", "no filter entry"),
        ({"auth_user_id": "0"}, "auth_user_id", "1 or above"),
        ({"returns": "total = amount +"}, "returns", ""),
        ({"returns": "total = ghost * 2"}, "returns", "ghost"),
        ({"returns": "ghost = amount"}, "returns", "ghost"),
        ({"returns": "nonsense"}, "returns", "output = expression"),
        ({"log": "{ghost}"}, "log", "ghost"),
        ({"compute_type": "python", "function": "no.such"}, "function", "no.such"),
        ({"properties-0-identifier": "Title"}, "properties-0-identifier", "owns"),
        ({"properties-0-identifier": "TOTAL"}, "properties-2-0-identifier", "one slot"),
        ({"properties-0-type": "nonsense"}, "properties-0-type", "no type"),
        ({"properties-0-type": "select"}, "properties-0-options", "needs options"),
        ({"properties-0-options": "nonsense"}, "properties-0-options", "value = Title"),
        ({"properties-0-default": "abc"}, "properties-0-default", "should be"),
        ({"properties-0-name_en": ""}, "properties-0-name", "name is needed"),
    ],
)
def test_a_rule_speaks_beside_its_field(integrator, changed, where, said):
    answer = integrator.post(ADD, typed(ApplicationFactory(), **changed))
    assert answer.status_code == 200
    assert not Robot.objects.exists()
    forms = [answer.context["adminform"].form]
    for inline in answer.context["inline_admin_formsets"]:
        forms += inline.formset.forms
    found = {
        form.add_prefix(name): " ".join(errors) for form in forms for name, errors in form.errors.items()
    }
    assert where in found, found
    assert said in found[where]


def test_a_code_that_is_taken_is_refused(integrator):
    robot = RobotFactory(code="double")
    answer = integrator.post(ADD, typed(robot.application))
    assert answer.status_code == 200
    assert Robot.objects.count() == 1


def test_the_code_of_a_published_robot_stays(integrator):
    robot = RobotFactory()
    publish(robot)
    answer = integrator.post(change_url(robot), posted(integrator, change_url(robot)) | {"code": "other"})
    assert answer.status_code == 302
    assert Robot.objects.get().code == robot.code


def test_save_and_publish_is_one_click(integrator):
    application = ApplicationFactory()
    integrator.post(ADD, typed(application, _publish="1", publish_note="The first"))
    robot = Robot.objects.get()
    version = robot.versions.get()
    assert (version.number, version.note, version.published_by) == (1, "The first", "of-integrators")
    answer = integrator.post(
        change_url(robot), posted(integrator, change_url(robot)) | {"_publish": "1"}, follow=True
    )
    assert "Nothing changed since version 1." in answer.content.decode()
    data = posted(integrator, change_url(robot)) | {"_publish": "1", "properties-0-type": "int"}
    answer = integrator.post(change_url(robot), data, follow=True)
    assert robot.versions.count() == 2
    assert "Breaking: " in answer.content.decode()


def test_only_integrators_publish_and_write():
    robot = RobotFactory()
    for group in ("auditors", "operators"):
        client = signed_in(group)
        page = client.get(change_url(robot)).content.decode()
        assert "_publish" not in page and 'name="code"' not in page and robot.code in page
        assert client.post(change_url(robot), {"_publish": "1"}).status_code == 403
        assert client.get(reverse("admin:robots_robot_trial", args=[robot.pk])).status_code == 403
        assert client.post(reverse("admin:robots_robot_duplicate", args=[robot.pk])).status_code == 403
    assert Robot.objects.count() == 1


def test_duplicate_and_remove(integrator):
    robot, _changed = write_definition(ApplicationFactory(), FULL)
    integrator.post(reverse("admin:robots_robot_duplicate", args=[robot.pk]))
    made = Robot.objects.exclude(pk=robot.pk).get()
    assert definition_of(made) == {**definition_of(robot), "code": "full_2"}
    integrator.post("/admin/robots/robot/", {"action": "remove_robots", "_selected_action": [made.pk]})
    made.refresh_from_db()
    assert made.removed_at is not None


def test_what_is_left_out_is_warned_of(integrator):
    robot = RobotFactory(subscription="choice")
    assert "Left out, a portal may let" in integrator.get(change_url(robot)).content.decode()


@pytest.mark.parametrize("word", ["скид", "DISC", "rabatt", "Percent off"])
def test_a_robot_is_found_by_its_code_and_name_in_any_language(integrator, word):
    robot = RobotFactory(code="discount", name={"en": "Percent off", "ru": "Скидка", "de": "Rabatt"})
    RobotFactory(code="other", name="Other")
    found = integrator.get("/admin/robots/robot/", {"q": word}).context["cl"].result_list
    assert [each.pk for each in found] == [robot.pk]


# Plan and push


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


# Test run


def test_a_test_run_shows_values_and_the_exact_send(integrator):
    robot = RobotFactory(
        compute={"type": "expression", "returns": {"total": "amount * 2"}, "log": "gives {total}"}
    )
    url = reverse("admin:robots_robot_trial", args=[robot.pk])
    assert 'name="in_amount"' in integrator.get(url).content.decode()
    answer = integrator.post(url, {"in_amount": "21"})
    outcome = answer.context["outcome"]
    assert outcome["values"] == {"total": "42"}
    assert json.loads(outcome["sent"]) == {
        "EVENT_TOKEN": "…",
        "RETURN_VALUES": {"total": "42"},
        "LOG_MESSAGE": "gives 42",
    }
    assert "gives 42" in answer.content.decode()


def test_a_test_run_of_a_wrong_input_says_so(integrator):
    robot = RobotFactory()
    answer = integrator.post(reverse("admin:robots_robot_trial", args=[robot.pk]), {"in_amount": "abc"})
    assert "“amount” came as “abc”" in answer.context["outcome"]["sentence"]


def test_a_draft_that_breaks_rules_is_not_run(integrator):
    robot = RobotFactory(compute={"type": "expression", "returns": {"total": "ghost"}})
    answer = integrator.post(reverse("admin:robots_robot_trial", args=[robot.pk]), {"in_amount": "1"})
    assert answer.context["outcome"] is None
    assert "ghost" in answer.content.decode()


# Versions and foreign codes


def test_a_version_says_what_changed_and_whether_it_breaks(integrator):
    robot = RobotFactory()
    first = publish(robot)
    Property.objects.filter(robot=robot, identifier="amount").update(type="int")
    second = publish(robot)
    page = integrator.get(reverse("admin:robots_robotversion_change", args=[first.pk])).content.decode()
    assert "the first version" in page
    page = integrator.get(reverse("admin:robots_robotversion_change", args=[second.pk])).content.decode()
    assert "breaking" in page and "PROPERTIES.amount.Type" in page


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
