"""The fixed table of functions that expressions may call. Each is total over its kinds and bounded in what it
makes.

Nothing here reads a clock, a file or chance: a call computed twice gives the same result (design §2 rule 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from robots.numbers import plain, read_decimal
from robots.problem import shown

MAX_TEXT = 65_536
MANY = 50


class Refused(ValueError):
    """A value that an operation can't take; the evaluator adds where."""


def kind_of(value: Any) -> str:
    """What a value is, in words for a sentence."""
    if value is None:
        return _("an empty value")
    if isinstance(value, bool):
        return _("yes/no")
    if isinstance(value, datetime):
        return _("a date and time")
    names = (
        (Decimal, _("a number")),
        (str, _("a text")),
        (date, _("a date")),
        (time, _("a time")),
        (list, _("a list")),
    )
    return next((name for kind, name in names if isinstance(value, kind)), type(value).__name__)


def sized(value: Any) -> Any:
    """The value, if no text of it is above 64 kB."""
    length = len(value) if isinstance(value, str) else 0
    if isinstance(value, list):
        length = sum(len(item) for item in value if isinstance(item, str))
    if length > MAX_TEXT:
        raise Refused(_("The text grows above %d characters") % MAX_TEXT)
    return value


def as_text(value: Any) -> str:
    """A value as people read it: plain numbers, Y/N, ISO dates to the minute or second, lists by commas, ""
    empty."""
    if isinstance(value, str):
        return str(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "Y" if value else "N"
    if isinstance(value, (int, Decimal)):
        text = plain(Decimal(value))
        if text is None:
            raise Refused(_("The number grows beyond what can be counted with"))
        return text
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S" if value.second else "%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.strftime("%H:%M:%S" if value.second else "%H:%M")
    if isinstance(value, list):
        return _joined([as_text(item) for item in value], ", ")
    raise Refused(_("%s can't be written as text") % kind_of(value))


def _number(value: Any) -> Decimal:
    if not isinstance(value, Decimal):
        raise Refused(_("A number is needed here, not %s") % kind_of(value))
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Refused(_("A text is needed here, not %s") % kind_of(value))
    # What a function turns over may not be larger than what it may make.
    return str(sized(value))


def _whole(value: Any, low: int, high: int) -> int:
    number = _number(value)
    if number != number.to_integral_value() or not low <= number <= high:
        raise Refused(
            _("A whole number from %(low)d to %(high)d is needed here") % {"low": low, "high": high}
        )
    return int(number)


def _rounded(value: Any, digits: Any, rounding: str) -> Decimal:
    number, places = _number(value), _whole(digits, -30, 30)
    result = number.quantize(Decimal(1).scaleb(-places), rounding=rounding)
    # round(1234, -2) is 1.2E+3 to Decimal; people mean 1200.
    return result.quantize(Decimal(1)) if places < 0 else result


def _round(value: Any, digits: Any = Decimal(0)) -> Decimal:
    return _rounded(value, digits, ROUND_HALF_UP)


def _floor(value: Any, digits: Any = Decimal(0)) -> Decimal:
    return _rounded(value, digits, ROUND_FLOOR)


def _ceil(value: Any, digits: Any = Decimal(0)) -> Decimal:
    return _rounded(value, digits, ROUND_CEILING)


def _int(value: Any) -> Decimal:
    return _rounded(_to_number(value), Decimal(0), ROUND_DOWN)


def _to_number(value: Any) -> Decimal:
    if isinstance(value, str):
        number = read_decimal(value) if len(value) <= 200 else None
        if number is None:
            raise Refused(_("“%s” is no number") % shown(value, 80))
        return number
    return _number(value)


def _values(arguments: tuple[Any, ...]) -> list[Any]:
    """One list, or the values themselves; empty ones left out."""
    values = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else list(arguments)
    values = [value for value in values if value is not None]
    kinds = {kind_of(value) for value in values}
    if len(kinds) > 1 or any(isinstance(value, (bool, list)) for value in values):
        raise Refused(_("Values of one kind are needed here, not %s") % ", ".join(sorted(kinds)))
    return values


def _min(*arguments: Any) -> Any:
    return min(_values(arguments), default=None)


def _max(*arguments: Any) -> Any:
    return max(_values(arguments), default=None)


def _sum(*arguments: Any) -> Decimal:
    total = Decimal(0)
    for value in _values(arguments):
        total += _number(value)
    return total


def _len(value: Any) -> Decimal:
    if value is None:
        return Decimal(0)
    if not isinstance(value, (str, list)):
        raise Refused(_("%s has no length") % kind_of(value))
    return Decimal(len(value))


def _joined(parts: list[str], separator: str) -> str:
    if sum(map(len, parts)) + len(separator) * max(len(parts) - 1, 0) > MAX_TEXT:
        raise Refused(_("The text grows above %d characters") % MAX_TEXT)
    return separator.join(parts)


def _join(values: Any, separator: Any = ", ") -> str:
    if not isinstance(values, list):
        raise Refused(_("join takes a list, not %s") % kind_of(values))
    return _joined([as_text(value) for value in values], _text(separator))


def _concat(*arguments: Any) -> str:
    return _joined([as_text(argument) for argument in arguments], "")


def _contains(value: Any, part: Any) -> bool:
    if isinstance(value, list):
        return part in value
    return _text(part) in _text(value)


def _replace(value: Any, old: Any, new: Any) -> str:
    text, before, after = _text(value), _text(old), _text(new)
    if not before:
        raise Refused(_("replace needs a text to look for"))
    if len(text) + text.count(before) * (len(after) - len(before)) > MAX_TEXT:
        raise Refused(_("The text grows above %d characters") % MAX_TEXT)
    return text.replace(before, after)


def _left(value: Any, count: Any) -> str:
    return _text(value)[: _whole(count, 0, MAX_TEXT)]


def _right(value: Any, count: Any) -> str:
    text = _text(value)
    return text[max(len(text) - _whole(count, 0, MAX_TEXT), 0) :]


def _first(*arguments: Any) -> Any:
    """The first value that is not empty: of a list, or of what is given."""
    values = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else arguments
    return next((value for value in values if value is not None and value != "" and value != []), None)


def _day(value: Any) -> date:
    if not isinstance(value, date):
        raise Refused(_("A date is needed here, not %s") % kind_of(value))
    return value


def _add_days(value: Any, count: Any) -> date:
    return _day(value) + timedelta(days=_whole(count, -3_700_000, 3_700_000))


def _days_between(start: Any, end: Any) -> Decimal:
    days = [day.date() if isinstance(day, datetime) else day for day in (_day(start), _day(end))]
    return Decimal((days[1] - days[0]).days)


@dataclass(frozen=True, slots=True)
class Function:
    """`run` takes `least` to `most` values. Raises Refused, decimal's exceptions and OverflowError.

    `spelled` is how it is written, `words` what it gives.
    """

    run: Callable[..., Any]
    least: int
    most: int
    spelled: str
    words: Any


TABLE: dict[str, Function] = {
    "abs": Function(lambda value: abs(_number(value)), 1, 1, "abs(number)", gettext_lazy("without its sign")),
    "add_days": Function(
        _add_days,
        2,
        2,
        "add_days(date, days)",
        gettext_lazy("so many days later; earlier where days is below zero"),
    ),
    "ceil": Function(_ceil, 1, 2, "ceil(number, digits=0)", gettext_lazy("rounded up")),
    "coalesce": Function(_first, 1, MANY, "coalesce(a, b, …)", gettext_lazy("the first that is not empty")),
    "concat": Function(_concat, 1, MANY, "concat(a, b, …)", gettext_lazy("values as one text")),
    "contains": Function(
        _contains, 2, 2, "contains(text or list, part)", gettext_lazy("whether the part is in it")
    ),
    "day": Function(
        lambda value: Decimal(_day(value).day), 1, 1, "day(date)", gettext_lazy("its day of the month")
    ),
    "days_between": Function(
        _days_between, 2, 2, "days_between(start, end)", gettext_lazy("whole days from start to end")
    ),
    "endswith": Function(
        lambda value, end: _text(value).endswith(_text(end)),
        2,
        2,
        "endswith(text, end)",
        gettext_lazy("whether the text ends so"),
    ),
    "first": Function(_first, 1, MANY, "first(list)", gettext_lazy("its first value that is not empty")),
    "floor": Function(_floor, 1, 2, "floor(number, digits=0)", gettext_lazy("rounded down")),
    "int": Function(_int, 1, 1, "int(number or text)", gettext_lazy("without decimals")),
    "join": Function(_join, 1, 2, "join(list, separator)", gettext_lazy("its values as one text")),
    "left": Function(_left, 2, 2, "left(text, count)", gettext_lazy("its first characters")),
    "len": Function(_len, 1, 1, "len(text or list)", gettext_lazy("how many characters or values")),
    "lower": Function(
        lambda value: _text(value).lower(), 1, 1, "lower(text)", gettext_lazy("in small letters")
    ),
    "max": Function(_max, 1, MANY, "max(a, b, …) or max(list)", gettext_lazy("the largest")),
    "min": Function(_min, 1, MANY, "min(a, b, …) or min(list)", gettext_lazy("the smallest")),
    "month": Function(
        lambda value: Decimal(_day(value).month), 1, 1, "month(date)", gettext_lazy("its month, 1 to 12")
    ),
    "number": Function(_to_number, 1, 1, "number(text)", gettext_lazy("the number that it spells")),
    "replace": Function(_replace, 3, 3, "replace(text, old, new)", gettext_lazy("each old as new")),
    "right": Function(_right, 2, 2, "right(text, count)", gettext_lazy("its last characters")),
    "round": Function(_round, 1, 2, "round(number, digits=0)", gettext_lazy("half up")),
    "startswith": Function(
        lambda value, start: _text(value).startswith(_text(start)),
        2,
        2,
        "startswith(text, start)",
        gettext_lazy("whether the text starts so"),
    ),
    "sum": Function(_sum, 1, MANY, "sum(a, b, …) or sum(list)", gettext_lazy("all added")),
    "text": Function(as_text, 1, 1, "text(value)", gettext_lazy("as people read it")),
    "trim": Function(
        lambda value: _text(value).strip(), 1, 1, "trim(text)", gettext_lazy("without spaces around it")
    ),
    "upper": Function(
        lambda value: _text(value).upper(), 1, 1, "upper(text)", gettext_lazy("in capital letters")
    ),
    "year": Function(lambda value: Decimal(_day(value).year), 1, 1, "year(date)", gettext_lazy("its year")),
}
