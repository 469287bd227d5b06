"""A robot is removed: the next push deletes it on the portals that hold it; or it is brought back before or after.

What was published is never deleted here, for those who read the log.
"""

from __future__ import annotations

from portals.clock import db_now
from robots.models import Robot


def remove(robot: Robot) -> bool:
    """False where it was removed already."""
    if robot.removed_at is not None:
        return False
    robot.removed_at = db_now()
    robot.save()
    return True


def bring_back(robot: Robot) -> bool:
    """False where it was not removed. A portal that it was deleted from gets it with the next push."""
    if robot.removed_at is None:
        return False
    robot.removed_at = None
    robot.save()
    return True
