"""How long a call waits for its acknowledgement at a steady 100 calls a second, and beside heavy housework.

    python -m tests.bench.steady [--quick]

Calls start on time whether or not the former ones are answered, and a call's time runs from the moment it was
due, so that a stall is not hidden by what it kept from starting. By turns: quiet, then while an auditor exports
the log, while old calls are purged, and while the log is vacuumed, each row of it changed before: at autovacuum's
pace, and (without a goal) as fast as the disk goes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.bench import cluster, history
from tests.bench.ack import STACKS
from tests.bench.load import steadily
from tests.bench.pair import Pair, pair
from tests.bench.record import Found, carry_out, percentile, say
from tests.system import life, servers
from tests.system.processes import ROOT
from tests.system.servers import Stack

PER_SECOND = 100
_P99 = 0.050
_DOWNLOAD = """
import json, sys, urllib.request
url, cookies = sys.argv[1], json.loads(sys.argv[2])
header = "; ".join(f"{name}={value}" for name, value in cookies.items())
with urllib.request.urlopen(urllib.request.Request(url, headers={"Cookie": header}), timeout=120) as answer:
    while answer.read(65536):
        pass
"""
_CHANGE = "UPDATE handlers_invocation SET revision = 'changed' WHERE ended_at IS NOT NULL"
# All of it each time: a second one finds nothing to do, and would measure how fast nothing is done.
_VACUUM = "VACUUM (DISABLE_PAGE_SKIPPING) handlers_receivedcall, handlers_invocation"


def shape(environment: dict[str, str], table: str) -> tuple[set[str], int]:
    """A table's columns and how many indexes it has, as Django reads them."""
    code = (
        "import json; from tests.bench import bare; from django.db import connection as c; "
        f"k = c.introspection.get_constraints(c.cursor(), '{table}').values(); "
        f"d = c.introspection.get_table_description(c.cursor(), '{table}'); "
        "print(json.dumps([[f.name for f in d], "
        "len([1 for x in k if (x['index'] or x['unique']) and not x['primary_key']])]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, check=True, capture_output=True, text=True
    )
    columns, indexes = json.loads(done.stdout)
    return set(columns), indexes


@contextmanager
def housework(once: Callable[[], object]) -> Iterator[list[int]]:
    """Does it over and over beside what is measured; how often it was done, in a list of one."""
    ended, times = threading.Event(), [0]

    def repeat() -> None:
        while not ended.is_set():
            once()
            times[0] += 1

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield times
    finally:
        ended.set()
        thread.join()


@dataclass
class Chore:
    """`once` is done over and over; `before` each turn, in nobody's time."""

    once: Callable[[], object]
    before: Callable[[], object] = lambda: None


def chores(here: Pair) -> dict[str, Chore]:
    """What a hub does beside taking calls in, each as a person would start it: in a process of its own, since the
    load shares the interpreter of this one."""
    cookies = life.sign_in(here.hub).cookies.get_dict()
    words = [f"{here.hub.url}/api/v1/calls/export/", json.dumps(cookies)]

    def export() -> None:
        subprocess.run([sys.executable, "-c", _DOWNLOAD, *words], check=True, timeout=120)

    days = [395]

    def purge() -> None:
        here.hub.manage("purge_invocations", "--days", str(days[0]))
        days[0] = max(20, days[0] - 40)

    found = {"export": Chore(export), "purge": Chore(purge)}
    url = here.hub.environment["DATABASE_URL"]
    if here.hub.stack.database == "PostgreSQL":
        found["VACUUM"] = _vacuum(url, "2ms")
        found["VACUUM without a pause"] = _vacuum(url, "0")
    return found


def _vacuum(url: str, pause: str) -> Chore:
    """Of one session: a connection for each would be most of what it costs."""
    session = psycopg.connect(url, autocommit=True)
    session.execute(f"SET vacuum_cost_delay = '{pause}'".encode())

    def before() -> None:
        for statement in (_CHANGE, "CHECKPOINT"):
            history.execute(url, statement)

    return Chore(lambda: session.execute(_VACUUM), before)


def measure_stack(stack: Stack, rows: int, turns: int, seconds: float) -> dict[str, Any]:
    with pair(stack) as here:
        history.fill(here.hub, rows)
        steadily(here.call, here.body, PER_SECOND, 1.0)
        times: dict[str, list[float]] = {"quiet": []}
        done: dict[str, int] = {}
        bad = 0
        for name, chore in chores(here).items():
            for _turn in range(turns):
                quiet, failed = steadily(here.call, here.body, PER_SECOND, seconds)
                times["quiet"] += quiet
                bad += failed
                chore.before()
                with housework(chore.once) as how_often:
                    busy, failed = steadily(here.call, here.body, PER_SECOND, seconds)
                times.setdefault(name, []).extend(busy)
                bad += failed
                done[name] = done.get(name, 0) + how_often[0]
    return {
        "ms": {
            name: {f"p{part}": round(percentile(each, part) * 1000, 2) for part in (50, 95, 99)}
            for name, each in times.items()
        },
        "calls": {name: len(each) for name, each in times.items()},
        "done": done,
        "bad": bad,
        "finished_rows": rows,
    }


def measure(quick: bool) -> Found:
    found = Found()
    rows, turns, seconds = (2_000, 1, 1.0) if quick else (100_000, 3, 5.0)
    with ExitStack() as whole:
        if not cluster.missing():
            whole.enter_context(cluster.own())
        for stack in STACKS:
            if reason := servers.lacking(stack):
                found.goal(f"{stack}: steady calls", "", f"left out, {reason}", None)
                continue
            say(f"steady on {stack}")
            figures = measure_stack(stack, rows, turns, seconds)
            found.figures[str(stack)] = figures
            _goals(found, stack, figures)
    return found


def _goals(found: Found, stack: Stack, figures: dict[str, Any]) -> None:
    quiet = figures["ms"]["quiet"]["p99"]
    found.goal(f"{stack}: calls not acknowledged", "0", str(figures["bad"]), figures["bad"] == 0)
    found.goal(
        f"{stack}: p99 at {PER_SECOND} calls a second", "≤ 50 ms", f"{quiet:g} ms", quiet <= _P99 * 1000
    )
    for name in ("export", "purge", "VACUUM"):
        if name not in figures["ms"]:
            continue
        busy = figures["ms"][name]["p99"]
        found.goal(
            f"{stack}: p99 beside {name}, as often as quiet",
            "≤ 2",
            f"{busy / quiet:.2f} ({busy:g} ms)",
            busy <= 2 * quiet,
        )


def main() -> int:
    return carry_out("steady", __doc__, measure)


if __name__ == "__main__":
    sys.exit(main())
