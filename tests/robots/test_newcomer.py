"""A portal that installs for the first time is given what the others have (design §1)."""

from __future__ import annotations

import pytest

from portals import wake
from portals.models import Application, Portal
from robots.models import Registration
from robots.push import want_all
from robots.sweep import sweep
from tests.factories import (
    ApplicationFactory,
    PortalFactory,
    RegistrationFactory,
    RobotFactory,
    RobotVersionFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    queues: list[str] = []
    monkeypatch.setattr(wake, "wake", queues.append)
    return queues


@pytest.fixture
def application() -> Application:
    return ApplicationFactory()


def portals(application: Application, count: int) -> list[Portal]:
    return [PortalFactory(application=application) for _ in range(count)]


def wanted(portal: Portal) -> dict[str, int]:
    rows = Registration.objects.filter(portal=portal, due_at__isnull=False).select_related("wanted_version")
    return {row.wanted_version.code: row.wanted_version.number for row in rows if row.wanted_version}


def test_it_gets_what_most_others_want_and_no_canary(application: Application) -> None:
    robot = RobotFactory(application=application, code="common")
    first, second = RobotVersionFactory(robot=robot), RobotVersionFactory(robot=robot)
    for portal, version in zip(portals(application, 3), (first, first, second), strict=True):
        RegistrationFactory(robot=robot, portal=portal, wanted_version=version)
    newcomer = PortalFactory(application=application)
    want_all(newcomer)
    assert wanted(newcomer) == {"common": 1}


def test_whose_installation_died_before_that_is_given_it_by_the_sweep(
    application: Application, woken: list[str]
) -> None:
    version = RobotVersionFactory(robot=RobotFactory(application=application, code="common"))
    (home,) = portals(application, 1)
    RegistrationFactory(robot=version.robot, portal=home, wanted_version=version)
    known = PortalFactory(application=application)
    newcomer = PortalFactory(application=application, robots_owed=True)
    sweep()
    assert (wanted(newcomer), wanted(known)) == ({"common": 1}, {})
    assert "push" in woken
    # Once: what people push to others later does not spread by itself.
    Registration.objects.filter(portal=newcomer).delete()
    sweep()
    assert wanted(newcomer) == {}


def test_a_robot_made_for_one_client_does_not_spread(application: Application) -> None:
    common, special = (RobotFactory(application=application, code=code) for code in ("common", "special"))
    versions = [RobotVersionFactory(robot=robot) for robot in (common, special)]
    homes = portals(application, 3)
    for portal in homes:
        RegistrationFactory(robot=common, portal=portal, wanted_version=versions[0])
    RegistrationFactory(robot=special, portal=homes[0], wanted_version=versions[1])
    newcomer = PortalFactory(application=application)
    want_all(newcomer)
    assert wanted(newcomer) == {"common": 1}


def test_removed_robots_and_uninstalled_portals_do_not_count(application: Application) -> None:
    gone = RobotFactory(application=application, code="gone", removed_at="2026-11-24T00:00:00Z")
    left = RobotFactory(application=application, code="left")
    (home,) = portals(application, 1)
    RegistrationFactory(robot=gone, portal=home, wanted_version=RobotVersionFactory(robot=gone))
    away = PortalFactory(application=application, state=Portal.State.UNINSTALLED)
    RegistrationFactory(robot=left, portal=away, wanted_version=RobotVersionFactory(robot=left))
    newcomer = PortalFactory(application=application)
    want_all(newcomer)
    assert wanted(newcomer) == {}


def test_before_the_first_push_nothing_goes_out(application: Application) -> None:
    RobotVersionFactory(robot=RobotFactory(application=application))
    newcomer = PortalFactory(application=application)
    want_all(newcomer)
    assert not Registration.objects.exists()


def test_another_applications_robots_are_not_its_own(application: Application) -> None:
    other = RobotVersionFactory(robot=RobotFactory(code="other"))
    RegistrationFactory(
        robot=other.robot, portal=PortalFactory(application=other.robot.application), wanted_version=other
    )
    newcomer = PortalFactory(application=application)
    want_all(newcomer)
    assert wanted(newcomer) == {}
