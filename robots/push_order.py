"""What a person orders to be pushed: planned from our own record, stored, done in the background.

Nothing is asked of a portal here, so a plan for a hundred of them is a page and not an hour. Each push looks
at its portal before it sends; what it meets there is told on its item (`robots.push_queue`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import get_language

from portals import lease, wake
from portals.clock import db_now
from portals.models import Portal
from robots.look import Holding
from robots.models import ForeignCode, Kind, Push, PushItem, Registration, Robot, RobotVersion
from robots.plan import (
    Action,
    PortalPlan,
    Published,
    Wish,
    latest_versions,
    make_plan,
    wishes_of_person,
    wishes_recorded,
)
from robots.push_queue import end_push

_Item = tuple[Portal, list[dict[str, Any]]]


def planned(
    portals: Sequence[Portal],
    robots: Sequence[Robot],
    versions: Mapping[int, RobotVersion] | None = None,
    adopt: Collection[str] = (),
) -> list[PortalPlan]:
    """A plan a portal, for those robots that are its application's; as many queries for many as few.

    `portals` with their application at hand; `versions` as robot id -> the version wanted instead of the latest.
    """
    catalogs = {
        application: Published(
            [robot for robot in robots if robot.application_id == application], latest_versions(application)
        )
        for application in {robot.application_id for robot in robots}
    }
    nothing = Published([], {})

    def wishes(portal: Portal, held: Mapping[int, Registration]) -> list[Wish]:
        catalog = catalogs.get(portal.application_id, nothing)
        return wishes_of_person(portal, versions=versions, rows=held.values(), catalog=catalog)

    return _plans(portals, wishes, adopt)


def repairs(check: Push, portals: Sequence[Portal]) -> list[PortalPlan]:
    """A plan a portal of what the check found to differ: what was wanted there is brought back, nothing newer."""
    differing = {item.portal_id: {each["code"] for each in item.outcomes} for item in check.items.all()}

    def wishes(portal: Portal, held: Mapping[int, Registration]) -> list[Wish]:
        rows = [row for row in held.values() if row.robot.code in differing.get(portal.pk, ())]
        # One removed since, or no longer so, is a push of its own and not what the portal has lost.
        settled = [row for row in rows if (row.wanted_version is None) == (row.robot.removed_at is not None)]
        return wishes_recorded(sorted(settled, key=lambda row: row.robot.code))

    return _plans(portals, wishes)


def _plans(
    portals: Sequence[Portal],
    wishes: Callable[[Portal, Mapping[int, Registration]], list[Wish]],
    adopt: Collection[str] = (),
) -> list[PortalPlan]:
    """`wishes` is asked for each portal, with its registrations by robot id."""
    held: dict[int, dict[int, Registration]] = defaultdict(dict)
    there: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for row in Registration.objects.filter(portal__in=portals).select_related(
        "robot", "wanted_version", "pushed_version"
    ):
        held[row.portal_id][row.robot_id] = row
        if row.pushed_kind and row.observed != Registration.Observed.MISSING:
            there[row.portal_id].add((row.pushed_kind, row.robot.code))
    foreign: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for holder, kind, code in ForeignCode.objects.filter(portal__in=portals).values_list(
        "portal", "kind", "code"
    ):
        foreign[holder].append((kind, code))
        there[holder].add((kind, code))
    return [
        make_plan(
            portal,
            wishes(portal, held[portal.pk]),
            _holding(portal, there[portal.pk]),
            foreign[portal.pk],
            adopt,
        )
        for portal in portals
    ]


def _holding(portal: Portal, codes: set[tuple[str, str]]) -> Holding:
    """What the portal is known to hold; an installation that began anew holds nothing we know of."""
    robots = frozenset(code for kind, code in codes if kind == Kind.ROBOT)
    activities = frozenset(code for kind, code in codes if kind == Kind.ACTIVITY)
    return Holding(
        None if portal.has_robots is False else robots, None if portal.has_workflows is False else activities
    )


def order(
    plans: Iterable[PortalPlan], by: str, *, adopt: Iterable[str] = (), retry_of: Push | None = None
) -> Push | None:
    """Stores what the plans change as one push and wakes the workers; None where nothing changes."""
    items = []
    for plan in plans:
        steps = plan.changing()
        if steps:
            items.append((plan.portal, [_wanted(step.wish, step.action) for step in steps]))
    return _store(Push.Kind.PUSH, by, items, adopt=list(adopt), retry_of=retry_of) if items else None


def order_check(portals: Iterable[Portal], by: str) -> Push | None:
    """Stores that these portals are to be asked what they hold; None for no portal."""
    items: list[_Item] = [(portal, []) for portal in portals]
    return _store(Push.Kind.CHECK, by, items) if items else None


def retry(push: Push, by: str) -> Push | None:
    """What the push did not bring about, as a push of its own; None where nothing is left."""
    left = push.items.filter(state__in=[PushItem.State.FAILED, PushItem.State.HELD]).select_related("portal")
    if push.kind == Push.Kind.CHECK:
        return order_check([item.portal for item in left], by)
    items = [(item.portal, item.undone()) for item in left]
    items = [(portal, wanted) for portal, wanted in items if wanted]
    return _store(push.kind, by, items, adopt=push.adopt, retry_of=push) if items else None


def begin(
    portal: Portal, push: Push | None, by: str, codes: Collection[str] | None, adopt: list[str]
) -> PushItem:
    """The record of a push that a process of its own carries out now: nobody else takes it, unless that
    process ends before it. `push` None begins one."""
    if push is None:
        push = Push.objects.create(
            way=Push.Way.COMMAND,
            ordered_by=by,
            ordered_at=db_now(),
            language=get_language() or "",
            adopt=adopt,
        )
    wishes = [wish for wish in wishes_of_person(portal, codes) if not wish.why]
    wanted = [_wanted(wish, Action.NOTHING) for wish in wishes]
    push.codes = sorted({*push.codes, *(each["code"] for each in wanted)})
    push.ended_at = None
    push.save(update_fields=["codes", "ended_at"])
    return PushItem.objects.create(
        push=push, portal=portal, state=PushItem.State.WORKING, wanted=wanted, tries=1, started_at=db_now()
    )


def cancel(push: Push, by: str) -> int:
    """Takes back what was not begun, and what portals hold up; the number of portals. What is being sent
    just now goes on to its end."""
    now = db_now()
    waiting = push.items.filter(state=PushItem.State.WAITING)
    ended = waiting.update(state=PushItem.State.CANCELLED, ended_at=now)
    for item in push.items.filter(state=PushItem.State.HELD):
        ended += _let_go(item)
    if ended:
        Push.objects.filter(pk=push.pk).update(cancelled_by=by[:150], cancelled_at=now)
        end_push(push.pk)
    return ended


def _let_go(item: PushItem) -> int:
    """The background no longer owes the portal what this push wanted there."""
    held = lease.take(f"push:{item.portal_id}", 30.0)
    if held is None:
        # It is being pushed to at this moment.
        return 0
    try:
        for each in item.undone():
            rows = Registration.objects.filter(
                portal=item.portal_id,
                robot=each["robot"],
                wanted_version=each["version"],
                due_at__isnull=False,
            )
            if before := each.get("before"):
                # What a reinstallation dropped is owed as it was wanted before this push, by whomever.
                owed = Q(pushed_version=None) & ~Q(pushed_kind="")
                rows.filter(owed).update(wanted_version=before)
                rows = rows.exclude(owed)
            rows.update(due_at=None, wanted_version=F("pushed_version"))
            # An adoption that came to nothing is taken back with it.
            Registration.objects.filter(
                portal=item.portal_id, robot=each["robot"], pushed_kind="", tried_kind=""
            ).update(adopted_by="")
        return PushItem.objects.filter(pk=item.pk, state=PushItem.State.HELD).update(
            state=PushItem.State.CANCELLED, ended_at=db_now()
        )
    finally:
        held.release()


def _wanted(wish: Wish, action: Action) -> dict[str, Any]:
    version, row = wish.version, wish.registration
    return {
        "robot": wish.robot.pk,
        "code": wish.robot.code,
        "version": version.pk if version else None,
        "number": version.number if version else None,
        "before": row.wanted_version_id if row else None,
        "action": str(action),
    }


def _store(kind: str, by: str, items: Sequence[_Item], **more: Any) -> Push:
    codes = sorted({each["code"] for _portal, wanted in items for each in wanted})
    with transaction.atomic():
        push = Push.objects.create(
            kind=kind,
            ordered_by=by[:150],
            ordered_at=db_now(),
            language=get_language() or "",
            codes=codes,
            **more,
        )
        PushItem.objects.bulk_create(
            [PushItem(push=push, portal=portal, wanted=wanted) for portal, wanted in items], batch_size=100
        )
    wake.wake("push")
    return push
