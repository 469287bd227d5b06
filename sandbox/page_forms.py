"""Form fields of the pages as control requests:
what a form cannot say (numbers, lists, nothing) is said here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sandbox.world import ControlError

LISTS = {"methods"}
# What was done, by the last part of the address.
SAID = {
    "portals": "The portal was made.",
    "apps": "The application is saved.",
    "faults": "The fault is ordered.",
}


def body(path: list[str], form: dict[str, Any]) -> dict[str, Any]:
    """The control request of a form: empty fields are left out where empty means *as usual*."""
    if path[-1] in ("run", "burst"):
        return run_body(form)
    found: dict[str, Any] = {}
    for key, value in form.items():
        if key in LISTS and isinstance(value, str):
            value = [item for item in value.replace(",", " ").split() if item]
        if key == "save" and isinstance(value, str):
            value = delay(value)
        if key == "operating" and isinstance(value, str):
            value = json_map(value)
        if key == "lock" and isinstance(value, str):
            value = json_map(value) or None
        if path[0] != "apps" and value in ("", []) and key not in ("domain", "operating"):
            continue
        found[key] = value
    if path == ["portals"]:
        # The form is headed *New portal*; the control API makes or changes.
        found["new"] = True
    return found


def run_body(form: dict[str, Any]) -> dict[str, Any]:
    """A run: ``properties[id]`` and ``odd[id]``; a list's empty lines are no values."""
    found = {key: value for key, value in form.items() if value != ""}
    given = found.get("properties")
    properties = given if isinstance(given, dict) else {}
    multiple = form.get("multiple")
    for key in multiple if isinstance(multiple, dict) else {}:
        text = properties.get(key, "")
        properties[key] = [line for line in str(text).splitlines() if line] if isinstance(text, str) else text
    found["properties"] = properties
    odd = found.get("odd")
    found["odd"] = {key: value for key, value in odd.items() if value} if isinstance(odd, dict) else {}
    found.pop("multiple", None)
    return found


def delay(text: str) -> Any:
    """``3`` or ``0-5``."""
    low, dash, high = text.partition("-")
    try:
        return [float(low), float(high)] if dash else float(low or 0)
    except ValueError:
        raise ControlError("a delay is a number of seconds, or two with - between them") from None


def json_map(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ControlError('this field is a JSON map, such as {"probability": 0.1, "seconds": 300}')
    return value


def said(path: list[str], result: Any, t: Callable[[object], str]) -> str:
    """A sentence on what came of it, in the words of `t`."""
    if isinstance(result, dict):
        if "status" in result and "ms" in result:
            answer = result["status"] or result["error"]
            return f"{t('The application answered')}: {answer} ({result['ms']} ms)"
        if "sent" in result:
            return f"{t('Sent')}: {result['sent']}"
        if "count" in result and "first" in result:
            return f"{t('Processes started')}: {result['count']}"
        if "ended" in result:
            return f"{t('Faults ended')}: {result['ended']}"
    return t(SAID.get(path[-1], "Done."))
