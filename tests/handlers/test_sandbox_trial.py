"""A test run on a portal of the sandbox: robot code asks it, and no result is sent (issue 11)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.urls import reverse

import demo.demo_robots.robot_handlers  # noqa: F401  (registers what the draft names)
from tests.b24app.people import signed_in
from tests.factories import PropertyFactory, RobotFactory
from tests.handlers.rig import Rig

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_sandbox_portal_answers_a_test_run(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBOT_APPS", "demo.demo_robots")
    rig = make_rig()
    robot = RobotFactory(
        application=rig.application,
        properties=False,
        compute={"type": "python", "function": "demo.who_asks"},
    )
    for name, kind in {"name": "string", "user": "int", "administrator": "bool"}.items():
        PropertyFactory(robot=robot, direction="out", identifier=name, type=kind)
    url = reverse("admin:robots_robot_trial", args=[robot.pk])
    client = signed_in("integrators")
    outcome = client.post(url, {"portal": rig.portal.pk}).context["outcome"]
    assert outcome["values"]["administrator"] == "Y", outcome
    assert outcome["lines"], "what it would write into the process's log is shown"
    told = rig.stats()
    assert (told["sends"], told["logs"]) == (0, 0)
    refused = client.post(url, {"portal": ""}).context["outcome"]
    assert "not in a test run" in refused["sentence"]
