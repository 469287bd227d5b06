"""`batch`: up to 50 commands as query strings, with earlier answers substituted into later ones (§4)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox import php_forms
from sandbox.instances import listed
from sandbox.rest_errors import RestFailure

LENGTH = 50
REFERENCE = re.compile(r"\$(result|error|time|total|next)((?:\[[^\]\[]*\])+)")


@dataclass
class Answered:
    """What one command gave: a result with its time, or an error;
    ``total`` and ``next`` where it came in pages."""

    result: Any = None
    error: dict[str, Any] | None = None
    time: dict[str, Any] = field(default_factory=dict)
    total: int | None = None
    next: int | None = None


Run = Callable[[str, str, dict[str, Any]], Answered]


def run_batch(params: dict[str, Any], run: Run) -> dict[str, Any]:
    """The ``result`` of a batch;
    ``run(key, method, params)`` does one command and never raises RestFailure."""
    commands = params.get("cmd", params.get("CMD"))
    if isinstance(commands, list):
        commands = {str(number): item for number, item in enumerate(commands)}
    commands = commands if isinstance(commands, dict) else {}
    halt = str(params.get("halt", params.get("HALT", 0))).lower() in ("1", "true", "y")
    answers: dict[str, dict[str, Any]] = {"result": {}, "error": {}, "time": {}, "total": {}, "next": {}}
    for number, (key, text) in enumerate(commands.items()):
        if number >= LENGTH:
            failure = RestFailure("ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
            answers["error"][key] = failure.body()
            continue
        method, _, query = str(text).partition("?")
        method = method.strip().lower().removesuffix(".json")
        if method == "batch":
            failure = RestFailure("ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage")
            answers["error"][key] = failure.body()
        else:
            done = run(key, method, substitute(php_forms.parse(query), answers))
            if done.error is not None:
                answers["error"][key] = done.error
            else:
                answers["result"][key] = done.result
                answers["time"][key] = done.time
                if done.total is not None:
                    answers["total"][key] = done.total
                if done.next is not None:
                    answers["next"][key] = done.next
        if halt and key in answers["error"]:
            break
    return {
        "result": shaped(answers["result"]),
        "result_error": shaped(answers["error"]),
        "result_total": shaped(answers["total"]),
        "result_next": shaped(answers["next"]),
        "result_time": shaped(answers["time"]),
    }


def shaped(items: dict[str, Any]) -> Any:
    """PHP's arrays: a map with the keys 0…n in order is a list, and so is an empty one."""
    if all(key == str(number) for number, key in enumerate(items)):
        return list(items.values())
    return items


def substitute(value: Any, answers: dict[str, dict[str, Any]]) -> Any:
    """``$result[a][b]`` anywhere in a value: alone it becomes the answer itself,
    within a text the answer as text."""
    if isinstance(value, dict):
        return {key: substitute(item, answers) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, answers) for item in value]
    if not isinstance(value, str) or "$" not in value:
        return value
    whole = REFERENCE.fullmatch(value)
    if whole:
        return reach(whole, answers)
    return REFERENCE.sub(lambda found: as_text(reach(found, answers)), value)


def reach(found: re.Match[str], answers: dict[str, dict[str, Any]]) -> Any:
    """The value at the path, None where there is none."""
    node: Any = answers[found.group(1)]
    for key in re.findall(r"\[([^\]\[]*)\]", found.group(2)):
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdigit() and int(key) < len(listed(node)):
            node = node[int(key)]
        else:
            return None
    return node


def as_text(value: Any) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    return "Array" if isinstance(value, (dict, list)) else str(value)
