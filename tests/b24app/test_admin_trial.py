"""A test run from a robot's page: values, log and the exact send; nothing goes to a portal."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from tests.b24app.people import signed_in
from tests.factories import RobotFactory

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
