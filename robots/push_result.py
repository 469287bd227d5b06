"""How a push ended on one portal, robot by robot, and the sentence a person reads for each error."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from portals import error_words, errors
from portals.models import Portal
from robots.plan import Action, PortalPlan, Step
from robots.refused import is_refused

NO_ADMINISTRATOR = Portal.Trouble.NO_RIGHTS


@dataclass(slots=True)
class ItemResult:
    """`done`: the portal matches what is wanted. `code` of the error is the portal's or our own word."""

    robot_code: str
    action: Action
    done: bool
    why: str = ""
    error_code: str = ""


@dataclass(slots=True)
class PortalResult:
    """`trouble` is a sentence where the portal as a whole took nothing more; what waits then stays due."""

    portal: Portal
    items: list[ItemResult] = field(default_factory=list)
    foreign: list[tuple[str, str]] = field(default_factory=list)
    trouble: str = ""
    plan: PortalPlan | None = None

    @property
    def ok(self) -> bool:
        """Everything wanted is there, and nothing else of ours."""
        return not self.trouble and all(item.done for item in self.items)


def trouble_sentence(error: errors.RestError) -> str:
    """What to do about an error that concerns the whole portal."""
    said = f" ({error_words.told(error)})" if error.code or error.text else ""
    if isinstance(error, errors.PortalTrouble):
        if error.trouble == NO_ADMINISTRATOR:
            return _("Only an administrator may register robots: open the application as an administrator.")
        if error.trouble in Portal.Trouble.values:
            return str(Portal.Trouble(error.trouble).label) + said
    if isinstance(error, errors.Passes) and not isinstance(error, errors.UnknownAnswer):
        return _("The portal can't take it now; it is tried again by itself.") + said
    return _("The portal's answer was lost.") + said


def error_code_of(error: errors.RestError) -> str:
    """What a registration stores of an error: the trouble's word, or the portal's own code.

    A code alone has to tell a refusal from what passes, so one that passes by its status gets a word of ours.
    """
    if isinstance(error, errors.PortalTrouble):
        return error.trouble[:64]
    if isinstance(error, errors.Passes) and is_refused(error.code or "error"):
        return errors.NOT_NOW
    return error.code[:64] or "error"


def means_no_administrator(error: errors.RestError) -> bool:
    """ACCESS_DENIED of a registration's method is the token's right, which no repeat changes (§5)."""
    return isinstance(error, errors.CommandRefused) and error.meaning in (
        errors.NO_RIGHT,
        errors.NEEDS_APPLICATION,
    )


def as_portal_trouble(error: errors.RestError) -> errors.PortalTrouble:
    return errors.PortalTrouble(NO_ADMINISTRATOR, error.code, error.text, error.status)


def result_of(step: Step) -> ItemResult:
    """Of a step that needs no request."""
    return ItemResult(
        step.code,
        step.action,
        step.action is Action.NOTHING,
        step.why,
        {Action.REFUSED: "ERROR_METHOD_NOT_FOUND", Action.FOREIGN: "foreign"}.get(step.action, ""),
    )
