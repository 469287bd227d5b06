"""The robot's form and the catalog file say the same things: what one holds, the other neither loses nor changes."""

from __future__ import annotations

import pytest
from django.urls import reverse

from robots.definition import definition_of, write_definition
from robots.models import Robot
from tests.b24app.people import signed_in
from tests.b24app.rendered_form import sent_by_browser
from tests.b24app.test_admin_robots import ADD, typed
from tests.factories import ApplicationFactory

pytestmark = pytest.mark.django_db

PLAIN = {
    "code": "plain",
    "name": {"en": "Plain"},
    "return_properties": [{"id": "total", "type": "string", "name": "Total"}],
    "compute": {"type": "expression", "returns": {"total": "'x'"}},
}
CRM = "Bitrix\\Crm\\Integration\\BizProc\\Document\\"
DEAL = ["crm", "CCrmDocumentDeal"]
LEAD = ["crm", "CCrmDocumentLead"]


@pytest.fixture
def integrator():
    return signed_in("integrators")


def change_url(robot):
    return reverse("admin:robots_robot_change", args=[robot.pk])


def shown(client, robot):
    """What the page of the robot would send."""
    page = client.get(change_url(robot))
    assert page.status_code == 200
    return sent_by_browser(page.content.decode(), "robot_form")


def saved(client, robot, **changed):
    """The robot after *Save* on its page, with `changed` typed before."""
    answer = client.post(change_url(robot), shown(client, robot) | changed)
    assert answer.status_code == 302, errors_of(answer)
    return Robot.objects.get(pk=robot.pk)


def errors_of(answer):
    forms = [answer.context["adminform"].form]
    for inline in answer.context["inline_admin_formsets"]:
        forms += inline.formset.forms
    return {form.add_prefix(name): " ".join(errors) for form in forms for name, errors in form.errors.items()}


# Filters


FILTERS = [
    ([DEAL, LEAD], ["box"]),
    ([DEAL, "box", ["lists"]], []),
    (["b24", DEAL], []),
    (["b24"], ["box"]),
    (["box", "b24"], [["crm"], DEAL]),
    ([["crm"]], [["crm", "CCrmDocumentContact"], ["crm", "CCrmDocumentCompany", "COMPANY"]]),
    ([["crm", CRM + kind] for kind in ("Quote", "SmartInvoice", "Order", "Dynamic")], []),
    ([["crm", CRM + "Dynamic", "DYNAMIC_177"], ["crm", CRM + "Dynamic", "DYNAMIC_31"]], [["tasks"]]),
    ([["tasks", "Bitrix\\Tasks\\Integration\\Bizproc\\Document\\Task", "TASK_PROJECT_1"]], []),
    (
        [["lists", "BizprocDocument", "iblock_7"], ["lists", "Bitrix\\Lists\\BizprocDocumentLists"]],
        [["disk"]],
    ),
    ([["disk", "Bitrix\\Disk\\BizProcDocument", "STORAGE_3"]], [["my.module"], ["crm"], ["my.module"]]),
    ([], [LEAD, "b24", DEAL]),
]


@pytest.mark.parametrize(("include", "exclude"), FILTERS)
def test_a_filter_stays_as_it_is_however_often_it_is_saved(integrator, include, exclude):
    wanted = {"include": include, "exclude": exclude}
    robot, _changed = write_definition(ApplicationFactory(), PLAIN | {"filter": wanted})
    for _time in range(2):
        assert saved(integrator, robot).filter == wanted
    # And where something else of the filter is typed.
    both = saved(integrator, robot, exclude_others="a, b\r\nc").filter
    assert both["include"] == include
    assert [entry for entry in both["exclude"] if entry in (["a", "b"], ["c"])] == [["a", "b"], ["c"]]


def test_what_was_ticked_is_ticked_again(integrator):
    ticks = {
        "include_known": ["crm, CCrmDocumentDeal", "crm, CCrmDocumentLead"],
        "exclude_known": ["box"],
    }
    answer = integrator.post(ADD, typed(ApplicationFactory(), **ticks))
    assert answer.status_code == 302, errors_of(answer)
    robot = Robot.objects.get()
    page = shown(integrator, robot)
    assert {name: page[name] for name in ("include_known", "exclude_known")} == {
        "include_known": ["crm, CCrmDocumentDeal", "crm, CCrmDocumentLead"],
        "exclude_known": "box",
    }
    wanted = {"include": [DEAL, LEAD], "exclude": ["box"]}
    assert saved(integrator, robot, name_en="Another").filter == wanted
    assert saved(integrator, robot, include_known=["crm, CCrmDocumentLead", "b24"]).filter == {
        "include": [LEAD, "b24"],
        "exclude": ["box"],
    }
    assert definition_of(Robot.objects.get())["name"]["en"] == "Another"


@pytest.mark.parametrize(
    "entry", ["['crm', 'CCrmDocumentLead']", '["crm"]', "crm, my deal", "crm, DYNAMIC_…"]
)
def test_what_is_no_document_type_is_refused(integrator, entry):
    answer = integrator.post(ADD, typed(ApplicationFactory(), include_others=entry))
    assert "no filter entry" in errors_of(answer)["include"]
    assert not Robot.objects.exists()
