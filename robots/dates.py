"""Dates and times as portals write them (contract §6) and as they want them back (§7).

A portal's site format is not told. `date_format` is "DMY", "MDY", "YMD" or "" (unknown), `zone` an IANA name
or a fixed offset such as "+03:00". A text is read by what it proves itself; `date_format` only decides
between two readings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

FORMATS = ("DMY", "MDY", "YMD")

_CLOCK = (
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.[0-9]{1,9})?)?"
    r"(?:\s*(?P<half>[aApP])\.?[mM]\.?)?"
)
_OFFSET = r"(?P<offset>[zZ]|[+-][0-9]{2}:?[0-9]{2})"
_DATE = r"(?P<one>[0-9]{1,4})(?P<sep>[./-])(?P<two>[0-9]{1,2})(?P=sep)(?P<three>[0-9]{1,4})"
_SITE = re.compile(rf"{_DATE}(?:[T ]\s*{_CLOCK}\s*{_OFFSET}?)?")
_TIME = re.compile(_CLOCK)
_FIXED = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})")


class UnknownZone(ValueError):
    """The portal's time zone is none that this machine knows."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text spells: naive `moment`, its own `offset` if it has one, whether it has a time of day, and
    the order of day and month it proves of the portal's slashes and dashes ("" where it admits two readings,
    and of a date with dots or as ISO, which may come from anywhere and says nothing of those)."""

    moment: datetime
    offset: tzinfo | None
    has_time: bool
    proves: str


@lru_cache(maxsize=512)
def zone_of(name: str) -> tzinfo:
    """The tzinfo of an IANA name or a fixed offset; "" is UTC. Raises UnknownZone."""
    if not name:
        return UTC
    fixed = _FIXED.fullmatch(name)
    if fixed:
        return _fixed_offset(fixed[1], int(fixed[2]), int(fixed[3]))
    try:
        return ZoneInfo(name)
    except (
        KeyError,
        ValueError,
        OSError,
    ) as error:  # ZoneInfoNotFoundError is a KeyError; a path is a ValueError
        raise UnknownZone(name[:64]) from error


def _fixed_offset(sign: str, hours: int, minutes: int) -> tzinfo:
    if hours > 23 or minutes > 59:
        raise UnknownZone(f"{sign}{hours:02}:{minutes:02}")
    delta = timedelta(hours=hours, minutes=minutes)
    return timezone(-delta if sign == "-" else delta)


def read(text: str, date_format: str) -> Reading | None:
    """One reading of `text`, or None. Dots are DD.MM.YYYY, slashes with am or pm MM/DD/YYYY; other slashes and
    dashes of two readings follow `date_format`, and without one the platform's own (MM/DD/YYYY, DD-MM-YYYY)."""
    found = _SITE.fullmatch(text.strip()) if len(text) <= 64 else None
    if found is None:
        return None
    one, two, three = found["one"], found["two"], found["three"]
    order, proves = _order(one, two, found["sep"], bool(found["half"]), date_format)
    try:
        day = _day(order, one, two, three)
        clock = _clock(found) if found["hour"] else None
        offset = _offset(found["offset"])
    except ValueError:  # 31.02, 25:00, 13 pm, +99:00
        return None
    moment = datetime.combine(day, clock or time())
    return Reading(moment, offset, clock is not None, "" if offset else proves)


def _order(one: str, two: str, sep: str, half: bool, date_format: str) -> tuple[str, str]:
    """How the three numbers are to be read and which format that proves."""
    if len(one) == 4:
        return "YMD", ""
    if sep == ".":
        # The platform has no MM.DD.YYYY; who writes one means it all the same.
        return ("MDY" if int(two) > 12 else "DMY"), ""
    if int(one) > 12:
        return "DMY", "DMY"
    if int(two) > 12 or (half and sep == "/"):
        return "MDY", "MDY"  # am and pm come with MM/DD (§6)
    if date_format in ("DMY", "MDY"):
        return date_format, ""
    return ("MDY" if sep == "/" else "DMY"), ""


def _day(order: str, one: str, two: str, three: str) -> date:
    if order == "YMD":
        if len(three) > 2:
            raise ValueError(three)
        return date(int(one), int(two), int(three))
    if len(one) > 2 or len(three) != 4:
        raise ValueError(three)
    day, month = (one, two) if order == "DMY" else (two, one)
    return date(int(three), int(month), int(day))


def _clock(found: re.Match[str]) -> time:
    hour, half = int(found["hour"]), (found["half"] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if half == "p" else 0)
    return time(hour, int(found["minute"]), int(found["second"] or 0))


def _offset(text: str | None) -> tzinfo | None:
    if not text:
        return None
    if text in "zZ":
        return UTC
    return _fixed_offset(text[0], int(text[1:3]), int(text[-2:]))


def aware(reading: Reading, zone: tzinfo) -> datetime:
    """The moment in `zone`. A time that the change to summer time leaves out moves forward by the gap; of a
    time that comes twice the first is meant. Raises OverflowError at the ends of the calendar."""
    if reading.offset is not None:
        return reading.moment.replace(tzinfo=reading.offset).astimezone(zone)
    local = reading.moment.replace(tzinfo=zone)
    return local.astimezone(UTC).astimezone(zone)


def local_day(reading: Reading, zone: tzinfo) -> date:
    """The day in `zone`: what has an offset of its own is moved there first."""
    return aware(reading, zone).date() if reading.offset is not None else reading.moment.date()


def read_time(text: str) -> time | None:
    """`HH:MM[:SS] [am|pm]`, or None."""
    found = _TIME.fullmatch(text.strip()) if len(text) <= 32 else None
    try:
        return _clock(found) if found else None
    except ValueError:
        return None


def midnight(day: date, zone: tzinfo) -> datetime:
    """The day's beginning in `zone` (the first moment that exists, where clocks change at midnight)."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC).astimezone(zone)


def wire(moment: datetime) -> str:
    """Full ISO 8601 with offset, whole seconds (§7)."""
    return moment.replace(microsecond=0).isoformat()
