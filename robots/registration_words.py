"""What a registration's row means, in words, and what a person does about its error."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portals.models import Portal
from portals.panels import BAD, INFO, OFF, OK, WARN
from portals.standing import what_to_do as what_to_do_about
from robots.lost import is_lost
from robots.models import Registration
from robots.refused import is_passing, is_trouble

_WHAT_TO_DO: dict[str, Any] = {
    "ACCESS_DENIED": gettext_lazy("Open the application there as an administrator, then push again."),
    "ERROR_METHOD_NOT_FOUND": gettext_lazy(
        "This portal's plan does not include it; the robot is not at fault."
    ),
    "ERROR_ACTIVITY_ALREADY_INSTALLED": gettext_lazy(
        "The portal holds this code already, perhaps of other software. Adopt it or choose another code."
    ),
    "ERROR_WRONG_HANDLER_URL": gettext_lazy(
        "Set PUBLIC_URL to a host with a dot in its name that portals reach."
    ),
    "ERROR_UNSUPPORTED_PROTOCOL": gettext_lazy("Set PUBLIC_URL to an http or https address."),
    "ERROR_HANDLER_URL_MATCH": gettext_lazy(
        "PUBLIC_URL and the application's address in Bitrix24 must be on the same domain."
    ),
    "ERROR_ACTIVITY_VALIDATION_FAILURE": gettext_lazy(
        "Correct the robot as the portal says; publish and push."
    ),
    "ERROR_ACTIVITY_ADD_FAILURE": gettext_lazy(
        "The portal could not store it: shorten its texts, push again."
    ),
    "ERROR_ACTIVITY_NOT_FOUND": gettext_lazy("Push again: the portal lost it, and it is added anew."),
    "foreign": gettext_lazy("Other software holds this code there. Adopt it, or choose another code."),
    "not_published": gettext_lazy("Publish the robot, then push."),
}


def what_to_do(registration: Registration) -> str:
    """One sentence for the person; '' where there is nothing to do."""
    if registration.error_code:
        return advice(registration.error_code)
    return _("Push it again: nothing does so by itself.") if is_lost(registration) else ""


def advice(error_code: str) -> str:
    """What a person does about an error of a push; '' for none."""
    if not error_code:
        return ""
    if is_trouble(error_code):
        return what_to_do_about(error_code)
    if is_passing(error_code):
        return _("Nothing: it is tried again by itself.")
    return str(_WHAT_TO_DO.get(error_code, _("Push again. If it stays, read what the portal said.")))


def state_of(registration: Registration) -> tuple[str, str]:
    """(tone, words) of a registration with `portal` at hand; no query."""
    portal = registration.portal
    if portal.state == Portal.State.UNINSTALLED:
        return OFF, _("the application is uninstalled there")
    if registration.error_code:
        return _error(registration.error_code)
    if registration.wanted_version_id is None:
        return (WARN, _("to be deleted")) if registration.pushed_version_id else (OFF, _("not wanted there"))
    if registration.observed == Registration.Observed.FOREIGN:
        return WARN, _("there, but not ours")
    gone = registration.installation < portal.installation and registration.pushed_version_id
    if is_lost(registration):
        return BAD, _("missing on the portal: processes that reach it fail")
    if registration.observed == Registration.Observed.MISSING or gone:
        return WARN, _("missing on the portal; it is pushed again by itself")
    if registration.pushed_version_id is None:
        return INFO, _("not pushed yet")
    if registration.pushed_version_id != registration.wanted_version_id:
        return INFO, _("an older version is on the portal")
    if registration.tried_at is not None:
        return INFO, _("on the portal; whether as wanted is not known until it is pushed")
    return OK, _("on the portal")


def _error(code: str) -> tuple[str, str]:
    if is_trouble(code):
        return WARN, _("waits for the portal: %(trouble)s") % {"trouble": Portal.Trouble(code).label}
    if is_passing(code):
        return WARN, _("not taken yet (%(code)s); it is tried again by itself") % {"code": code}
    return BAD, _("the portal refused: %(code)s") % {"code": code}
