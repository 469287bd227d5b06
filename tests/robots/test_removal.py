"""A removed robot: pending until its portals deleted it, told where people look, brought back by who means it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from robots.definition import definition_of
from robots.models import Registration, Robot
from robots.push import push_portal
from robots.removal import remove
from tests.b24app.people import signed_in
from tests.b24app.rendered_form import sent_by_browser
from tests.factories import RobotFactory
from tests.robots.portal_lab import PortalLab

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/robots/robot/"


@pytest.fixture
def integrator() -> Client:
    return signed_in("integrators")


def page(client: Client, robot: Robot) -> str:
    return client.get(reverse("admin:robots_robot_change", args=[robot.pk])).content.decode()


def does(client: Client, what: str, robot: Robot) -> str:
    answer = client.post(reverse(f"admin:robots_robot_{what}", args=[robot.pk]), follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def listed(client: Client) -> list[str]:
    return [robot.code for robot in client.get(LIST, {"pushed": "no"}).context["cl"].result_list]


def needs(client: Client) -> list[str]:
    return [need.words for need in client.get("/admin/").context["needs"] if "published" in need.words]


def test_a_robot_is_removed_on_its_page_pushed_away_and_brought_back(
    lab: PortalLab, integrator: Client
) -> None:
    robot = lab.robot("x")
    push_portal(lab.portal)
    assert (listed(integrator), needs(integrator)) == ([], [])
    assert "Remove this robot" in page(integrator, robot)
    assert "“x” is removed. Push it now" in does(integrator, "remove", robot)
    robot.refresh_from_db()
    assert robot.removed_at is not None
    assert robot.history.count() == 2
    # Somebody has to push: it says so where people look.
    assert "removed: the next push deletes it" in page(integrator, robot)
    assert listed(integrator) == ["x"]
    assert needs(integrator) == ["1 robot is published or removed, and not pushed to every portal"]
    push_portal(lab.portal)
    assert "x" not in lab.there()
    assert "removed, on no portal" in page(integrator, robot)
    assert "the next push deletes it" not in page(integrator, robot)
    assert (listed(integrator), needs(integrator)) == ([], [])
    # And back.
    assert "Bring it back" in page(integrator, robot)
    assert "“x” is back" in does(integrator, "restore", robot)
    assert listed(integrator) == ["x"]
    push_portal(lab.portal)
    assert "x" in lab.there()
    assert (listed(integrator), needs(integrator)) == ([], [])


def test_what_a_portal_that_left_holds_waits_for_nobody(lab: PortalLab, integrator: Client) -> None:
    robot = lab.robot("x")
    push_portal(lab.portal)
    remove(robot)
    lab.portal.state = "uninstalled"
    lab.portal.save()
    assert listed(integrator) == []
    lab.portal.state = "installed"
    lab.portal.save()
    assert listed(integrator) == ["x"]
    Registration.objects.update(observed=Registration.Observed.MISSING)
    assert listed(integrator) == []


@pytest.mark.parametrize("button", ["_save", "_publish"])
def test_an_edit_does_not_take_a_removed_robot_back(lab: PortalLab, integrator: Client, button: str) -> None:
    robot = lab.robot("x")
    remove(robot)
    text = page(integrator, robot)
    assert "Save and publish" not in text and "Remove this robot" not in text
    typed: dict[str, Any] = sent_by_browser(text, "robot_form") | {"name_en": "Other", button: "1"}
    address = reverse("admin:robots_robot_change", args=[robot.pk])
    answer = integrator.post(address, typed, follow=True)
    robot.refresh_from_db()
    assert robot.removed_at is not None
    assert definition_of(robot)["name"]["en"] == "Other"
    assert robot.versions.count() == 1
    assert ("bring it back first" in answer.content.decode()) == (button == "_publish")


def test_the_list_offers_what_can_be_done(integrator: Client) -> None:
    robot = RobotFactory()
    text = integrator.get(LIST).content.decode()
    assert "delete_selected" not in text and 'value="remove_robots"' in text
    # Never published: it can be deleted, and there is nothing to remove.
    text = page(integrator, robot)
    assert "deletelink" in text and "Remove this robot" not in text


@pytest.mark.parametrize("group", ["auditors", "operators"])
def test_only_who_may_write_removes(group: str) -> None:
    robot, client = RobotFactory(), signed_in(group)
    for what in ("remove", "restore"):
        address = reverse(f"admin:robots_robot_{what}", args=[robot.pk])
        assert client.post(address).status_code == 403
    assert client.get(LIST).status_code == 200
    assert not Robot.objects.filter(removed_at__isnull=False).exists()
