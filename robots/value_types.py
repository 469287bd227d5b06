"""One entry a field type: how a value is read from a handler call and written into a result (contract
§5–§7)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from robots import dates
from robots.fields import DatedValues, Field, NotThatType, UserRef
from robots.numbers import plain, read_decimal
from robots.problem import shown

Reader = Callable[[Any, Field, DatedValues], Any]


@dataclass(frozen=True)
class ValueType:
    """`read` and `write` raise NotThatType; `words` says what is expected, `result_words` what a result may
    hold."""

    read: Reader
    write: Reader
    words: str
    result_words: str = field(default="")

    def expected(self, about: Field) -> str:
        """What a handler call may bring, in words."""
        return self._filled(self.words, about)

    def output(self, about: Field) -> str:
        """What a result may hold, in words."""
        return self._filled(self.result_words or self.words, about)

    @staticmethod
    def _filled(words: str, about: Field) -> str:
        return _(words) % {"options": shown(", ".join(about.options[:20]))}


def _text(raw: Any) -> str:
    """A raw value as the text a form would have carried; defaults may be numbers or booleans."""
    if isinstance(raw, bool):
        return "Y" if raw else "N"
    if isinstance(raw, str):
        return raw
    if isinstance(raw, (int, float, Decimal)):
        return str(raw) if not isinstance(raw, int) or raw.bit_length() < 400 else ""
    raise NotThatType


def _read_bool(raw: Any, about: Field, context: DatedValues) -> bool:
    text = _text(raw).strip().lower()
    if text in ("y", "1", "true", "yes"):
        return True
    if text in ("n", "0", "false", "no"):
        return False
    raise NotThatType


def _write_bool(value: Any, about: Field, context: DatedValues) -> str:
    if isinstance(value, bool):
        return "Y" if value else "N"
    raise NotThatType


def _read_double(raw: Any, about: Field, context: DatedValues) -> Decimal:
    number = read_decimal(_text(raw))
    if number is None:
        raise NotThatType
    return number


def _read_int(raw: Any, about: Field, context: DatedValues) -> int:
    number = _read_double(raw, about, context)
    if number != number.to_integral_value():
        raise NotThatType
    return int(number)


def _write_double(value: Any, about: Field, context: DatedValues) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise NotThatType
    if isinstance(value, int) and value.bit_length() > 110:  # above 10^33
        raise NotThatType
    # repr of a float is its shortest exact spelling; Decimal(0.1) would send 55 digits of noise.
    text = plain(value if isinstance(value, Decimal) else Decimal(repr(value)))
    if text is None:
        raise NotThatType
    return text


def _write_int(value: Any, about: Field, context: DatedValues) -> str:
    text = _write_double(value, about, context)
    whole, _dot, rest = text.partition(".")
    if rest.strip("0"):
        raise NotThatType
    return whole


def _reading(raw: Any, context: DatedValues) -> dates.Reading:
    reading = dates.read(raw, context.date_format) if isinstance(raw, str) else None
    if reading is None:
        raise NotThatType
    return reading


def _read_date(raw: Any, about: Field, context: DatedValues) -> date:
    return dates.local_day(_reading(raw, context), context.zone)


def _read_datetime(raw: Any, about: Field, context: DatedValues) -> datetime:
    return dates.aware(_reading(raw, context), context.zone)


def _write_date(value: Any, about: Field, context: DatedValues) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise NotThatType
        value = value.astimezone(context.zone).date()
    if not isinstance(value, date):
        raise NotThatType
    return dates.wire(dates.midnight(value, context.zone))


def _write_datetime(value: Any, about: Field, context: DatedValues) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise NotThatType
        return dates.wire(value.astimezone(context.zone))
    return _write_date(value, about, context)


def _read_time(raw: Any, about: Field, context: DatedValues) -> time:
    value = dates.read_time(raw) if isinstance(raw, str) else None
    if value is None:
        raise NotThatType
    return value


def _write_time(value: Any, about: Field, context: DatedValues) -> str:
    if not isinstance(value, time):
        raise NotThatType
    return value.strftime("%H:%M:%S" if value.second else "%H:%M")


def _read_select(raw: Any, about: Field, context: DatedValues) -> str:
    text = _text(raw)
    if about.options and text not in about.options:
        raise NotThatType
    return text


def _write_select(value: Any, about: Field, context: DatedValues) -> str:
    if not isinstance(value, str):
        raise NotThatType
    return _read_select(value, about, context)


# "user_5", "[user_5]", "group_g1", "[group_g1]", "5", and a name with its number as pickers write it: "Ann
# Lee [5]".
_USER = re.compile(
    r"\[?((?:user|group)_[A-Za-z0-9_]{1,40})\]?|\[?([0-9]{1,18})\]?|[^\[\]]{1,200}\[([0-9]{1,18})\]"
)


def _read_user(raw: Any, about: Field, context: DatedValues) -> UserRef:
    found = _USER.fullmatch(_text(raw).strip())
    if found is None:
        raise NotThatType
    name, bare, picked = found.groups()
    reference = name or f"user_{int(bare or picked)}"
    if reference.startswith("user_") and not re.fullmatch(r"user_[0-9]{1,18}", reference):
        raise NotThatType
    return UserRef(reference)


def _write_user(value: Any, about: Field, context: DatedValues) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise NotThatType
    return str(_read_user(value, about, context))


def _write_file(value: Any, about: Field, context: DatedValues) -> str:
    # A URL, never content: base64 is not decoded by the portal here (§7).
    if isinstance(value, str) and re.fullmatch(r"https?://[^\s/]+\S*", value) and len(value) <= 8000:
        return value
    raise NotThatType


def _read_text(raw: Any, about: Field, context: DatedValues) -> str:
    return _text(raw)


def _write_text(value: Any, about: Field, context: DatedValues) -> str:
    if isinstance(value, str):
        return str(value)
    raise NotThatType


def _write_raw(value: Any, about: Field, context: DatedValues) -> str:
    if isinstance(value, bool):
        return _write_bool(value, about, context)
    if isinstance(value, (int, float, Decimal)):
        return _write_double(value, about, context)
    if isinstance(value, date):
        return _write_datetime(value, about, context)
    return _write_text(value, about, context)


_WORDS = gettext_noop("text")
RAW = ValueType(_read_text, _write_raw, _WORDS, gettext_noop("text, a number, a date or true/false"))

TYPES: dict[str, ValueType] = {
    "bool": ValueType(_read_bool, _write_bool, gettext_noop("Y or N"), gettext_noop("true or false")),
    "date": ValueType(
        _read_date,
        _write_date,
        gettext_noop("a date such as 2026-11-24 or 24.11.2026"),
        gettext_noop("a date"),
    ),
    "datetime": ValueType(
        _read_datetime,
        _write_datetime,
        gettext_noop("a date and time such as 2026-11-24T10:00:00+03:00 or 24.11.2026 10:00:00"),
        gettext_noop("a date and time with a time zone"),
    ),
    "double": ValueType(
        _read_double,
        _write_double,
        gettext_noop("a number with a dot, at most 30 digits"),
        gettext_noop("a number below 10^30"),
    ),
    "file": ValueType(
        _read_text,
        _write_file,
        gettext_noop("a file's id or address"),
        gettext_noop("a file's http(s) address"),
    ),
    "int": ValueType(
        _read_int,
        _write_int,
        gettext_noop("a whole number, at most 30 digits"),
        gettext_noop("a whole number below 10^30"),
    ),
    "select": ValueType(_read_select, _write_select, gettext_noop("one of: %(options)s")),
    "string": ValueType(_read_text, _write_text, _WORDS),
    "text": ValueType(_read_text, _write_text, _WORDS),
    "time": ValueType(
        _read_time,
        _write_time,
        gettext_noop("a time such as 18:30"),
        gettext_noop("a time of day"),
    ),
    "user": ValueType(
        _read_user,
        _write_user,
        gettext_noop("a user such as user_5 or a group such as group_g1"),
        gettext_noop("a user such as user_5"),
    ),
}
