"""What a result costs, however many portals it comes from.

    python -m tests.bench.scale [--quick]

The same number of calls from 1, 10 and 100 portals, by turns: CPU seconds a result of all processes (web, worker,
runners, beat, the database; the sandbox is no part of the hub). Looks, which come half a minute later, are no part of
it: they ride 500 to a request.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Any

from tests.bench import cluster, history, usage
from tests.bench.cluster import Cluster
from tests.bench.record import Found, carry_out, say, spread
from tests.bench.stage import burst, staged
from tests.system import servers
from tests.system.hub import Hub
from tests.system.servers import Stack

STACK = Stack("PostgreSQL", "Redis")
# Enterprise: what is measured is the hub, not the portals' bucket.
SETTINGS = {"generation": "background", "enterprise": True}
# What is owed of a former round must not be paid in the next.
_NO_LOOKS = "confirm_at = NULL, confirmation = 'confirmed'"
_FORGET_LOOKS = f"UPDATE handlers_invocation SET {_NO_LOOKS} WHERE confirm_at IS NOT NULL"


def names(number: int) -> list[str]:
    return [f"p{place:03}" for place in range(number)]


def until_finished(hub: Hub, chosen: list[str], seconds: float) -> None:
    """Until no process of theirs waits. One question for all portals."""

    def open_ones() -> list[str]:
        told = hub.control.get("stats")
        return [
            name for name in chosen if told[name]["waiting"] + told[name]["running"] + told[name]["queued"]
        ]

    end = time.monotonic() + seconds
    while left := open_ones():
        if time.monotonic() > end:
            raise AssertionError(f"{left} wait still\n{hub.tails()}")
        time.sleep(0.2)


def costs(hub: Hub, own: Cluster | None, portals: list[str], calls: int) -> dict[str, Any]:
    """CPU of `calls` in all from these portals, in ms a result."""
    history.execute(hub.environment["DATABASE_URL"], _FORGET_LOOKS)
    before, database = usage.by_role(hub.mark), own.cpu() if own else 0.0
    began = time.monotonic()
    for place, name in enumerate(portals):
        share = calls // len(portals) + (1 if place < calls % len(portals) else 0)
        burst(hub, name, share)
    until_finished(hub, portals, 200)
    seconds = time.monotonic() - began
    spent = usage.used(before, usage.by_role(hub.mark))
    spent["database"] = (own.cpu() if own else 0.0) - database
    spent.pop("sandbox", None)
    return {
        "portals": len(portals),
        "calls": calls,
        "seconds": round(seconds, 2),
        "ms_a_result": {role: round(1000 * value / calls, 3) for role, value in spent.items()},
        "all_ms": round(1000 * sum(spent.values()) / calls, 3),
    }


def measure_stack(stack: Stack, own: Cluster | None, most: int, calls: int, rounds: int) -> dict[str, Any]:
    portals = names(most)
    with staged(stack, dict.fromkeys(portals, SETTINGS)) as hub:
        sizes = sorted({1, min(10, most), most})
        costs(hub, own, portals, max(most, calls // 4))
        rows = []
        for turn in range(rounds):
            for size in sizes if turn % 2 else reversed(sizes):
                # Each round from other portals where there are some: no bucket is half full.
                first = (turn * size) % (most - size + 1)
                rows.append(costs(hub, own, portals[first : first + size], calls))
                say(f"scale: {rows[-1]['portals']} portals, {rows[-1]['all_ms']} ms a result")
        return {"rounds": rows}


def measure(quick: bool) -> Found:
    found = Found()
    stack = STACK if not servers.lacking(STACK) else servers.STACKS[0]
    most, calls, rounds = (4, 40, 1) if quick else (100, 2_000, 4)
    with ExitStack() as whole:
        own = None
        if not cluster.missing() and stack.database == "PostgreSQL":
            own = whole.enter_context(cluster.own())
        figures = measure_stack(stack, own, most, calls, rounds)
    found.figures = {"stack": str(stack), **figures}
    by_size: dict[int, list[float]] = {}
    for row in figures["rounds"]:
        by_size.setdefault(row["portals"], []).append(row["all_ms"])
    found.figures["by_portals"] = {str(size): spread(values, 3) for size, values in sorted(by_size.items())}
    medians = [each["median"] for each in found.figures["by_portals"].values()]
    found.goal(
        f"CPU a result from {', '.join(map(str, sorted(by_size)))} portals, most : least",
        "≤ 1.2",
        f"{max(medians) / min(medians):.2f} ({', '.join(f'{value:g}' for value in medians)} ms)",
        max(medians) <= 1.2 * min(medians),
    )
    return found


def main() -> int:
    return carry_out("scale", __doc__, measure)


if __name__ == "__main__":
    sys.exit(main())
