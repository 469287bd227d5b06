"""Publishing freezes, once for each change; a version is then beyond anyone's reach (design §4)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction

from robots.models import OnFailure, Property, RobotVersion, VersionFrozen
from robots.payload import load
from robots.publish import PublishRefused, publish, unpublished_changes, verdict
from tests.factories import PropertyFactory, RobotFactory, RobotVersionFactory

pytestmark = pytest.mark.django_db


def test_publishing_what_did_not_change_makes_no_version() -> None:
    robot = RobotFactory()
    assert unpublished_changes(robot)
    version = publish(robot, "ann", "first")
    assert version is not None
    assert (version.number, version.code, version.published_by, version.note) == (
        1,
        robot.code,
        "ann",
        "first",
    )
    assert (load(version.payload_text) or {}).get("HANDLER") is None
    assert not unpublished_changes(robot)
    assert publish(robot) is None
    assert RobotVersion.objects.count() == 1


@pytest.mark.parametrize("change", ["name", "compute", "on_failure", "order"])
def test_each_part_of_a_draft_makes_a_version(change: str) -> None:
    robot = RobotFactory()
    PropertyFactory(robot=robot, identifier="second", position=1)
    publish(robot)
    if change == "name":
        robot.name = {"en": "Another"}
    elif change == "compute":
        robot.compute = {"type": "expression", "returns": {"total": "amount * 3"}}
    elif change == "on_failure":
        robot.on_failure = OnFailure.RELEASE
    else:
        robot.properties.filter(identifier="amount").update(position=2)
    robot.save()
    assert (version := publish(robot)) is not None
    assert version.number == 2


def test_a_draft_that_breaks_a_rule_is_refused_with_its_problems() -> None:
    robot = RobotFactory()
    PropertyFactory(robot=robot, identifier="Title")
    with pytest.raises(PublishRefused) as refused:
        publish(robot)
    # Inputs in order of position; this is the second of them.
    assert [problem.where for problem in refused.value.problems] == ["properties[1].id"]
    assert not RobotVersion.objects.exists()


def test_a_removed_robot_is_not_published() -> None:
    robot = RobotFactory()
    robot.removed_at = robot.created_at
    robot.save()
    with pytest.raises(PublishRefused):
        publish(robot)


def test_the_draft_changes_and_the_version_does_not() -> None:
    robot = RobotFactory()
    version = publish(robot)
    assert version is not None
    before = version.payload_text
    robot.name = {"en": "Changed"}
    robot.save()
    version.refresh_from_db()
    assert version.payload_text == before


def test_saving_a_version_again_is_refused() -> None:
    version = RobotVersionFactory()
    with pytest.raises(VersionFrozen):
        version.save()


@pytest.mark.parametrize("field", ["payload_text", "code", "note", "published_by"])
def test_the_database_itself_refuses_to_change_a_version(field: str) -> None:
    version = RobotVersionFactory()
    with pytest.raises(DatabaseError, match="cannot be changed"), transaction.atomic():
        RobotVersion.objects.filter(pk=version.pk).update(**{field: "x"})


def _versions(changes: Any) -> tuple[RobotVersion, RobotVersion]:
    robot = RobotFactory()
    old = publish(robot)
    changes(robot)
    new = publish(robot)
    assert old is not None
    assert new is not None
    return old, new


def test_a_new_optional_input_is_compatible() -> None:
    old, new = _versions(lambda robot: PropertyFactory(robot=robot, identifier="more", position=1))
    assert not verdict(old, new).breaking


def _remove_input(robot: Any) -> None:
    robot.compute = {"type": "expression", "returns": {"total": "1"}}
    robot.save()
    robot.properties.filter(identifier="amount").delete()


def _require(robot: Any) -> None:
    PropertyFactory(robot=robot, identifier="more", position=1, required=True)


def _retype(robot: Any) -> None:
    robot.properties.filter(identifier="amount").update(type="int")


def _remove_output(robot: Any) -> None:
    robot.compute = {"type": "expression", "returns": {}}
    robot.save()
    robot.properties.filter(direction=Property.Direction.OUTPUT).delete()


def _other_kind(robot: Any) -> None:
    robot.kind = "activity"
    robot.save()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (_remove_input, "Input “amount” is gone."),
        (_require, "Input “more” is required now"),
        (_retype, "Input “amount” was double and is int."),
        (_remove_output, "Output “total” is gone."),
        (_other_kind, "Its kind was robot and is activity"),
    ],
)
def test_what_breaks_placed_robots_is_said(changes: Any, said: str) -> None:
    told = verdict(*_versions(changes))
    assert told.breaking
    assert any(said in reason for reason in told.reasons), told.reasons
