"""How quickly a call is acknowledged: the hub beside bare Django views, by turns.

    python -m tests.bench.ack [--quick]

Four sides in each round: an empty view, a view with one INSERT of the same row, the hub, a view with the INSERT
and one Celery publish (tests/bench/bare.py). wrk, 16 connections, a form of 1.6 kB, each token once; CPU is the
operating system's count of the web processes and the database's. PostgreSQL with Redis, SQLite with the
filesystem broker.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench import cluster, usage
from tests.bench.cluster import Cluster
from tests.bench.load import load
from tests.bench.pair import Pair, pair
from tests.bench.record import Found, carry_out, say, spread, told
from tests.system import servers
from tests.system.servers import Stack

STACKS = (Stack("PostgreSQL", "Redis"), Stack("SQLite", "filesystem"))
SIDES = ("empty view", "view + INSERT", "hub", "view + INSERT + publish")
# The issue's: throughput of the hub beside a view with an INSERT.
_WANTED = {"PostgreSQL": 1.0, "SQLite": 1.5}


@dataclass
class Side:
    """Answers a second, and CPU ms an answer of the web processes and of the database, a figure a round."""

    rate: list[float] = field(default_factory=list)
    web: list[float] = field(default_factory=list)
    database: list[float] = field(default_factory=list)
    good: int = 0
    bad: int = 0

    @property
    def cpu(self) -> list[float]:
        return [sum(pair) for pair in zip(self.web, self.database, strict=True)]


def rounds(here: Pair, own: Cluster | None, number: int, seconds: float) -> dict[str, Side]:
    """`number` rounds of every side, the order turned round each time."""
    addresses = {
        SIDES[0]: f"{here.bare_url}empty/",
        SIDES[1]: f"{here.bare_url}insert/",
        SIDES[2]: here.call,
        SIDES[3]: f"{here.bare_url}publish/",
    }
    sides = {name: Side() for name in addresses}
    for name, url in addresses.items():
        told = load(url, here.body, 1)
        if told.bad or not told.good:
            raise RuntimeError(f"{name} answers badly: {told}\n{here.bare.tail()}\n{here.hub.web.tail()}")
    for place in range(number):
        for name in SIDES if place % 2 else SIDES[::-1]:
            web = here.hub.web.pid if name == "hub" else here.bare.pid
            before = usage.tree(web), own.cpu() if own else 0.0
            told = load(addresses[name], here.body, seconds)
            after = usage.tree(web), own.cpu() if own else 0.0
            side, answers = sides[name], max(1, told.good)
            side.rate.append(told.good / told.seconds)
            side.web.append(1000 * (after[0] - before[0]) / answers)
            side.database.append(1000 * (after[1] - before[1]) / answers)
            side.good += told.good
            side.bad += told.bad
    return sides


def ratios(sides: dict[str, Side]) -> dict[str, list[float]]:
    """By round; above 1 the hub is better."""
    empty, insert, hub, publish = (sides[name] for name in SIDES)

    def pairs(one: list[float], other: list[float]) -> list[float]:
        return [a / b for a, b in zip(one, other, strict=True)]

    return {
        "throughput": pairs(hub.rate, insert.rate),
        "cpu": pairs(insert.cpu, hub.cpu),
        "web_cpu": pairs(insert.web, hub.web),
        "over_publish": pairs(hub.rate, publish.rate),
        "of_empty": pairs(hub.rate, empty.rate),
    }


def measure_stack(stack: Stack, own: Cluster | None, number: int, seconds: float) -> dict[str, Any]:
    with pair(stack) as here:
        count = "SELECT count(*) FROM handlers_invocation"
        sides = rounds(here, own, number, seconds)
        rows = here.hub.rows(count)[0][0]
        came = here.hub.rows("SELECT count(*) FROM handlers_receivedcall")[0][0]
    return {
        "sides": {name: asdict(side) for name, side in sides.items()},
        "ratios": {name: spread(values) for name, values in ratios(sides).items()},
        "rounds": number,
        "seconds": seconds,
        "rows": rows,
        "came": came,
    }


def measure(quick: bool) -> Found:
    found = Found()
    number, seconds = (2, 1.0) if quick else (10, 2.0)
    with ExitStack() as whole:
        own = whole.enter_context(cluster.own()) if not cluster.missing() else None
        for stack in STACKS:
            if reason := servers.lacking(stack):
                found.goal(f"{stack}: acknowledgement", "", f"left out, {reason}", None)
                continue
            say(f"ack on {stack}")
            figures = measure_stack(stack, own if stack.database == "PostgreSQL" else None, number, seconds)
            found.figures[str(stack)] = figures
            _goals(found, stack, figures["ratios"], figures["sides"])
    return found


def _goals(found: Found, stack: Stack, ratio: dict[str, Any], sides: dict[str, Any]) -> None:
    wanted = _WANTED[stack.database]
    bad = sum(side["bad"] for side in sides.values())
    found.goal(f"{stack}: answers other than 2xx", "0", str(bad), bad == 0)
    found.goal(
        f"{stack}: throughput, hub : view + INSERT",
        f"≥ {wanted}",
        told(ratio["throughput"]),
        ratio["throughput"]["median"] >= wanted,
    )
    found.goal(
        f"{stack}: CPU an answer, view + INSERT : hub",
        "≥ 1.0",
        told(ratio["cpu"]),
        ratio["cpu"]["median"] >= 1.0,
    )
    found.goal(
        f"{stack}: throughput, hub : view + INSERT + publish",
        "≥ 2",
        told(ratio["over_publish"]),
        ratio["over_publish"]["median"] >= 2,
    )


def main() -> int:
    return carry_out("ack", __doc__, measure)


if __name__ == "__main__":
    sys.exit(main())
