"""What an outcome of the runner makes of a row: a result, another try, or an end. Pure decisions, no queries."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from handlers.attempts import Note
from handlers.claims import Claim, Settlement
from handlers.models import Cause, Invocation
from portals import trouble
from robots.job import Outcome
from robots.models import OnFailure, RobotVersion

# Tries to compute, by cause: what may pass is tried again, what is the same at each try is not. A Python function
# may have met a fault outside, so its error is worth another try; an expression's is not.
TRIES = {"process_died": 3, "memory": 2, "time_limit": 2, "robot_error": 3}
# Where the robot itself says that what it met passes (a portal's limit, say).
TRIES_PASSING = 8
_DELAYS = (1.0, 5.0, 15.0, 60.0, 120.0, 300.0)
CALL_UNREADABLE = "What came with the call can't be read."
SETTING_UNREADABLE = "No key of ENCRYPTION_KEYS opens one of the portal's settings."
RESULT_UNREADABLE = "The stored result can't be read."
# What took a place for a minute, or a machine's memory, lets others go before it takes them again.
_COSTLY = {"time_limit", "memory"}
_DELAY_COSTLY = 15.0


@dataclass(slots=True)
class Row:
    """A claimed call with what came in (`call`, decoded; None where that can't be read)."""

    invocation: Invocation
    call: dict[str, Any] | None


def result_text(values: dict[str, Any], log: str | None) -> str:
    """A token's one result as it is stored."""
    return json.dumps({"values": values, "log": log}, ensure_ascii=False, separators=(",", ":"))


def unreadable(claim: Claim, text: str) -> tuple[Settlement, list[Note]]:
    """A call that can't be computed however often it is tried: a person must look. Whatever its robot does where it
    fails, its process is not released: once the key is back, the call is replayed."""
    cause = Cause.DATA_UNREADABLE
    end = Settlement(claim.id, claim.fence, "computing", "failed", cause, ended=True)
    return end, [Note(claim.id, "compute", cause, text)]


def kept_waiting(claim: Claim, outcome: Outcome, waited: float, jitter: float) -> tuple[Settlement, Note]:
    """What the robot asked of its portal can't be had now, which is nobody's doing: the call is kept, uncharged, until
    its deadline (waits.py). `waited` seconds since it came; `jitter` in [0, 1).

    A limit lets two a second through, of thousands perhaps: who has waited for longer asks more rarely.
    """
    least = trouble.EVERY if outcome.retry_after is None else max(outcome.retry_after, waited / 2)
    delay = min(least, trouble.EVERY) * (1 + jitter / 2)
    note = Note(claim.id, "compute", outcome.waits_for, outcome.sentence, outcome.error or None)
    return Settlement(claim.id, claim.fence, "computing", "received", delay=delay, uncharged=True), note


def settlement_of(
    claim: Claim, row: Row, version: RobotVersion, outcome: Outcome, early: float, jitter: float
) -> tuple[Settlement, list[Note]]:
    """How the row goes on. `early` seconds until a first send is safe (§7); `jitter` in [0, 1)."""
    if outcome.ok:
        return _with_result(claim, row, outcome, early), []
    note = Note(claim.id, "compute", outcome.cause, outcome.sentence, outcome.error or None)
    tried = row.invocation.tries + 1
    if tried < _tries_of(version, outcome):
        delay = _DELAYS[min(tried, len(_DELAYS)) - 1]
        if outcome.cause in _COSTLY:
            delay = max(delay, _DELAY_COSTLY)
        delay *= 1 + jitter / 2
        again = Settlement(
            claim.id, claim.fence, "computing", "received", delay=max(delay, outcome.retry_after or 0.0)
        )
        return again, [note]
    if version.on_failure == OnFailure.RELEASE and row.invocation.waits:
        return (
            Settlement(
                claim.id,
                claim.fence,
                "computing",
                "ready",
                cause=outcome.cause,
                delay=early,
                released=True,
                revision=outcome.revision,
                result=result_text({}, outcome.sentence),
            ),
            [note],
        )
    return (
        Settlement(
            claim.id,
            claim.fence,
            "computing",
            "failed",
            cause=outcome.cause,
            ended=True,
            revision=outcome.revision,
            lines=None,
        ),
        [note],
    )


def _with_result(claim: Claim, row: Row, outcome: Outcome, early: float) -> Settlement:
    waits = row.invocation.waits
    return Settlement(
        claim.id,
        claim.fence,
        "computing",
        "ready" if waits else "not_awaited",
        delay=early if waits else 0.0,
        computed=True,
        ended=not waits,
        revision=outcome.revision,
        result=result_text(outcome.values, outcome.log),
        lines=json.dumps(outcome.lines, ensure_ascii=False) if outcome.lines else None,
    )


def _tries_of(version: RobotVersion, outcome: Outcome) -> int:
    if outcome.retry_after is not None:
        return TRIES_PASSING
    if outcome.cause == "robot_error" and version.compute.get("type") != "python":
        return 1
    return TRIES.get(outcome.cause, 1)
