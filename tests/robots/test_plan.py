"""What a plan says of one robot on one portal, without any request (design §4)."""

from __future__ import annotations

from typing import Any

import pytest

from robots.look import Holding
from robots.models import Registration
from robots.payload import for_portal
from robots.plan import Action, Step, Wish, counts, latest_versions, make_plan
from tests.factories import NOW, PortalFactory, RegistrationFactory, RobotFactory, RobotVersionFactory

pytestmark = pytest.mark.django_db


def holding(robots: set[str] | None = None, activities: set[str] | None = None) -> Holding:
    return Holding(frozenset(robots or ()), frozenset(activities or ()))


def pushed(**fields: Any) -> Registration:
    row: Registration = RegistrationFactory()
    row.pushed_version, row.pushed_kind = row.wanted_version, "robot"
    row.pushed_text = for_portal(row.wanted_version, row.portal)
    row.installation = row.portal.installation
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()
    return row


def step(row: Registration, held: Holding, version: Any = "wanted", adopt: tuple[str, ...] = ()) -> Step:
    wish = Wish(row.robot, row.wanted_version if version == "wanted" else version, row)
    (made,) = make_plan(row.portal, [wish], held, (), adopt).steps
    return made


def test_what_matches_needs_nothing() -> None:
    row = pushed()
    assert step(row, holding({row.robot.code})).action is Action.NOTHING


def test_what_is_missing_is_added_though_we_pushed_it() -> None:
    assert step(pushed(), holding()).action is Action.ADD


def test_a_code_without_a_record_is_foreign_and_adopting_sets_every_field() -> None:
    row = RegistrationFactory()
    code = row.robot.code
    assert step(row, holding({code})).action is Action.FOREIGN
    adopted = step(row, holding({code}), adopt=(code,))
    assert (adopted.action, adopted.old) == (Action.UPDATE, None)


def test_a_record_of_the_other_kind_does_not_make_a_code_ours() -> None:
    row = pushed(pushed_kind="activity")
    assert step(row, holding({row.robot.code})).action is Action.FOREIGN


@pytest.mark.parametrize("change", [{"tried_at": NOW, "tried_kind": "robot"}, {"installation": 0}])
def test_what_is_not_certain_is_updated_whole(change: dict[str, Any]) -> None:
    row = pushed(**change)
    made = step(row, holding({row.robot.code}))
    assert (made.action, made.old) == (Action.UPDATE, None)
    assert made.why


def test_a_kind_that_changed_is_replaced() -> None:
    row = pushed()
    version = RobotVersionFactory(robot=row.robot, kind="activity")
    made = step(row, holding({row.robot.code}), version)
    assert (made.action, made.there, made.kind) == (Action.REPLACE, "robot", "activity")
    assert "blocked" in made.why


def test_absence_deletes_only_what_is_ours() -> None:
    row = pushed()
    code = row.robot.code
    assert step(row, holding({code}), None).action is Action.DELETE
    assert step(row, holding(), None).action is Action.NOTHING
    foreign = RegistrationFactory()
    assert step(foreign, holding({foreign.robot.code}), None).action is Action.NOTHING


def test_a_plan_that_lacks_the_kind_refuses() -> None:
    row = pushed()
    made = step(row, Holding(None, None))
    assert made.action is Action.REFUSED
    assert "plan" in made.why


def test_counts_follow_the_actions_order() -> None:
    row = pushed()
    steps = [step(row, holding()), step(row, holding({row.robot.code})), step(row, holding())]
    assert counts(steps) == {"add": 2, "nothing": 1}


def test_the_latest_version_of_each_robot_is_one_query(django_assert_num_queries: Any) -> None:
    portal = PortalFactory()
    robots = [RobotFactory(application=portal.application) for _ in range(3)]
    newest = {}
    for robot in robots:
        for _ in range(3):
            newest[robot.pk] = RobotVersionFactory(robot=robot)
    RobotVersionFactory()
    with django_assert_num_queries(1):
        assert latest_versions(portal.application_id) == newest
