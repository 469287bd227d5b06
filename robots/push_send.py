"""A plan's steps as requests, and each step's own answer (contract §4, §5).

Steps that a batch can say go 50 commands together, the others alone as JSON, first; so the last batch
may carry the lists that show what the portal holds afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

from portals import errors
from portals.batch import LARGEST, Commands
from portals.client import PortalClient, can_batch
from robots.look import LISTS, METHODS, Holding, holding_of
from robots.payload import add_fields, update_fields
from robots.plan import Action, Step

ALREADY = "ERROR_ACTIVITY_ALREADY_INSTALLED"
NOT_FOUND = "ERROR_ACTIVITY_NOT_FOUND"
Patiently = Callable[[Callable[[], Any]], Any]


class End(Enum):
    DONE = "done"
    AGAIN = "again"  # the portal is not as planned, or the answer is not known: look, plan and send once more
    FOREIGN = "foreign"  # somebody else's, added since we looked
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """How one step ended. `deleted`: the delete of a REPLACE was done, whatever became of its add."""

    end: End
    error: errors.RestError | None = None
    deleted: bool = False


def commands_of(step: Step) -> list[tuple[str, dict[str, Any]]]:
    """The one or two requests of a step, in order."""
    version = step.wish.version
    delete = (f"{METHODS[step.there]}.delete", {"CODE": step.code}) if step.there in METHODS else None
    if step.action is Action.DELETE and delete:
        return [delete]
    assert version is not None  # noqa: S101  (every other changing step is of a version)
    assert step.new is not None  # noqa: S101  (the same)
    method = METHODS[version.kind]
    if step.action is Action.UPDATE:
        return [(f"{method}.update", {"CODE": step.code, "FIELDS": update_fields(step.old, step.new)})]
    add = (f"{method}.add", add_fields(step.new))
    return [delete, add] if step.action is Action.REPLACE and delete else [add]


def groups(steps: list[Step]) -> Iterator[tuple[list[Step], bool]]:
    """(steps, whether as a batch) in the order of sending; the commands of a group are at most 50."""
    sized = [(step, commands_of(step)) for step in steps]
    batched = []
    for step, commands in sized:
        if all(can_batch(params) for _method, params in commands):
            batched.append((step, commands))
        else:
            yield [step], False
    group: list[Step] = []
    room = LARGEST
    for step, commands in batched:
        if len(commands) > room:
            yield group, True
            group, room = [], LARGEST
        group.append(step)
        room -= len(commands)
    if group:
        yield group, True


def send(
    client: PortalClient, steps: list[Step], as_batch: bool, patiently: Patiently, looking: bool
) -> tuple[list[Answer], Holding | None]:
    """Sends one group; each step's answer in order, and what the portal holds now where the batch had room
    for the lists. Raises PortalTrouble, and Passes where the group was surely not taken."""
    if not as_batch:
        return [_alone(client, steps[0], patiently)], None
    commands: Commands = {}
    keys = []
    for number, step in enumerate(steps):
        own = [(f"s{number}_{part}", command) for part, command in enumerate(commands_of(step))]
        commands.update(own)
        keys.append([key for key, _command in own])
    carried = looking and lists_fit(steps)
    if carried:
        commands.update(LISTS)
    try:
        answer = patiently(lambda: client.batch(commands))
    except errors.UnknownAnswer as error:
        return [Answer(End.AGAIN, error) for _step in steps], None
    answers = [
        _read(step, [answer.errors.get(key) for key in own]) for step, own in zip(steps, keys, strict=True)
    ]
    holding = None
    if carried:
        try:
            holding = holding_of(answer.results, answer.errors)
        except errors.RestError:
            pass  # the lists alone failed; they are asked for again by themselves
    return answers, holding


def lists_fit(steps: list[Step]) -> bool:
    """Whether a batch of these steps has room for the lists too."""
    return sum(len(commands_of(step)) for step in steps) + len(LISTS) <= LARGEST


def _alone(client: PortalClient, step: Step, patiently: Patiently) -> Answer:
    found: list[errors.RestError | None] = []
    for method, params in commands_of(step):
        try:
            patiently(partial(client.call, method, params))
            found.append(None)
        except (errors.CommandRefused, errors.UnknownAnswer) as error:
            found.append(error)
        except errors.RestError as error:
            if not found:
                raise  # surely nothing was done
            found.append(error)
        if found[-1] is not None and not isinstance(found[-1], errors.CommandRefused):
            break
    while len(found) < len(commands_of(step)):
        found.append(found[-1])
    return _read(step, found)


def _read(step: Step, found: list[errors.RestError | None]) -> Answer:
    """The step's end by its commands' errors (None is success)."""
    last = found[-1]
    deleted = False
    if step.action is Action.REPLACE:
        first = found[0]
        deleted = first is None or _is(first, NOT_FOUND)
        if not deleted and last is not None:
            return Answer(End.AGAIN if isinstance(first, errors.Passes) else End.FAILED, first)
    if last is None:
        return Answer(End.DONE)
    if step.action is Action.DELETE and _is(last, NOT_FOUND):
        return Answer(End.DONE)
    if step.action is Action.UPDATE and _is(last, NOT_FOUND):
        return Answer(End.AGAIN, last)
    if step.action in (Action.ADD, Action.REPLACE) and _is(last, ALREADY):
        # This try is noted by now, so only the record from before it makes the code ours (design §4).
        return Answer(End.AGAIN if step.owned else End.FOREIGN, last, deleted)
    return Answer(End.AGAIN if isinstance(last, errors.Passes) else End.FAILED, last, deleted)


def _is(error: errors.RestError | None, code: str) -> bool:
    return isinstance(error, errors.CommandRefused) and error.code == code
