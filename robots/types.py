"""Values in and out of a robot, by the types its properties declare (contract §5–§7, design §3).

In:  `typed_inputs` — what a handler call brought → what robot code works with.
Out: `wire_outputs` — what robot code returned → what `bizproc.event.send` takes.

Both read properties in the payload's spelling (`{id: {Type, Required, Multiple, Default, Options}}`, keys in
either case, flags boolean or Y/N). A type is one entry of `TYPES` in `value_types.py`; document-bound types
(`UF:…`) pass raw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from robots import dates
from robots.fields import DatedValues, Field, InputError, NotThatType, OutputError, UserRef
from robots.problem import shown
from robots.value_types import RAW, TYPES, ValueType

__all__ = [
    "MAX_RESULT_BYTES",
    "Field",
    "InputError",
    "OutputError",
    "UserRef",
    "learned_date_format",
    "read_value",
    "typed_inputs",
    "value_type",
    "wire_outputs",
]

MAX_RESULT_BYTES = 1_000_000
MAX_VALUES = 10_000


def value_type(name: str) -> ValueType:
    """How values of a declared type are read and written; unknown and document-bound types pass raw."""
    return TYPES.get(name, RAW)


def typed_inputs(
    properties: Mapping[str, Mapping[str, Any]], raw: object, zone: str = "UTC", date_format: str = ""
) -> dict[str, Any]:
    """Every declared input by its id, typed: bool, int, Decimal, date, aware datetime in `zone`, time,
    UserRef, str; a list where multiple. Absent or empty: the default if there is one, else None (`[]` where
    multiple).

    `raw` is `properties` of a handler call as php_form parsed it (anything else counts as absent); what is
    not declared is ignored. Raises InputError naming the id, what came and what was expected.
    """
    came: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
    context = DatedValues(zone, date_format)
    values: dict[str, Any] = {}
    for identifier, spelled in properties.items():
        field = Field.read(identifier, spelled)
        parts = _parts(field, came.get(identifier))
        if not parts:
            # A default is ours, written as ISO; the portal's own format has no say in it.
            parts = _parts(field, field.default)
        values[identifier] = _read_parts(field, parts, context)
    return values


def read_value(field: Field, raw: object, zone: str = "UTC", date_format: str = "") -> Any:
    """One property's value as `typed_inputs` reads it, without its default. Raises InputError."""
    return _read_parts(field, _parts(field, raw), DatedValues(zone, date_format))


def _parts(field: Field, raw: object) -> list[Any]:
    """The values that came, unset ones left out. A list may arrive with other keys than 0…n (§6)."""
    if isinstance(raw, Mapping):
        items: Iterable[Any] = raw.values()
    elif isinstance(raw, (list, tuple)):
        items = raw
    else:
        items = (raw,)
    parts = [item for item in items if item is not None and item != ""]
    if field.multiple and field.type == "user":
        # A form may spell several as one text: "user_1, group_g1".
        parts = [p for item in parts for p in (item.split(",") if isinstance(item, str) else [item])]
    return parts


def _read_parts(field: Field, parts: list[Any], context: DatedValues) -> Any:
    kind = value_type(field.type)
    if not field.multiple and len(parts) > 1:
        raise InputError(field.id, shown(parts), _("one value"))
    if len(parts) > MAX_VALUES:
        raise InputError(field.id, shown(parts), _("at most %d values") % MAX_VALUES)
    values = []
    for part in parts:
        try:
            if isinstance(part, (Mapping, list, tuple)):
                raise NotThatType
            values.append(kind.read(part, field, context))
        except dates.UnknownZone as error:
            raise InputError(
                field.id, shown(part), _("a known time zone of the portal, not “%s”") % error
            ) from error
        except (NotThatType, OverflowError) as error:
            raise InputError(field.id, shown(part), kind.expected(field)) from error
    if field.multiple:
        return values
    return values[0] if values else None


def learned_date_format(properties: Mapping[str, Mapping[str, Any]], raw: object) -> str | None:
    """The site format ("DMY" or "MDY") that a date of this call proves, None where none or two do."""
    came: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
    proved: set[str] = set()
    for identifier, spelled in properties.items():
        field = Field.read(identifier, spelled)
        if field.type not in ("date", "datetime"):
            continue
        for part in _parts(field, came.get(identifier)):
            reading = dates.read(part, "") if isinstance(part, str) else None
            if reading is not None and reading.proves:
                proved.add(reading.proves)
    return proved.pop() if len(proved) == 1 else None


def wire_outputs(
    return_properties: Mapping[str, Mapping[str, Any]],
    values: object,
    zone: str = "UTC",
    limit: int = MAX_RESULT_BYTES,
) -> dict[str, Any]:
    """A result as RETURN_VALUES: id → str, or list of str where multiple; None and what is not named left
    out.

    bool as Y/N, numbers as plain decimal text, dates as full ISO with offset (a date is its midnight in
    `zone`), users as `user_5`. Nothing is sent by halves: raises OutputError for anything undeclared, of
    another type or together above `limit` bytes.
    """
    if not isinstance(values, Mapping):
        raise OutputError(
            "", _("The result's values must be a mapping of ids, not %s.") % type(values).__name__
        )
    wired: dict[str, Any] = {}
    size = 0
    for identifier, value in values.items():
        if identifier not in return_properties:
            raise OutputError(
                str(identifier)[:128],
                _("The result names “%(id)s”, which RETURN_PROPERTIES do not declare.")
                % {"id": shown(identifier, 128)},
            )
        if value is None:
            continue
        field = Field.read(identifier, return_properties[identifier])
        wired[identifier] = _wire_parts(field, value, DatedValues(zone, ""), limit - size)
        size += len(json.dumps(wired[identifier], ensure_ascii=False).encode()) + len(identifier) + 4
        if size > limit:
            raise _too_large(field, limit)
    return wired


def _wire_parts(field: Field, value: object, context: DatedValues, room: int) -> Any:
    kind = value_type(field.type)
    parts = list(value) if isinstance(value, (list, tuple)) else [value]
    if not field.multiple and isinstance(value, (list, tuple)):
        raise OutputError(
            field.id,
            _("“%(id)s” is a list, but it is not declared as multiple: %(value)s")
            % {"id": field.id, "value": shown(value)},
        )
    wired: list[Any] = []
    for part in parts:
        if part is None:
            continue
        try:
            text = kind.write(part, field, context)
        except (NotThatType, OverflowError, dates.UnknownZone) as error:
            raise OutputError(
                field.id,
                _("“%(id)s” should be %(expected)s, the result holds %(type)s %(value)s.")
                % {
                    "id": field.id,
                    "expected": kind.output(field),
                    "type": type(part).__name__,
                    "value": shown(part),
                },
            ) from error
        if isinstance(text, str) and not _sendable(text):
            raise OutputError(
                field.id, _("“%s” holds characters that no portal can store (NUL, half a pair).") % field.id
            )
        room -= len(text) if isinstance(text, str) else 8
        if room < 0:
            raise _too_large(field, MAX_RESULT_BYTES)
        wired.append(text)
    if field.multiple:
        return wired
    return wired[0] if wired else None


def _sendable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


def _too_large(field: Field, limit: int) -> OutputError:
    return OutputError(
        field.id,
        _("The result is larger than %(limit)d bytes (at “%(id)s”).") % {"limit": limit, "id": field.id},
    )
