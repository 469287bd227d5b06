"""A robot's page: typed into a definition, rules beside their fields, publish, plan, push, test run."""

from __future__ import annotations

import pytest
from django.urls import reverse

from robots.definition import definition_of, write_definition
from robots.models import Property, Robot
from robots.publish import publish
from tests.b24app.people import signed_in
from tests.b24app.rendered_form import sent_by_browser
from tests.factories import ApplicationFactory, RobotFactory

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


def posted(client, url):
    """What a browser would send back of the page as it is."""
    page = client.get(url)
    assert page.status_code == 200
    return sent_by_browser(page.content.decode(), "robot_form")


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
        ({"code": "not good"}, "code", "only the characters a-z, A-Z, 0-9"),
        ({"properties-0-identifier": "2 b"}, "properties-0-identifier", "begins with a letter"),
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


def test_warnings_name_what_the_page_names(integrator):
    robot = RobotFactory(subscription="choice", filter={"include": ["b24", ["crm"]], "exclude": []})
    Property.objects.create(
        robot=robot, direction="in", position=9, identifier="until", type="time", name="Until"
    )
    warnings = integrator.get(change_url(robot)).context["warnings"]
    assert [text.split(":")[0] for text in warnings] == ["Waiting", "Shown for", "until"]
    assert "Choose “waits for the result”" in warnings[0]


def test_an_input_that_was_deleted_meanwhile_is_told_beside_it(integrator):
    robot, _changed = write_definition(ApplicationFactory(), FULL)
    stale = posted(integrator, change_url(robot))
    Property.objects.get(identifier="tags").delete()
    answer = integrator.post(change_url(robot), stale)
    page = answer.content.decode()
    assert "Somebody deleted this meanwhile" in page
    # What else was typed is still there, and the row can be left away.
    again = sent_by_browser(page, "robot_form")
    assert [again[f"properties-{row}-identifier"] for row in range(3)] == ["size", "tags", "flag"]
    assert 'name="properties-1-DELETE"' in page
    again |= {"properties-1-DELETE": "on", "returns": "total = 2"}
    answer = integrator.post(change_url(robot), again)
    assert answer.status_code == 302, answer.context["errors"]
    found = definition_of(Robot.objects.get())
    assert [item["id"] for item in found["properties"]] == ["size", "flag"]


def test_an_older_pages_save_undoes_nothing_unasked(integrator):
    robot, _changed = write_definition(ApplicationFactory(), FULL)
    stale = posted(integrator, change_url(robot))
    newer = definition_of(robot)
    newer["properties"].append({**newer["properties"][0], "id": "came_meanwhile"})
    write_definition(robot.application, newer, Robot.objects.get())
    answer = integrator.post(change_url(robot), stale)
    assert "Somebody changed this robot since this page was opened" in answer.content.decode()
    assert "came_meanwhile" in [item["id"] for item in definition_of(Robot.objects.get())["properties"]]
    # Told once, the person decides.
    assert (
        integrator.post(change_url(robot), sent_by_browser(answer.content.decode(), "robot_form")).status_code
        == 302
    )
    assert "came_meanwhile" not in [item["id"] for item in definition_of(Robot.objects.get())["properties"]]


@pytest.mark.parametrize("word", ["скид", "DISC", "rabatt", "Percent off"])
def test_a_robot_is_found_by_its_code_and_name_in_any_language(integrator, word):
    robot = RobotFactory(code="discount", name={"en": "Percent off", "ru": "Скидка", "de": "Rabatt"})
    RobotFactory(code="other", name="Other")
    found = integrator.get("/admin/robots/robot/", {"q": word}).context["cl"].result_list
    assert [each.pk for each in found] == [robot.pk]


# Versions


def test_a_version_says_what_changed_and_whether_it_breaks(integrator):
    robot = RobotFactory()
    first = publish(robot)
    Property.objects.filter(robot=robot, identifier="amount").update(type="int")
    second = publish(robot)
    page = integrator.get(reverse("admin:robots_robotversion_change", args=[first.pk])).content.decode()
    assert "the first version" in page
    page = integrator.get(reverse("admin:robots_robotversion_change", args=[second.pk])).content.decode()
    assert "breaking" in page and "PROPERTIES.amount.Type" in page
