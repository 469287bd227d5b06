"""How long a call waits for its acknowledgement at a steady 100 calls a second, and beside heavy housework.

    python -m tests.bench.steady [--quick]

Calls start on time whether or not the former ones are answered, and a call's time runs from the moment it was
due, so that a stall is not hidden by what it kept from starting. By turns: quiet, then while an auditor exports
the log, while old calls are purged, and while the log is vacuumed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

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


def shape(environment: dict[str, str], table: str) -> tuple[set[str], int]:
    """A table's columns and how many indexes it has, as Django reads them."""
    code = (
        "import json; from tests.bench import bare; from django.db import connection as c; "
        f"k = c.introspection.get_constraints(c.cursor(), '{table}').values(); "
        f"d = c.introspection.get_table_description(c.cursor(), '{table}'); "
        "print(json.dumps([[f.name for f in d], len([1 for x in k if x['index'] or x['unique']])]))"
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


def chores(here: Pair) -> dict[str, Callable[[], object]]:
    """What a hub does beside taking calls in, each as a person would start it."""
    person = life.sign_in(here.hub)

    def export() -> None:
        with person.get(f"{here.hub.url}/api/v1/calls/export/", stream=True, timeout=120) as answer:
            answer.raise_for_status()
            for _part in answer.iter_content(65_536):
                pass

    days = [395]

    def purge() -> None:
        here.hub.manage("purge_invocations", "--days", str(days[0]))
        days[0] = max(20, days[0] - 40)

    url = here.hub.environment["DATABASE_URL"]
    vacuum = (
        "VACUUM handlers_receivedcall, handlers_invocation"
        if here.hub.stack.database == "PostgreSQL"
        else "PRAGMA optimize"
    )
    return {"export": export, "purge": purge, "VACUUM": lambda: history.execute(url, vacuum)}


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
                with housework(chore) as how_often:
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
        if name == "VACUUM" and stack.database != "PostgreSQL":
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
