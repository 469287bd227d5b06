"""The shape of a batch: commands out, each command's own answer back (contract §4)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from portals import php_query
from portals.errors import CommandRefused, RestError, UnknownAnswer, as_text, classify, error_of

LARGEST = 50
# A batch runs 60 s at most in the portal; what it had not reached then is unknown.
SECONDS = 70.0

can_batch = php_query.can_batch

Commands = dict[str, tuple[str, dict[str, Any]]]


@dataclass
class BatchAnswer:
    """Each key of the commands is in exactly one of `results` and `errors`.

    `operating`: key -> seconds of operating time told for it. `portal_time`: when the portal began, by its
    own clock (`time.start`), None where it did not say. `seconds`: how long it worked by its own count, else
    by ours.
    """

    results: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, RestError] = field(default_factory=dict)
    operating: dict[str, float] = field(default_factory=dict)
    portal_time: dt.datetime | None = None
    seconds: float = 0.0


def build(commands: Commands) -> dict[str, Any]:
    """The params of `batch`. Raises ValueError for more than LARGEST commands or a batch in a batch."""
    if not 0 < len(commands) <= LARGEST:
        raise ValueError(f"A batch takes 1 to {LARGEST} commands, not {len(commands)}.")
    if any(method == "batch" for method, _ in commands.values()):
        raise ValueError("A batch can't hold a batch.")
    return {
        "halt": 0,
        "cmd": {key: f"{method}?{php_query.build(params)}" for key, (method, params) in commands.items()},
    }


def read(answer: dict[str, Any], commands: Commands, took: float) -> BatchAnswer:
    """The answer taken apart. A key that is in neither map was not reached: UnknownAnswer.

    Raises UnknownAnswer where the answer as a whole is no batch's.
    """
    result = answer.get("result")
    if not isinstance(result, dict):
        raise UnknownAnswer("half_answer", "The answer to the batch is incomplete.")
    results, failed = as_map(result.get("result")), as_map(result.get("result_error"))
    read_answer = BatchAnswer(seconds=took)
    for key, (method, _params) in commands.items():
        if key in failed:
            read_answer.errors[key] = _error(failed[key], method)
        elif key in results:
            read_answer.results[key] = results[key]
        else:
            read_answer.errors[key] = UnknownAnswer("not_reached", "The portal did not get to this command.")
    for key, times in as_map(result.get("result_time")).items():
        used = times.get("operating") if isinstance(times, dict) else None
        if isinstance(used, int | float):
            read_answer.operating[key] = float(used)
    read_answer.portal_time = started(answer)
    duration = _times(answer).get("duration")
    if isinstance(duration, int | float):
        read_answer.seconds = float(duration)
    return read_answer


def times_by_key(answer: dict[str, Any]) -> dict[str, Any]:
    """`result_time` as it came: key -> the command's `time`."""
    result = answer.get("result")
    return as_map(result.get("result_time")) if isinstance(result, dict) else {}


def started(answer: dict[str, Any]) -> dt.datetime | None:
    """`time.start` (Unix seconds by the portal's clock) as an aware datetime."""
    start = _times(answer).get("start")
    if not isinstance(start, int | float) or not 0 < start < 1e11:
        return None
    return dt.datetime.fromtimestamp(start, dt.UTC)


def _times(answer: dict[str, Any]) -> dict[str, Any]:
    times = answer.get("time")
    return times if isinstance(times, dict) else {}


def as_map(value: Any) -> dict[str, Any]:
    """A PHP array as a map: an empty one arrives as `[]`, one with keys 0…n-1 as a list."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {str(place): part for place, part in enumerate(value)}
    return {}


def _error(told: Any, method: str) -> RestError:
    found = error_of(told)
    if found is None:
        return CommandRefused("", as_text(told) if told else "")
    return classify(*found, None, method)
