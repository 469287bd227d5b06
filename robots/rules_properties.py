"""Rules of PROPERTIES and RETURN_PROPERTIES (contract §5): ids, types, options, defaults, size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from robots import dates
from robots.problem import Path, Problem, shown
from robots.property_map import property_map, stored_bytes
from robots.rules_text import MAX_TEXT, check_name, check_text
from robots.types import Field, InputError, read_value
from robots.value_types import TYPES

MAPS = ("properties", "return_properties")
MAX_MAP_BYTES = 65_535  # the serialised map must stay below
MAX_ID = 128
# The step owns these and drops a property of that name in silence.
RESERVED = frozenset(
    name.lower()
    for name in (
        "Title",
        "UseSubscription",
        "IsTimeout",
        "AuthUserId",
        "SetStatusMessage",
        "StatusMessage",
        "TimeoutDuration",
        "TimeoutDurationType",
    )
)
_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
_BOUND_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_]*:[A-Za-z0-9_.:\-]{1,80}")
WRONG_ID = gettext_lazy("An id begins with a letter a-z and goes on with letters, digits and “_”.")
_KNOWN = ("id", "type", "name", "description", "options", "required", "multiple", "default")


def check_properties(definition: Mapping[str, Any]) -> list[Problem]:
    """Both maps, and what they must not share."""
    problems: list[Problem] = []
    taken: dict[str, tuple[str, str]] = {}
    for name in MAPS:
        items = definition.get(name)
        if items in (None, "", {}):
            continue
        if not isinstance(items, (list, tuple)):
            problems.append(Problem((name,), _("Properties are a list.")))
            continue
        for index, item in enumerate(items):
            if not isinstance(item, Mapping):
                problems.append(Problem((name, index), _("A property is a map of its fields.")))
                continue
            problems += _check_property((name, index), item)
            problems += _taken((name, index, "id"), name, item.get("id"), taken)
        problems += _size(name, items)
    return problems


def _check_property(path: Path, item: Mapping[str, Any]) -> list[Problem]:
    problems = [
        Problem((*path, str(key)), _("There is no field “%s” in a property.") % shown(key, 80))
        for key in item
        if key not in _KNOWN
    ]
    problems += _check_id((*path, "id"), item.get("id"))
    problems += check_name((*path, "name"), item.get("name"))
    problems += check_text((*path, "description"), item.get("description"))
    for flag in ("required", "multiple"):
        if item.get(flag) not in (None, "") and not isinstance(item[flag], bool):
            problems.append(
                Problem((*path, flag), _("This is true or false, not %s.") % shown(item[flag], 80))
            )
    wrong_type = _check_type((*path, "type"), item.get("type"))
    wrong_options = _check_options((*path, "options"), item)
    problems += wrong_type + wrong_options
    if not wrong_type and not wrong_options:
        problems += _check_default((*path, "default"), item)
    return problems


def _check_id(path: Path, identifier: object) -> list[Problem]:
    if identifier in (None, ""):
        return [Problem(path, _("A property needs an id."))]
    if not isinstance(identifier, str) or not _ID.fullmatch(identifier):
        return [Problem(path, str(WRONG_ID))]
    if len(identifier) > MAX_ID:
        return [Problem(path, _("An id has at most %d characters.") % MAX_ID)]
    if identifier.lower() in RESERVED:
        return [Problem(path, _("The portal's step owns “%s” and would drop the property.") % identifier)]
    return []


def _taken(path: Path, name: str, identifier: object, taken: dict[str, tuple[str, str]]) -> list[Problem]:
    """Ids meet in one namespace that ignores case."""
    if not isinstance(identifier, str) or not identifier:
        return []
    held = taken.get(identifier.lower())
    if held is None:
        taken[identifier.lower()] = (name, identifier)
        return []
    other_map, other = held
    if other_map != name:
        return [Problem(path, _("“%s” is an input already: an input and an output share one slot.") % other)]
    if other == identifier:
        return [Problem(path, _("“%s” is there twice.") % identifier)]
    return [
        Problem(path, _("“%(id)s” and “%(other)s” differ only in case.") % {"id": identifier, "other": other})
    ]


def _check_type(path: Path, kind: object) -> list[Problem]:
    if isinstance(kind, str) and (kind in TYPES or _BOUND_TYPE.fullmatch(kind)):
        return []
    return [
        Problem(
            path,
            _("A type is one of %s, or bound to a document (UF:…).") % ", ".join(TYPES)
            if kind in (None, "")
            else _("“%(type)s” is no type: write one of %(known)s, or UF:…")
            % {"type": shown(kind, 80), "known": ", ".join(TYPES)},
        )
    ]


def _check_options(path: Path, item: Mapping[str, Any]) -> list[Problem]:
    options, kind = item.get("options"), item.get("type")
    if options in (None, "", {}, []):
        return [Problem(path, _("A select needs options: {value: title}."))] if kind == "select" else []
    if not isinstance(options, Mapping):
        return [Problem(path, _("Options are a map: {value: title}."))]
    if isinstance(kind, str) and kind in TYPES and kind != "select":
        return [Problem(path, _("Only a select has options."))]
    problems: list[Problem] = []
    for value, title in options.items():
        here = (*path, str(value))
        if not isinstance(value, (str, int)) or isinstance(value, bool) or str(value) == "":
            problems.append(Problem(here, _("An option's value is a text that is not empty.")))
        elif len(str(value)) > MAX_TEXT:
            problems.append(Problem(path, _("An option's value has at most %d characters.") % MAX_TEXT))
        problems += check_name(here, title)
    return problems


def _check_default(path: Path, item: Mapping[str, Any]) -> list[Problem]:
    default = item.get("default")
    if default in (None, "", []):
        return []
    multiple = item.get("multiple") is True
    if isinstance(default, Mapping) or (isinstance(default, (list, tuple)) and not multiple):
        return [Problem(path, _("The default is one value, unless the property is multiple."))]
    parts: Sequence[Any] = default if isinstance(default, (list, tuple)) else [default]
    problems: list[Problem] = []
    options = item.get("options")
    field = Field(
        str(item.get("id")),
        str(item["type"]),
        multiple=False,
        options=tuple(map(str, options)) if isinstance(options, Mapping) else (),
    )
    for index, part in enumerate(parts):
        here = (*path, index) if isinstance(default, (list, tuple)) else path
        try:
            read_value(field, part)
        except InputError as error:
            problems.append(
                Problem(
                    here,
                    _("The default “%(value)s” should be %(expected)s.")
                    % {"value": error.came, "expected": error.expected},
                )
            )
            continue
        if field.type in ("date", "datetime") and not _iso(part):
            problems.append(
                Problem(here, _("Write a default date as 2026-11-24: portals read others differently."))
            )
        if isinstance(part, str):
            problems += check_text(here, part)
    return problems


def _iso(text: object) -> bool:
    reading = dates.read(text, "") if isinstance(text, str) else None
    return reading is not None and isinstance(text, str) and re.match(r"[0-9]{4}-", text.strip()) is not None


def _size(name: str, items: Sequence[Any]) -> list[Problem]:
    size = stored_bytes(property_map([item for item in items if isinstance(item, Mapping)]))
    if size < MAX_MAP_BYTES:
        return []
    return [
        Problem(
            (name,),
            _("Together these take %(size)d bytes on the portal, which stores less than %(limit)d.")
            % {"size": size, "limit": MAX_MAP_BYTES},
        )
    ]
