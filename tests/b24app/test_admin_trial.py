"""A test run from a robot's page: values, log and the exact send; nothing goes to a portal."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from portals.models import Portal
from robots.admin_trial import lends
from tests.b24app.people import signed_in
from tests.factories import PortalFactory, PropertyFactory, RobotFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def integrator():
    return signed_in("integrators")


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


def test_s6_dates_are_read_as_on_the_portal_that_is_chosen(integrator):
    robot = RobotFactory(properties=False, compute={"type": "expression", "returns": {"day": "start"}})
    PropertyFactory(robot=robot, direction="in", identifier="start", type="date")
    PropertyFactory(robot=robot, direction="out", identifier="day", type="date")
    portal = PortalFactory(
        application=robot.application, time_zone="America/New_York", date_format=Portal.DateFormat.DMY
    )
    url = reverse("admin:robots_robot_trial", args=[robot.pk])
    on_portal = integrator.post(url, {"portal": portal.pk, "in_start": "04/05/2026"})
    assert on_portal.context["outcome"]["values"] == {"day": "2026-05-04T00:00:00-04:00"}
    without = integrator.post(url, {"in_start": "04/05/2026"})
    assert without.context["outcome"]["values"] == {"day": "2026-04-05T00:00:00+00:00"}
    other = integrator.post(url, {"portal": PortalFactory().pk, "in_start": "04/05/2026"})
    assert other.context["outcome"] is None, "a portal of another application"


@pytest.mark.parametrize(
    ("endpoint", "allowed", "lent"),
    [
        ("http://127.0.0.1:8900/p/alfa/rest/", True, True),
        ("http://alfa.localhost:8900/rest/", True, True),
        ("http://127.0.0.1:8900/p/alfa/rest/", False, False),
        ("https://client.bitrix24.com/rest/", True, False),
        ("https://127.0.0.1.evil.com/rest/", True, False),
        ("", True, False),
    ],
)
def test_only_a_portal_on_this_machine_is_a_sandbox(integrator, settings, endpoint, allowed, lent):
    settings.B24_ALLOW_HTTP = allowed
    robot = RobotFactory()
    portal = PortalFactory(application=robot.application, client_endpoint=endpoint)
    assert lends(portal) is lent
    page = integrator.get(reverse("admin:robots_robot_trial", args=[robot.pk])).content.decode()
    assert (f"{portal.domain} (sandbox" in page) is lent and portal.domain in page
    portal.state = Portal.State.UNINSTALLED
    assert not lends(portal)
