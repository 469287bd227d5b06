"""What a push would do on one portal, step by step and field by field; no request and no write here.

A plan compares what is wanted (a published version, or its absence) with what our record says the
portal took, and with the codes it was seen to hold. What it holds beyond that can't be read (§5).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext as _

from portals.models import Portal
from robots.look import Holding, owns
from robots.models import Kind, Registration, Robot, RobotVersion
from robots.payload import Change, Payload, diff, for_portal, load, loses_subscription


class Action(StrEnum):
    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"
    REPLACE = "replace"  # delete and add: what no update can change (§5)
    NOTHING = "nothing"
    REFUSED = "refused"  # can't be done there; `why` says it
    FOREIGN = "foreign"  # the code is there and not ours: left alone until a person adopts it


CHANGING = frozenset({Action.ADD, Action.UPDATE, Action.DELETE, Action.REPLACE})


@dataclass(slots=True)
class Wish:
    """A robot and the version wanted there, None for its absence; `registration` may not exist yet."""

    robot: Robot
    version: RobotVersion | None
    registration: Registration | None
    # Said instead of planned: nothing to push.
    why: str = ""


@dataclass(slots=True)
class Step:
    """One robot's part of a plan. `there` is the kind the portal holds the code as, "" where it is free;
    `old` what it holds as far as that is certain, `new` what it is to hold."""

    wish: Wish
    action: Action
    there: str = ""
    old: Payload | None = None
    new: Payload | None = None
    changes: Sequence[Change] = ()
    why: str = ""
    # Whether our record made the code ours before this push tried anything; what it said of a try then.
    owned: bool = False
    former_try: tuple[str, dt.datetime | None] = ("", None)

    @property
    def code(self) -> str:
        return self.wish.robot.code

    @property
    def kind(self) -> str:
        """The kind it is to be, or is deleted as."""
        return self.wish.version.kind if self.wish.version else self.there


@dataclass(slots=True)
class PortalPlan:
    """`foreign` are codes on the portal that we never pushed there, as (kind, code)."""

    portal: Portal
    steps: list[Step]
    foreign: list[tuple[str, str]] = field(default_factory=list)

    def changing(self) -> list[Step]:
        return [step for step in self.steps if step.action in CHANGING]


@dataclass(frozen=True, slots=True)
class Published:
    """An application's robots, removed ones too, by code; the latest published version of each by robot id."""

    robots: list[Robot]
    latest: dict[int, RobotVersion]


def published(application_id: int) -> Published:
    robots = list(Robot.objects.filter(application_id=application_id).order_by("code"))
    return Published(robots, latest_versions(application_id))


def wishes_of_person(
    portal: Portal,
    codes: Collection[str] | None = None,
    versions: Mapping[int, RobotVersion] | None = None,
    rows: Iterable[Registration] | None = None,
    catalog: Published | None = None,
) -> list[Wish]:
    """What a person's push wants: of every robot of the application (or of those with `codes`) the latest
    published version, or the one `versions` gives by robot id; of a removed one its absence.

    `rows` (`registrations_of`) and `catalog` (`published`) where the caller has read them already.
    """
    held = {row.robot_id: row for row in (registrations_of(portal) if rows is None else rows)}
    catalog = catalog or published(portal.application_id)
    wishes = []
    for robot in catalog.robots:
        if codes is not None and robot.code not in codes:
            continue
        registration = held.get(robot.pk)
        if robot.removed_at is not None:
            if registration is not None:
                wishes.append(Wish(robot, None, registration))
            continue
        version = (versions or {}).get(robot.pk) or catalog.latest.get(robot.pk)
        why = "" if version else _("It was never published; publish it first.")
        wishes.append(Wish(robot, version, registration, why))
    return wishes


def wishes_recorded(registrations: Iterable[Registration]) -> list[Wish]:
    """What the registrations say is wanted: so a reinstallation brings back exactly that."""
    return [Wish(row.robot, row.wanted_version, row) for row in registrations]


def registrations_of(portal: Portal, robots: Iterable[Robot] | None = None) -> list[Registration]:
    """The portal's registrations with robot and wanted version, by code.

    `robots` where the caller has read them already: then the rows alone are read, without what is wanted.
    """
    rows = Registration.objects.filter(portal=portal)
    if robots is None:
        return list(rows.select_related("robot", "wanted_version").order_by("robot__code"))
    known = {robot.pk: robot for robot in robots}
    found = list(rows.order_by())
    for row in found:
        if row.robot_id in known:
            row.robot = known[row.robot_id]
    return sorted(found, key=lambda row: row.robot.code)


