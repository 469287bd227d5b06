"""Faults on order: which kinds there are,
and whether one strikes now (by count, or by chance from a seed)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.chance import draw
from sandbox.model import Fault
from sandbox.world import ControlError

REQUEST_KINDS = (
    "latency",
    "503",
    "429",
    "500",
    "html",
    "drop_before",
    "drop_after",
    "silence",
    "silence_after",
    "expired_token",
    "error",
)
QUEUE_KINDS = ("call_twice", "call_late", "call_lost")
SERVER_KINDS = ("down", "html", "silence", "error", "latency", "down_after")


def order(faults: list[Fault], number: int, wish: dict[str, Any], kinds: Iterable[str]) -> Fault:
    """A new fault from a control request; raises ControlError where the wish makes no sense."""
    known = {
        "kind",
        "count",
        "probability",
        "seed",
        "methods",
        "level",
        "seconds",
        "status",
        "error",
        "description",
    }
    unknown = set(wish) - known
    if unknown:
        raise ControlError(f"a fault has no {', '.join(sorted(unknown))}")
    kind = str(wish.get("kind", ""))
    if kind not in kinds:
        raise ControlError(f"there is no fault {kind!r} here; there are {', '.join(kinds)}")
    if wish.get("level", "request") not in ("request", "command"):
        raise ControlError("level is request or command")
    if wish.get("level") == "command" and kind not in ("error", "expired_token", "429", "500"):
        raise ControlError("a command can only answer an error, 429, 500 or expired_token")
    probability = wish.get("probability")
    if probability is not None and not 0 <= float(probability) <= 1:
        raise ControlError("probability is between 0 and 1")
    fault = Fault(
        id=number,
        kind=kind,
        count=None if wish.get("count") is None else int(wish["count"]),
        probability=None if probability is None else float(probability),
        seed=int(wish.get("seed", number)),
        methods=[str(method).lower() for method in wish["methods"]] if wish.get("methods") else None,
        level=str(wish.get("level", "request")),
        seconds=float(wish.get("seconds", 0)),
        status=int(wish.get("status", 0)),
        error=None if wish.get("error") is None else str(wish["error"]),
        description=str(wish.get("description", "")),
    )
    faults.append(fault)
    return fault


def strikes(
    faults: list[Fault], kinds: Iterable[str], method: str = "", level: str = "request"
) -> list[Fault]:
    """Those that strike this time; each is counted,
    one that is used up is taken off. The caller holds the lock."""
    if not faults:
        return []
    struck = []
    for fault in list(faults):
        if fault.kind not in kinds or fault.level != level:
            continue
        if fault.methods is not None and method.lower() not in fault.methods:
            continue
        fault.seen += 1
        if fault.probability is not None and draw(fault.seed, fault.seen) >= fault.probability:
            continue
        fault.played += 1
        struck.append(fault)
        if fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                faults.remove(fault)
    return struck
