"""How long one call takes from the portal and back, when nothing else goes on, on each database and broker.

    python -m tests.bench.idle [--quick]

The portal's own clock: from the moment the process reaches the robot to the moment it goes on. The robot is an
expression (its own time is a tenth of a millisecond), so all of it is the hub's. Then the same where the portal
saves its processes late (0.1 … 0.4 s after the call) and takes no result before.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Any

from tests.bench import cluster
from tests.bench.record import Found, carry_out, percentile, say
from tests.bench.stage import burst, staged, waiting
from tests.system import life, servers
from tests.system.hub import Hub
from tests.system.processes import until
from tests.system.servers import Stack

PORTALS: dict[str, dict[str, Any]] = {
    "alfa": {"generation": "background"},
    "late": {"generation": "background", "save": [0.1, 0.4]},
    "late-old": {"generation": "at_once", "save": [0.1, 0.4]},
}
WANTED, WANTED_LATE = 0.150, 0.650


def one_at_a_time(hub: Hub, name: str, calls: int) -> list[float]:
    """Seconds of each, a short rest between them."""
    taken = []
    for _call in range(calls):
        number = hub.control.run(
            name, life.CLIENT_ID, "discount", properties={"amount": "10", "percent": "5"}, document=life.DEAL
        )
        told = hub.control.finished(name, number, 120)
        taken.append(told["ended_at"] - told["started_at"])
        # Longer than it takes for the bucket to drain one request: an idle portal's is empty.
        time.sleep(0.5)
    return taken


def learn(hub: Hub, name: str, seconds: float) -> float:
    """Calls in small groups until the hub has met processes that are saved late; the delay it learned.

    A result that came too early is lost in silence and sent again after a look, 30 s later: that is the price
    of learning, paid once.
    """
    end = time.monotonic() + seconds
    question = f"SELECT send_delay FROM portals_portal WHERE member_id = '{_member(hub, name)}'"
    burst(hub, name, 5)
    until(lambda: waiting(hub, name) == 0 or time.monotonic() > end, "the portal is known", seconds + 30)
    return float(hub.rows(question)[0][0])


def measure_stack(stack: Stack, calls: int, learning: float) -> dict[str, Any]:
    names = list(PORTALS) if learning else ["alfa", "late-old"]
    with staged(stack, {name: PORTALS[name] for name in names}) as hub:
        figures: dict[str, Any] = {"calls": calls}
        if learning:
            figures["learned_delay"] = {name: learn(hub, name, learning) for name in names[1:]}
        for name in names:
            taken = one_at_a_time(hub, name, calls if name == "alfa" else max(1, calls // 2))
            figures[name] = {f"p{part}": round(1000 * percentile(taken, part), 1) for part in (50, 95)}
            figures[name]["most"] = round(1000 * max(taken), 1)
            stats = hub.control.stats(name)
            figures[name]["sends_lost"], figures[name]["doubled"] = stats["sends_lost"], stats["doubled"]
    return figures


def _member(hub: Hub, name: str) -> str:
    return str(hub.control.get(f"portals/{name}")["member_id"])


def measure(quick: bool) -> Found:
    found = Found()
    calls, learning = (3, 0.0) if quick else (30, 45.0)
    with ExitStack() as whole:
        if not cluster.missing():
            whole.enter_context(cluster.own())
        for stack in servers.STACKS:
            if reason := servers.lacking(stack):
                found.goal(f"{stack}: idle latency", "", f"left out, {reason}", None)
                continue
            say(f"idle on {stack}")
            figures = measure_stack(stack, calls, learning)
            found.figures[str(stack)] = figures
            for name, wanted in (("alfa", WANTED), ("late", WANTED_LATE), ("late-old", WANTED_LATE)):
                if name in figures:
                    _goal(found, stack, name, figures[name], wanted)
    return found


def _goal(found: Found, stack: Stack, name: str, ms: dict[str, float], wanted: float) -> None:
    words = {"alfa": "", "late": ", saved late", "late-old": ", saved late, older generation"}[name]
    found.goal(
        f"{stack}{words}: p95 of a lonely call, there and back",
        f"≤ {1000 * wanted:.0f} ms",
        f"{ms['p95']:g} ms (p50 {ms['p50']:g})",
        ms["p95"] <= 1000 * wanted,
    )


def main() -> int:
    return carry_out("idle", __doc__, measure)


if __name__ == "__main__":
    sys.exit(main())
