"""After an installation (contract §3): the portal's zone, its plan, whether `installFinish` is owed, and the
two events that reach us only where they are bound.

Nothing here is needed for results to be sent, so a failure only leaves the portal to the sweep.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from portals import learn
from portals.batch import BatchAnswer, as_map
from portals.client import PortalClient
from portals.errors import RestError
from portals.models import Portal

EVENTS = ("ONAPPUPDATE", "ONAPPUNINSTALL")
_BOUND_ALREADY = "error_event_binding_exists"

# Russian zones have no summer time, so an offset names one of them.
_RUSSIAN = {
    2: "Europe/Kaliningrad",
    3: "Europe/Moscow",
    4: "Europe/Samara",
    5: "Asia/Yekaterinburg",
    6: "Asia/Omsk",
    7: "Asia/Krasnoyarsk",
    8: "Asia/Irkutsk",
    9: "Asia/Yakutsk",
    10: "Asia/Vladivostok",
    11: "Asia/Magadan",
    12: "Asia/Kamchatka",
}


def address(portal: Portal) -> str:
    """Where this portal's application sends its events."""
    return f"{settings.PUBLIC_URL}/b24/{portal.application.slug}/events/"


def finish(portal: Portal, timeout: float = 15.0) -> bool:
    """Asks and binds; True where both events are bound to our present address."""
    client = PortalClient(portal, person=True, patience=timeout)
    try:
        told = client.batch(
            {
                "profile": ("profile", {}),
                "time": ("server.time", {}),
                "app": ("app.info", {}),
                "bound": ("event.get", {}),
            },
            timeout=timeout,
        )
        _learn(portal, told)
        if "bound" not in told.results:
            return False
        return _bind(portal, client, told.results["bound"], timeout)
    except RestError:
        return False


def _learn(portal: Portal, told: BatchAnswer) -> None:
    profile, info = as_map(told.results.get("profile")), as_map(told.results.get("app"))
    if "ADMIN" in profile:
        learn.administrator(portal, profile["ADMIN"] is True)
    if "INSTALLED" in info:
        portal.install_finished = info["INSTALLED"] is True
        Portal.objects.filter(pk=portal.pk).update(install_finished=portal.install_finished)
    if info.get("LANGUAGE_ID"):
        learn.language(portal, info["LANGUAGE_ID"])
    learn.zone(portal, zone_of(told.results.get("time"), profile.get("TIME_ZONE"), portal.language))


def zone_of(server_time: Any, users_zone: Any = "", language: str = "") -> str:
    """An IANA zone for the offset in `server.time` (ISO 8601); '' where it tells none.

    Of the zones with that offset the token owner's own is the likeliest, then the one usual for the language.
    """
    try:
        moment = dt.datetime.fromisoformat(str(server_time))
    except ValueError:
        return ""
    if not 1970 <= moment.year <= 9000:
        # The ends of the calendar are in no other zone.
        return ""
    offset = moment.utcoffset()
    if offset is None:
        return ""
    if isinstance(users_zone, str) and _offset_in(users_zone, moment) == offset:
        return users_zone
    hours = offset.total_seconds() / 3600
    if language == "ru" and hours in _RUSSIAN:
        return _RUSSIAN[int(hours)]
    if hours == int(hours):
        # The sign of these names is turned round.
        return f"Etc/GMT{-int(hours):+d}" if hours else "UTC"
    return next(
        (name for name in sorted(zoneinfo.available_timezones()) if _offset_in(name, moment) == offset), ""
    )


def _offset_in(name: str, moment: dt.datetime) -> dt.timedelta | None:
    try:
        return moment.astimezone(zoneinfo.ZoneInfo(name)).utcoffset()
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return None


def _bind(portal: Portal, client: PortalClient, bound: Any, timeout: float) -> bool:
    """Binds what is not bound to our address, and takes away old addresses of ours."""
    ours = address(portal)
    commands: dict[str, tuple[str, dict[str, Any]]] = {}
    rows = [row for row in as_map(bound).values() if isinstance(row, dict)]
    for event in EVENTS:
        handlers = {str(row.get("handler")) for row in rows if str(row.get("event")).upper() == event}
        if ours not in handlers:
            commands[f"bind_{event}"] = ("event.bind", {"event": event, "handler": ours})
        for number, old in enumerate(sorted(handlers - {ours})[:10]):
            if _path(old) == _path(ours):
                commands[f"unbind_{event}_{number}"] = ("event.unbind", {"event": event, "handler": old})
    if commands:
        done = client.batch(commands, timeout=timeout)
        for key, error in done.errors.items():
            if key.startswith("bind_") and error.code.lower() != _BOUND_ALREADY:
                return False
    portal.events_bound_to = ours
    Portal.objects.filter(pk=portal.pk).update(events_bound_to=ours)
    return True


def _path(address: str) -> str | None:
    """None for what is no address at all: a portal may list anything."""
    try:
        return urlsplit(address).path
    except ValueError:
        return None
