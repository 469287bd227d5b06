"""What a person orders to be pushed: planned from our own record, written down, done in the background.

Nothing is asked of a portal here, so a plan for a hundred of them is a page and not an hour. Each push looks
at its portal before it sends; what it meets there is told on the registration.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from portals import wake
from portals.clock import db_now
from portals.models import Portal
from robots.look import Holding
from robots.models import ForeignCode, Kind, Registration, Robot
from robots.plan import CHANGING, PortalPlan, Wish, latest_versions, make_plan


def planned(portals: Sequence[Portal], robots: Sequence[Robot]) -> list[PortalPlan]:
    """A plan a portal, for those robots that are its application's; as many queries for many as few.

    `portals` with their application at hand.
    """
    latest = {}
    for application in {robot.application_id for robot in robots}:
        latest.update(latest_versions(application))
    held: dict[tuple[int, int], Registration] = {}
    there: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for row in Registration.objects.filter(portal__in=portals).select_related("robot", "wanted_version"):
        held[row.portal_id, row.robot_id] = row
        if row.pushed_kind and row.observed != Registration.Observed.MISSING:
            there[row.portal_id].add((row.pushed_kind, row.robot.code))
    foreign: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for holder, kind, code in ForeignCode.objects.filter(portal__in=portals).values_list(
        "portal", "kind", "code"
    ):
        foreign[holder].append((kind, code))
        there[holder].add((kind, code))
    plans = []
    for portal in portals:
        wishes = []
        for robot in robots:
            known = held.get((portal.pk, robot.pk))
            if robot.application_id != portal.application_id or (
                robot.removed_at is not None and known is None
            ):
                continue
            version = None if robot.removed_at is not None else latest.get(robot.pk)
            missing = robot.removed_at is None and version is None
            why = _("It was never published; publish it first.") if missing else ""
            wishes.append(Wish(robot, version, known, why))
        plans.append(make_plan(portal, wishes, _holding(portal, there[portal.pk]), foreign[portal.pk]))
    return plans


def _holding(portal: Portal, codes: set[tuple[str, str]]) -> Holding:
    """What the portal is known to hold; an installation that began anew holds nothing we know of."""
    robots = frozenset(code for kind, code in codes if kind == Kind.ROBOT)
    activities = frozenset(code for kind, code in codes if kind == Kind.ACTIVITY)
    return Holding(
        None if portal.has_robots is False else robots, None if portal.has_workflows is False else activities
    )


def order(plans: Iterable[PortalPlan]) -> int:
    """Writes down what the plans change and wakes the push; the number of registrations that are now due."""
    now = db_now()
    new, rows = [], []
    for plan in plans:
        for step in plan.steps:
            if step.action not in CHANGING:
                continue
            row = step.wish.registration
            if row is None:
                row = Registration(robot=step.wish.robot, portal=plan.portal)
                new.append(row)
            else:
                rows.append(row)
            row.wanted_version, row.due_at = step.wish.version, now
            row.error_code = row.error_text = ""
            row.error_at = None
    fields = ["wanted_version", "due_at", "error_code", "error_text", "error_at"]
    with transaction.atomic():
        Registration.objects.bulk_create(
            new,
            batch_size=100,
            update_conflicts=True,
            unique_fields=["robot", "portal"],
            update_fields=["wanted_version", "due_at"],
        )
        Registration.objects.bulk_update(rows, fields, batch_size=100)
    if new or rows:
        wake.wake("push")
    return len(new) + len(rows)
