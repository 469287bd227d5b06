"""Inputs of a call for a program: raw as they came, and typed in JSON without a digit lost."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from handlers.models import Invocation
from handlers.values_shown import call_of, payload_of
from robots.texts import in_language
from robots.types import typed_inputs

# Of `auth` acceptance keeps these alone; what else a row may hold is shown to nobody.
AUTH_SHOWN = ("member_id", "user_id", "domain", "scope")


class InputSerializer(serializers.Serializer[Any]):
    """One input. A `double` is a text of its digits, a date and a time are ISO 8601, a user is `user_5`."""

    id = serializers.CharField()
    name = serializers.CharField(help_text="In the language of the request.")
    type = serializers.CharField(help_text="As declared; empty: the version does not declare it.")
    declared = serializers.BooleanField()
    came = serializers.BooleanField(help_text="Whether the call brought it.")
    raw = serializers.JSONField(help_text="As it came; null where it did not.")
    value = serializers.JSONField(
        help_text="Read by its type and the portal's present zone and date format, or the default."
    )
    problem = serializers.CharField(help_text="Why it can't be read; empty: it can.")


def inputs_of(call: Invocation) -> list[dict[str, Any]]:
    """Every declared input, then what came besides; shaped as InputSerializer says."""
    raw = call_of(call).get("properties")
    came: dict[str, Any] = raw if isinstance(raw, dict) else {}
    declared = payload_of(call).get("PROPERTIES")
    properties: dict[str, Any] = declared if isinstance(declared, dict) else {}
    found = [_declared(identifier, spelled, came, call) for identifier, spelled in properties.items()]
    for identifier, value in came.items():
        if identifier not in properties:
            found.append(_line(identifier, "", "", False, True, value))
    return found


def _declared(identifier: str, spelled: Any, came: dict[str, Any], call: Invocation) -> dict[str, Any]:
    spelled = spelled if isinstance(spelled, dict) else {}
    line = _line(
        identifier,
        in_language(spelled.get("Name")),
        str(spelled.get("Type", "")),
        True,
        identifier in came,
        came.get(identifier),
    )
    try:
        # One by one, so that an unreadable value hides no other.
        typed = typed_inputs({identifier: spelled}, came, call.portal.time_zone, call.portal.date_format)
    except ValueError as error:
        line["problem"] = str(error)
    else:
        line["value"] = in_json(typed[identifier])
    return line


def _line(identifier: str, name: str, kind: str, declared: bool, came: bool, raw: Any) -> dict[str, Any]:
    return {
        "id": identifier,
        "name": name,
        "type": kind,
        "declared": declared,
        "came": came,
        "raw": raw,
        "value": None,
        "problem": "",
    }


def in_json(value: Any) -> Any:
    """A typed value in JSON: numbers with a fraction as text, since a reader's float would round them."""
    if isinstance(value, (list, tuple)):
        return [in_json(each) for each in value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return str(value) if isinstance(value, str) else value


def call_facts(call: Invocation) -> dict[str, Any]:
    """What the form said beside the inputs, without anything that proves who is asking."""
    stored = call_of(call)
    auth = stored.get("auth")
    return {
        "document_id": stored.get("document_id") or [],
        "document_type": stored.get("document_type") or [],
        "timeout_duration": stored.get("timeout_duration") or 0,
        "auth": {name: str(auth[name]) for name in AUTH_SHOWN if name in auth}
        if isinstance(auth, dict)
        else {},
    }
