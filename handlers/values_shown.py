"""Inputs and outputs of a call for a reader: named by the robot's definition, typed, and raw beside it."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.formats import localize, number_format
from django.utils.translation import gettext as _

from handlers.clock_words import clock, day
from handlers.models import OPEN_STATES, Invocation
from robots.texts import in_language
from robots.types import typed_inputs

RAW_SHOWN = 20_000


@dataclass(frozen=True)
class Value:
    """One line: `shown` as a person reads it, `raw` as it went over the wire; `declared` says whether the
    robot's version knows it."""

    id: str
    name: str
    type: str
    shown: str
    raw: str
    declared: bool = True


@dataclass(frozen=True)
class Values:
    """A table of values; `problem` is a sentence where the typed reading failed."""

    rows: list[Value]
    problem: str = ""


def call_of(invocation: Invocation) -> dict[str, Any]:
    """What acceptance stored of the form; {} where a purge or nobody left anything."""
    return _parsed(invocation.call)


def result_of(invocation: Invocation) -> dict[str, Any]:
    """The token's one result, as sent; {} where there is none yet."""
    return _parsed(invocation.result)


def lines_of(invocation: Invocation) -> list[str]:
    """Lines written by `call.log`."""
    try:
        lines = json.loads(invocation.lines or "[]")
    except ValueError:
        return []
    return [str(line) for line in lines] if isinstance(lines, list) else []


def payload_of(invocation: Invocation) -> dict[str, Any]:
    """The payload of the version that computed, with PROPERTIES and RETURN_PROPERTIES; {} without one."""
    return _parsed(invocation.version.payload_text) if invocation.version else {}


def inputs_of(invocation: Invocation) -> Values:
    """Every declared input, then what came besides."""
    raw = call_of(invocation).get("properties")
    came: dict[str, Any] = raw if isinstance(raw, dict) else {}
    properties = _map(payload_of(invocation).get("PROPERTIES"))
    typed: dict[str, Any] = {}
    problem = ""
    portal = invocation.portal
    for identifier, spelled in properties.items():
        # One by one, so that an unreadable value hides no other.
        try:
            typed.update(typed_inputs({identifier: spelled}, came, portal.time_zone, portal.date_format))
        except ValueError as error:
            problem = problem or str(error)
    rows = [
        Value(
            identifier,
            in_language(spelled.get("Name")),
            str(spelled.get("Type", "")),
            shown(typed[identifier]) if identifier in typed else _("can't be read"),
            raw_text(came[identifier]) if identifier in came else _("did not come"),
        )
        for identifier, spelled in properties.items()
    ]
    rows += [
        Value(key, "", "", "", raw_text(value), False) for key, value in came.items() if key not in properties
    ]
    return Values(rows, problem)


def outputs_of(invocation: Invocation) -> Values:
    """What was returned, by the declaration; wire values are what was sent."""
    values = result_of(invocation).get("values")
    sent: dict[str, Any] = values if isinstance(values, dict) else {}
    properties = _map(payload_of(invocation).get("RETURN_PROPERTIES"))
    rows = []
    for identifier, value in sent.items():
        spelled = _map(properties.get(identifier))
        rows.append(
            Value(
                identifier,
                in_language(spelled.get("Name")),
                str(spelled.get("Type", "")),
                _wire_shown(value, identifier, spelled, invocation),
                raw_text(value),
                bool(spelled),
            )
        )
    return Values(rows)


def no_outputs(invocation: Invocation) -> str:
    """Why there are no outputs to be shown."""
    if result_of(invocation):
        return _("The result has no values.")
    if invocation.state in OPEN_STATES:
        return _("There is no result yet.")
    return _("There is no result: the call ended without one, or its contents were purged.")


def trial_fields(invocation: Invocation) -> list[tuple[str, str]]:
    """The call's inputs and its portal as fields of a robot's test run; a line for each of several values."""
    raw = call_of(invocation).get("properties")
    fields = [("portal", str(invocation.portal_id))]
    for key, value in (raw if isinstance(raw, dict) else {}).items():
        parts = (
            list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        )
        fields.append((f"in_{key}", "\n".join(str(part) for part in parts)))
    return fields


def shown(value: Any) -> str:
    """A typed value as a person reads it, by the reader's locale."""
    if value is None or value == [] or value == "":
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, (list, tuple)):
        return "; ".join(shown(each) for each in value)
    if isinstance(value, Decimal):
        return number_format(value, use_l10n=True, force_grouping=False)
    if isinstance(value, dt.datetime):
        return f"{clock(value)} ({timezone.localtime(value):%Z})"
    if isinstance(value, dt.date):
        return day(value)
    return str(localize(value)) if not isinstance(value, str) else value


def raw_text(value: Any) -> str:
    """A raw value: text as it is, anything else as JSON; cut where it is very long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= RAW_SHOWN else text[:RAW_SHOWN] + "…"


def pretty(value: Any) -> str:
    """JSON with indents, cut where it is very long."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return text if len(text) <= RAW_SHOWN else text[:RAW_SHOWN] + "\n…"


def _wire_shown(value: Any, identifier: str, spelled: dict[str, Any], invocation: Invocation) -> str:
    try:
        typed = typed_inputs({identifier: spelled}, {identifier: value}, invocation.portal.time_zone)
    except ValueError:
        return raw_text(value)
    return shown(typed[identifier])


def _parsed(text: str) -> dict[str, Any]:
    try:
        return _map(json.loads(text or "{}"))
    except ValueError:
        return {}


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
