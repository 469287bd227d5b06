"""What a portal that installs an application for the first time is given: what the others have (design §1).

An installation leads to a push. Of an application that was pushed to other portals, a newcomer gets each robot that
at least half of them want, in the version that most of them want: a robot made for one client, or a canary on a
few portals, does not spread by itself. Before the first push there is nothing to go by, and nothing goes out.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from portals.clock import db_now
from portals.models import Portal
from robots.models import Registration


def greet(portal: Portal) -> int:
    """Makes due on a portal without any registration what the others want; how many robots that is."""
    wanted: dict[int, Counter[int]] = defaultdict(Counter)
    others: set[int] = set()
    rows = Registration.objects.filter(
        portal__application_id=portal.application_id,
        portal__state=Portal.State.INSTALLED,
        wanted_version__isnull=False,
        robot__removed_at__isnull=True,
    ).exclude(portal=portal)
    for robot_id, version_id, portal_id in rows.values_list("robot_id", "wanted_version_id", "portal_id"):
        wanted[robot_id][version_id] += 1
        others.add(portal_id)
    now = db_now()
    made = [
        # Of versions wanted equally often, the newer one.
        Registration(
            robot_id=robot_id,
            portal=portal,
            wanted_version_id=max(versions, key=lambda version: (versions[version], version)),
            due_at=now,
        )
        for robot_id, versions in wanted.items()
        if 2 * versions.total() >= len(others)
    ]
    Registration.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)
