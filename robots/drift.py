"""How a portal differs from what is wanted there, by a live `list` and our own record (design §4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from portals import errors
from portals.client import PortalClient
from portals.models import Portal
from robots.look import look, record
from robots.payload import Change
from robots.plan import Action, PortalPlan, Step, make_plan, registrations_of, wishes_recorded
from robots.push_result import as_portal_trouble, means_no_administrator, trouble_sentence


class Drift(StrEnum):
    MISSING = "missing"  # wanted, and not on the portal
    STALE = "stale"  # there, but not as wanted: another version, kind or HANDLER, or not known for certain
    LEFT = "left"  # no longer wanted, and still there
    FOREIGN = "foreign"  # there, and never pushed by us
    REFUSED = "refused"  # the portal's plan has no such thing


_DRIFTS = {
    Action.ADD: Drift.MISSING,
    Action.UPDATE: Drift.STALE,
    Action.REPLACE: Drift.STALE,
    Action.DELETE: Drift.LEFT,
    Action.FOREIGN: Drift.FOREIGN,
    Action.REFUSED: Drift.REFUSED,
}


# Why it differs, where the plan does not say it; by a word that is stored and read in any language.
_WHYS = {
    "gone": gettext_noop("It is gone from the portal."),
    "not_pushed": gettext_noop("It was not pushed yet."),
    "never_pushed": gettext_noop("We never pushed this code there; it is left alone."),
}


def why_of(reason: str) -> str:
    """The sentence of a `reason`, '' where it is none of them."""
    return _(_WHYS[reason]) if reason in _WHYS else ""


@dataclass(frozen=True, slots=True)
class Difference:
    """`kind` is the kind of the code on the portal, else the one wanted; `why` the sentence of `reason`, or the
    plan's own."""

    drift: Drift
    code: str
    kind: str
    why: str = ""
    changes: Sequence[Change] = ()
    reason: str = ""


@dataclass(slots=True)
class PortalDrift:
    """`trouble` is a sentence where the portal could not be asked; then nothing else is known."""

    portal: Portal
    differences: list[Difference] = field(default_factory=list)
    trouble: str = ""
    checked: int = 0


def check_portal(portal: Portal, person: bool = True) -> PortalDrift:
    """Asks the portal, stores what was observed, and tells what differs from what is wanted there. Changes
    nothing on the portal and wants nothing anew."""
    found = PortalDrift(portal)
    try:
        plan = plan_recorded(portal, PortalClient(portal, person=person))
    except errors.RestError as error:
        found.trouble = trouble_sentence(as_portal_trouble(error) if means_no_administrator(error) else error)
        return found
    found.checked = len(plan.steps)
    found.differences = [_difference(step) for step in plan.steps if step.action in _DRIFTS]
    told = {difference.code for difference in found.differences}
    found.differences += [
        Difference(Drift.FOREIGN, code, kind, why_of("never_pushed"), reason="never_pushed")
        for kind, code in plan.foreign
        if code not in told
    ]
    return found


def plan_recorded(portal: Portal, client: PortalClient) -> PortalPlan:
    """What a background push of everything wanted there would do. Raises RestError."""
    holding = look(client)
    rows = registrations_of(portal)
    foreign = record(portal, holding, rows)
    return make_plan(portal, wishes_recorded(rows), holding, foreign)


def _difference(step: Step) -> Difference:
    reason = ""
    if step.action is Action.ADD:
        row = step.wish.registration
        reason = "gone" if row is not None and (row.pushed_kind or row.tried_kind) else "not_pushed"
    why = why_of(reason) or step.why
    return Difference(_DRIFTS[step.action], step.code, step.there or step.kind, why, step.changes, reason)