def latest_versions(application_id: int) -> dict[int, RobotVersion]:
    """Robot id → its latest published version."""
    newest = RobotVersion.objects.filter(robot=OuterRef("robot")).order_by("-number").values("number")[:1]
    versions = RobotVersion.objects.filter(robot__application_id=application_id, number=Subquery(newest))
    return {version.robot_id: version for version in versions}


def make_plan(
    portal: Portal,
    wishes: Iterable[Wish],
    holding: Holding,
    foreign: Iterable[tuple[str, str]] = (),
    adopt: Collection[str] = (),
) -> PortalPlan:
    """`portal.application` is read; `adopt` are codes whose foreign holder is taken over."""
    steps = [_step(portal, wish, holding, wish.robot.code in adopt) for wish in wishes]
    for step in steps:
        step.owned = owns(step.wish.registration, step.kind)
    # What is taken over is told by its step.
    taken = {step.code for step in steps if step.code in adopt and step.action in CHANGING}
    return PortalPlan(portal, steps, [(kind, code) for kind, code in foreign if code not in taken])


def _step(portal: Portal, wish: Wish, holding: Holding, adopting: bool) -> Step:
    there = holding.kind_of(wish.robot.code)
    ours = owns(wish.registration, there) or adopting
    if wish.version is None:
        if wish.why:
            return Step(wish, Action.NOTHING, there, why=wish.why)
        if there and ours:
            return Step(wish, Action.DELETE, there, old=load(_known(portal, wish.registration, there)))
        why = _("The portal holds this code, but not from us; it stays.") if there else ""
        return Step(wish, Action.NOTHING, there, why=why)
    if not holding.allows(wish.version.kind):
        return Step(wish, Action.REFUSED, there, why=plan_sentence(wish.version.kind))
    text = for_portal(wish.version, portal)
    new = load(text) or {}
    if not there:
        return Step(wish, Action.ADD, "", None, new, diff("", text))
    if not ours:
        why = _("The portal holds this code as a %(kind)s that we never pushed there. Adopt it, or leave it.")
        return Step(wish, Action.FOREIGN, there, None, new, diff("", text), why % {"kind": there})
    known = _known(portal, wish.registration, there)
    old = load(known)
    if known == text and there == wish.version.kind:
        return Step(wish, Action.NOTHING, there, old, new)
    changes = diff(known, text)
    adopted = ""
    if not owns(wish.registration, there):
        adopted = _("Adopted: every field is set or cleared, and the handler moves here.")
    why = _replaced_because(wish, there, old, new)
    if why:
        return Step(wish, Action.REPLACE, there, old, new, changes, f"{adopted} {why}".strip())
    if adopted:
        why = adopted
    elif old is None:
        why = _("What the portal holds is not known: every field is set or cleared.")
    return Step(wish, Action.UPDATE, there, old, new, changes, why)


def _known(portal: Portal, registration: Registration | None, there: str) -> str:
    """What the portal surely holds; "" after a new installation, an unfinished try, an adoption or a restore."""
    if registration is None or registration.pushed_kind != there or registration.tried_at is not None:
        return ""
    if registration.installation != portal.installation:
        return ""
    return registration.pushed_text


def _replaced_because(wish: Wish, there: str, old: Payload | None, new: Payload) -> str:
    """The reason for a delete and an add, "" where an update does."""
    blocked = _("Deleted and added again; robots placed in processes are blocked for that moment.")
    if wish.version is not None and there != wish.version.kind:
        return (
            _("The kind changes from %(old)s to %(new)s.") % {"old": there, "new": wish.version.kind}
            + f" {blocked}"
        )
    held = old
    row = wish.registration
    if held is None and row is not None and not row.tried_kind and row.pushed_kind == there:
        # Not certain, yet the last word we had: the payload of a former installation, or of a restored backup,
        # tells what was never set.
        held = load(row.pushed_text)
    unknown: Payload = {"USE_SUBSCRIPTION": None}
    if loses_subscription(unknown if held is None else held, new):
        return _("USE_SUBSCRIPTION can't be taken back by an update.") + f" {blocked}"
    return ""


def plan_sentence(kind: str) -> str:
    """Why a portal that lacks a method is not at fault (§5)."""
    if kind == Kind.ACTIVITY:
        return _("This portal's plan has no workflows, so it takes no activities.")
    return _("This portal's plan has neither workflows nor automation, so it takes no robots.")


def counts(steps: Iterable[Step]) -> dict[str, Any]:
    """How many steps of each action, in the order of `Action`."""
    steps = list(steps)
    found = {str(action): sum(step.action is action for step in steps) for action in Action}
    return {action: count for action, count in found.items() if count}
