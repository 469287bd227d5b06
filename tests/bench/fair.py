"""Whether bad neighbours are felt: 98 portals' calls beside a portal that never answers and a robot that sleeps.

    python -m tests.bench.fair [--quick]

By turns without and with them: from the first call in to the last result of the others. The silent portal has calls
waiting; the sleeping robot has more rows than the worker has children, so that every child that may compute it does.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Any

from tests.bench import cluster, history
from tests.bench.record import Found, carry_out, say, spread
from tests.bench.scale import SETTINGS, STACK, names, until_finished
from tests.bench.stage import burst, staged
from tests.system import servers
from tests.system.hub import Hub
from tests.system.processes import until
from tests.system.servers import Stack

_ASLEEP = "SELECT count(*) FROM handlers_invocation WHERE state = 'computing' AND robot_code = 'sleep'"
_AWAKE = (
    "UPDATE handlers_invocation SET state = 'failed', cause = 'robot_error', ended_at = CURRENT_TIMESTAMP"
    " WHERE state = 'received' AND robot_code = 'sleep'"
)
_NOT_ENDED = "robot_code = 'sleep' AND state IN ('received', 'computing')"
_OPEN_SLEEP = f"SELECT count(*) FROM handlers_invocation WHERE {_NOT_ENDED}"


def beside_bad_ones(hub: Hub, silent: str, sleepy: str, sleeping: int) -> None:
    """Until the sleeper sleeps and the sender waits for the silent portal."""
    hub.control.post(f"portals/{silent}/faults", kind="silence", seconds=120, methods=["batch"])
    burst(hub, silent, 100)
    burst(hub, sleepy, sleeping, "sleep", seconds="2")
    until(lambda: hub.rows(_ASLEEP)[0][0] > 0, "the sleeper sleeps")


def forgive(hub: Hub, silent: str) -> None:
    """The silent portal speaks again, the sleeper's rows are given up."""
    answer = hub.control.session.delete(f"{hub.control.base}/control/portals/{silent}/faults", timeout=30)
    assert answer.ok, answer.text
    history.execute(hub.environment["DATABASE_URL"], _AWAKE)
    until(lambda: hub.rows(_OPEN_SLEEP)[0][0] == 0, "the sleeper woke", 60)


def turn(hub: Hub, others: list[str], each: int) -> float:
    """Seconds until the last result of the others."""
    began = time.monotonic()
    for name in others:
        burst(hub, name, each)
    until_finished(hub, others, 200)
    return time.monotonic() - began


def measure_stack(stack: Stack, portals: int, each: int, turns: int, sleeping: int) -> dict[str, Any]:
    silent, sleepy, *others = names(portals)
    found: dict[str, Any] = {"others": len(others), "calls": each * len(others), "quiet": [], "beside": []}
    with staged(stack, dict.fromkeys([silent, sleepy, *others], SETTINGS)) as hub:
        turn(hub, others, each)
        for place in range(turns):
            found["quiet"].append(round(turn(hub, others, each), 3))
            beside_bad_ones(hub, silent, sleepy, sleeping)
            found["beside"].append(round(turn(hub, others, each), 3))
            forgive(hub, silent)
            say(f"fair: turn {place + 1}, {found['quiet'][-1]} s and {found['beside'][-1]} s beside bad ones")
        found["concurrency"] = int(hub.environment["WORKER_CONCURRENCY"])
    return found


def measure(quick: bool) -> Found:
    found = Found()
    stack = STACK if not servers.lacking(STACK) else servers.STACKS[0]
    with ExitStack() as whole:
        if not cluster.missing() and stack.database == "PostgreSQL":
            whole.enter_context(cluster.own())
        figures = measure_stack(stack, *((4, 5, 1, 3) if quick else (100, 20, 5, 24)))
    pairs = [b / q for b, q in zip(figures["beside"], figures["quiet"], strict=True)]
    figures["ratio"] = spread(pairs)
    found.figures = {"stack": str(stack), **figures}
    found.goal(
        "a silent portal and a sleeping robot beside: the others' time, as long as without",
        "≤ 1.2",
        f"{figures['ratio']['median']:g} ({figures['ratio']['least']:g} … {figures['ratio']['most']:g})",
        figures["ratio"]["median"] <= 1.2,
    )
    return found


def main() -> int:
    return carry_out("fair", __doc__, measure)


if __name__ == "__main__":
    sys.exit(main())
