"""Whether a long log makes the hub slow: the same work on a log of ten thousand and of a million ended calls.

    python -m tests.bench.growth [--quick]

Two databases of one PostgreSQL, two processes of the hub's code that are asked by turns (tests/bench/inside.py); then
the same once a transaction that somebody left open has kept the rows of thousands of calls from being cleaned.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg

from tests.bench import cluster, history
from tests.bench.pair import seed
from tests.bench.record import Found, carry_out, say, spread
from tests.system import servers
from tests.system.hub import Hub, running
from tests.system.processes import ROOT
from tests.system.servers import Stack

STACK = Stack("PostgreSQL", "Redis")
# The four; the other steps are shown beside them.
ASKED = {
    "ack": ["ack"],
    "claim": ["next group", "claim to compute", "portals with work", "what is due there", "claim to send"],
    "sweep": ["sweep"],
    "confirm": ["looks due", "confirm"],
}
_Times = dict[str, list[float]]


class Inside:
    """The process on one hub's database."""

    def __init__(self, hub: Hub) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.inside"],
            cwd=ROOT,
            env=hub.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._line("ready")

    def tell(self, order: str) -> _Times:
        assert self.popen.stdin
        self.popen.stdin.write(order + "\n")
        self.popen.stdin.flush()
        found: _Times = json.loads(self._line(""))
        return found

    def _line(self, wanted: str) -> str:
        assert self.popen.stdout
        line = self.popen.stdout.readline().strip()
        if not line or (wanted and line != wanted):
            raise RuntimeError(f"the process inside said {line!r}")
        return line

    def end(self) -> None:
        assert self.popen.stdin
        self.popen.stdin.close()
        self.popen.wait(30)


@contextmanager
def logs(stack: Stack, small: int, large: int) -> Iterator[tuple[Hub, Hub]]:
    """Two hubs, their databases filled with so many ended calls; nothing of them runs."""
    with running(stack) as one, running(stack) as other:
        for hub, rows in ((one, small), (other, large)):
            seed(hub)
            say(f"growth: {rows} rows")
            history.fill(hub, rows)
        yield one, other


def by_turns(small: Inside, large: Inside, rounds: int, rows: int) -> list[tuple[_Times, _Times]]:
    """Each round's times of both, the order turned round each time."""
    found = []
    for place in range(rounds):
        told: dict[int, _Times] = {}
        for which, process in ((0, small), (1, large)) if place % 2 else ((1, large), (0, small)):
            told[which] = {**process.tell(f"cycle {rows}"), **process.tell("sweep 5")}
        found.append((told[0], told[1]))
    return found


def ratios(pairs: list[tuple[_Times, _Times]]) -> dict[str, dict[str, float]]:
    """Large beside small, by round: of each of the issue's four and of each step."""
    steps = {step: [step] for step in pairs[0][0]}
    return {
        name: spread([cost(large, parts) / cost(small, parts) for small, large in pairs])
        for name, parts in {**steps, **ASKED}.items()
    }


def cost(times: _Times, steps: list[str]) -> float:
    """ms: the medians of these steps together."""
    return sum(statistics.median(times[step]) for step in steps if times.get(step))


def medians(pairs: list[tuple[_Times, _Times]], which: int) -> dict[str, float]:
    """ms of each step on one of both."""
    return {
        step: round(statistics.median(value for pair in pairs for value in pair[which][step]), 3)
        for step in pairs[0][which]
    }


def measure_stack(stack: Stack, sizes: tuple[int, int], rounds: int, rows: int, churn: int) -> dict[str, Any]:
    with logs(stack, *sizes) as (one, other):
        small, large = Inside(one), Inside(other)
        try:
            by_turns(small, large, 1, rows)
            pairs = by_turns(small, large, rounds, rows)
            figures: dict[str, Any] = {
                "rows": list(sizes),
                "ratios": ratios(pairs),
                "ms": [medians(pairs, 0), medians(pairs, 1)],
            }
            if stack.database == "PostgreSQL":
                say(f"growth: a transaction is left open while {churn} calls go by")
                with psycopg.connect(other.environment["DATABASE_URL"]) as session:
                    # Its snapshot keeps every row version from now on.
                    session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    session.execute("SELECT count(*) FROM portals_portal")
                    for _part in range(churn // 500):
                        large.tell("cycle 500")
                    left_open = [large.tell(f"cycle {rows}") | large.tell("sweep 5") for _ in range(rounds)]
                before = [pair[1] for pair in pairs]
                figures["left_open"] = {
                    "calls": churn,
                    "ratios": ratios(list(zip(before, left_open, strict=True))),
                    "ms": medians([(times, times) for times in left_open], 0),
                }
        finally:
            small.end()
            large.end()
    return figures


def measure(quick: bool) -> Found:
    found = Found()
    if cluster.missing() and servers.lacking(STACK):
        found.goal("growth", "", f"left out, {cluster.missing()}", None)
        return found
    with ExitStack() as whole:
        if not cluster.missing():
            whole.enter_context(cluster.own())
        sizes = (500, 5_000) if quick else (10_000, 1_000_000)
        figures = measure_stack(STACK, sizes, *((2, 50, 500) if quick else (10, 200, 10_000)))
    found.figures = figures
    for name in ASKED:
        ratio = figures["ratios"][name]
        found.goal(
            f"{name}: {sizes[1]:,} ended calls beside {sizes[0]:,}",
            "≤ 1.1",
            f"{ratio['median']:g} ({ratio['least']:g} … {ratio['most']:g})",
            ratio["median"] <= 1.1,
        )
    for name in ("ack", "claim"):
        ratio = figures["left_open"]["ratios"][name]
        ms = cost({step: [value] for step, value in figures["left_open"]["ms"].items()}, ASKED[name])
        found.goal(
            f"{name} beside a transaction left open for {figures['left_open']['calls']:,} calls, as long as without",
            "quick",
            f"{ratio['median']:g} × ({ms:.1f} ms)",
            ms <= 50,
        )
    return found


def main() -> int:
    return carry_out("growth", __doc__, measure)


if __name__ == "__main__":
    sys.exit(main())
