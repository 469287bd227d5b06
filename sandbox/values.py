"""Property values the way a portal sends them: strings,
site date formats, and the odd forms of §6 on order."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sandbox.model import Portal
from sandbox.registry_rules import field

ODD = ("list", "keys", "empty", "iso", "digit")
PIECE = re.compile(r"YYYY|MM|MI|DD|HH|GG|SS|TT|H|G|T")


def zone_of(portal: Portal) -> tzinfo:
    try:
        return ZoneInfo(portal.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def iso(portal: Portal, seconds: float) -> str:
    """Whole seconds in the portal's time, with its offset:
    how the portal tells MODIFIED and its own time (§7)."""
    return datetime.fromtimestamp(int(seconds), zone_of(portal)).isoformat()


def site_format(moment: datetime, pattern: str) -> str:
    """A Bitrix24 pattern: HH and GG are 24 hours, H and G 12 where T or TT (am, AM) is in it."""
    twelve = "T" in pattern
    hour = moment.hour % 12 or 12 if twelve else moment.hour
    pieces = {
        "YYYY": f"{moment.year:04}",
        "MM": f"{moment.month:02}",
        "DD": f"{moment.day:02}",
        "MI": f"{moment.minute:02}",
        "SS": f"{moment.second:02}",
        "HH": f"{hour:02}",
        "GG": f"{hour:02}",
        "H": str(hour),
        "G": str(hour),
        "TT": "AM" if moment.hour < 12 else "PM",
        "T": "am" if moment.hour < 12 else "pm",
    }
    return PIECE.sub(lambda found: pieces[found.group()], pattern)


def truthy(value: Any) -> bool:
    return value in (True, 1, "1", "Y", "y", "true", "on", "yes")


def as_moment(portal: Portal, text: str) -> datetime | None:
    """An ISO date or moment; without an offset it is the portal's own time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    zone = zone_of(portal)
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def send_one(portal: Portal, kind: str, value: Any, odd: str) -> str:
    """One value as text. A value that is not of its type goes as it was written: so does a portal's."""
    if value is None or odd == "empty":
        return ""
    if kind == "bool":
        yes = truthy(value)
        return ("1" if yes else "0") if odd == "digit" else ("Y" if yes else "N")
    text = value.isoformat() if isinstance(value, date) else str(value)
    if kind in ("date", "datetime"):
        moment = as_moment(portal, text)
        if moment is None:
            return text
        if odd == "iso":
            return moment.isoformat()
        return site_format(moment, portal.date_format if kind == "date" else portal.datetime_format)
    if kind == "user" and text.isdigit():
        return f"user_{text}"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return text


def send(portal: Portal, declared: dict[str, Any], value: Any, odd: str = "") -> Any:
    """A property's value for the form: a text, a list where it is multiple, or one of the odd forms."""
    kind = str(field(declared, "Type") or "string").lower()
    if truthy(field(declared, "Multiple")) and odd != "empty":
        items = value if isinstance(value, list) else [] if value in (None, "") else [value]
        texts = [send_one(portal, kind, item, odd) for item in items]
        return {str(number * 7 + 3): text for number, text in enumerate(texts)} if odd == "keys" else texts
    if isinstance(value, list):
        value = value[0] if value else ""
    text = send_one(portal, kind, value, odd)
    if odd == "list":
        return [text]
    return {"n17": text} if odd == "keys" else text


def send_all(
    portal: Portal, properties: dict[str, Any], values: dict[str, Any], odd: dict[str, str]
) -> dict[str, Any]:
    """All properties of a robot: what the person filled, else the default, else an empty string."""
    given = {key.lower(): value for key, value in values.items()}
    return {
        key: send(portal, declared, given.get(key.lower(), field(declared, "Default")), odd.get(key, ""))
        for key, declared in properties.items()
    }


def local_name(name: Any, language: str) -> str:
    """A text or ``{lang: text}``: the language, then English, then ``*``, then whatever there is (§5)."""
    if isinstance(name, dict):
        for key in (language, "en", "*"):
            if name.get(key):
                return str(name[key])
        return str(next(iter(name.values()), ""))
    return str(name or "")
