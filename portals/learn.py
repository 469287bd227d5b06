"""What answers tell of a portal in passing: its plan, cloud or box, whose the token is, its time zone and date
format."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

from portals.clock import db_now
from portals.errors import NEEDS_APPLICATION, NO_RIGHT, NOT_IN_PLAN, CommandRefused
from portals.models import Portal

# Only where the plan has workflows (§5); the rest of bizproc exists where there is any automation at all.
_WORKFLOW_METHODS = (
    "bizproc.workflow.",
    "bizproc.activity.add",
    "bizproc.activity.update",
    "bizproc.activity.delete",
    "bizproc.activity.list",
)
_ROBOT_METHODS = ("bizproc.robot.", "bizproc.event.send", "bizproc.activity.log")
# Where an administrator's token alone is served (§5).
_ADMINISTRATORS_METHODS = ("bizproc.robot.", "bizproc.workflow.instances", *_WORKFLOW_METHODS[1:])

# Nearer than this, two clocks are the same.
_CLOCK_SECONDS = 2.0
# Further apart they are no clocks: calls are told by nothing then but when they come.
_CLOCK_MOST = 30 * 86_400.0

# The usual site format of a language; anything else stays at the default until values tell.
_FORMATS = {
    "ru": Portal.DateFormat.DMY,
    "ua": Portal.DateFormat.DMY,
    "kz": Portal.DateFormat.DMY,
    "by": Portal.DateFormat.DMY,
    "de": Portal.DateFormat.DMY,
    "fr": Portal.DateFormat.DMY,
    "it": Portal.DateFormat.DMY,
    "pl": Portal.DateFormat.DMY,
    "la": Portal.DateFormat.DMY,
    "br": Portal.DateFormat.DMY,
    "tr": Portal.DateFormat.DMY,
    "en": Portal.DateFormat.MDY,
    "sc": Portal.DateFormat.YMD,
    "tc": Portal.DateFormat.YMD,
    "ja": Portal.DateFormat.YMD,
}


def answered(portal: Portal, method: str) -> None:
    """The method exists here, and our token may call it."""
    _plan(portal, method, True)
    if method.startswith(_ADMINISTRATORS_METHODS) and portal.token_is_admin is False:
        administrator(portal, True)


def refused(portal: Portal, method: str, error: CommandRefused) -> None:
    """ERROR_METHOD_NOT_FOUND says that this portal's plan has it not, ACCESS_DENIED that the token's owner is no
    administrator (any more): from now on another one's is taken in its place."""
    if error.meaning == NOT_IN_PLAN:
        _plan(portal, method, False)
    elif error.meaning in (NO_RIGHT, NEEDS_APPLICATION) and method.startswith(_ADMINISTRATORS_METHODS):
        administrator(portal, False)


def administrator(portal: Portal, is_admin: bool) -> None:
    """Of the token that was asked with, so not where another came meanwhile."""
    if portal.token_is_admin is is_admin:
        return
    portal.token_is_admin = is_admin
    changed: dict[str, Any] = {"token_is_admin": is_admin}
    if is_admin:
        changed["instances"] = portal.instances = can_look_up_again(portal)
    Portal.objects.filter(pk=portal.pk, refreshed_at=portal.refreshed_at).update(**changed)


def edition(portal: Portal, times: Any) -> None:
    """`operating` is told by the cloud alone (§4)."""
    if isinstance(times, dict) and "start" in times:
        _note(portal, is_cloud="operating" in times)


def clock(portal: Portal, began: dt.datetime | None, took: float) -> None:
    """`began`: `time.start` of an answer that came `took` seconds after its question, just now (§7).

    The portal's start lies between the two, so its clock is known no better than that; what is within it and
    _CLOCK_SECONDS of what is known already teaches nothing.
    """
    if began is None:
        return
    least = (began - db_now()).total_seconds()
    most = least + took
    if abs(least) > _CLOCK_MOST:
        return
    if not least - _CLOCK_SECONDS <= portal.clock_ahead <= most + _CLOCK_SECONDS:
        _note(portal, clock_ahead=round(most if portal.clock_ahead > most else least, 1))


def zone(portal: Portal, name: Any) -> None:
    """An IANA zone told by the portal; a person's own choice stays."""
    if portal.time_zone_source == Portal.Source.PERSON or not isinstance(name, str):
        return
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return
    _note(portal, time_zone=name, time_zone_source=Portal.Source.SERVER)


def language(portal: Portal, code: Any) -> None:
    """The portal's language, and by it a guess at the date format while nothing better is known."""
    if not isinstance(code, str) or not code.isalpha() or not 2 <= len(code) <= 5:
        return
    code = code.lower()
    _note(portal, language=code)
    guess = _FORMATS.get(code)
    if guess and portal.date_format_source in (Portal.Source.DEFAULT, Portal.Source.LANGUAGE):
        _note(portal, date_format=guess, date_format_source=Portal.Source.LANGUAGE)


def can_look_up_again(portal: Portal) -> Portal.Instances:
    """Where processes could not be looked up, the plan or the token's right has changed: it is tried anew."""
    absent = portal.instances == Portal.Instances.ABSENT
    return Portal.Instances.UNKNOWN if absent else Portal.Instances(portal.instances)


def _plan(portal: Portal, method: str, has: bool) -> None:
    if method.startswith(_WORKFLOW_METHODS):
        learned = has and not portal.has_workflows
        _note(portal, has_workflows=has)
        if learned:
            _note(portal, instances=can_look_up_again(portal))
    elif method.startswith(_ROBOT_METHODS):
        _note(portal, has_robots=has)


def _note(portal: Portal, **values: Any) -> None:
    """Writes what differs from the instance, these columns alone."""
    changed = {name: value for name, value in values.items() if getattr(portal, name) != value}
    if changed:
        for name, value in changed.items():
            setattr(portal, name, value)
        Portal.objects.filter(pk=portal.pk).update(**changed)
