"""How quickly what waits for one portal goes out, beside what the portal's limits allow.

    python -m tests.bench.drain [--quick]

1. A backlog: the portal is paused while its calls are taken in and computed, then resumed; the time from its first
   request to its last result, beside the arithmetic of the bucket (50 at once, then 2 a second, 50 a batch).
2. A burst whole: from the first call in to the last result at the portal.
3. One `event.send` a request, as everybody does it, on a smaller number; the whole is extrapolated and says so.
4. The older generation, whose processes go on inside the request (0.2 s each), beside 3.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from tests.bench import cluster, history, reference
from tests.bench.record import Found, carry_out, say
from tests.bench.stage import burst, staged, until_done, waiting
from tests.system import servers
from tests.system.hub import Hub
from tests.system.processes import until
from tests.system.servers import Stack

BATCH, BURST, RATE = 50, 50, 2.0
STACK = Stack("PostgreSQL", "Redis")
PORTALS: dict[str, dict[str, Any]] = {
    "alfa": {"generation": "background"},
    "beta": {"generation": "background"},
    "old": {
        "generation": "at_once",
        "continuation_seconds": 0.2,
        "operating": {"bizproc.event.send": 0.2},
    },
}


def limit(commands: int) -> float:
    """Seconds that so many commands take, 50 a request, by the portal's bucket alone."""
    return max(0.0, (-(-commands // BATCH) - BURST) / RATE)


def backlog(hub: Hub, name: str, rows: int) -> dict[str, Any]:
    """Part 1."""
    url = hub.environment["DATABASE_URL"]
    history.execute(url, f"UPDATE portals_portal SET paused_at = CURRENT_TIMESTAMP {_is(hub, name)}")
    ready = "SELECT count(*) FROM handlers_invocation WHERE state = 'ready'"
    began = time.monotonic()
    burst(hub, name, rows)
    until(lambda: hub.rows(ready)[0][0] == rows, "every row is ready", 120)
    taken_in = time.monotonic() - began
    # What the installation took from the bucket has drained long since.
    before = hub.control.get(f"portals/{name}/requests", limit=1)["total"]
    history.execute(url, f"UPDATE portals_portal SET paused_at = NULL {_is(hub, name)}")
    until_done(hub, name, 180)
    sent = results(hub, name, before)
    stats = hub.control.stats(name)
    looked = hub.rows("SELECT coalesce(sum(looks), 0) FROM handlers_sending WHERE looks > 0")[0][0]
    commands = sum(len(entry["commands"]) for entry in sent)
    confirmed = time.monotonic()
    open_looks = "SELECT count(*) FROM handlers_invocation WHERE confirm_at IS NOT NULL"
    until(lambda: hub.rows(open_looks)[0][0] == 0, "every result is known to have arrived", 120)
    seconds = sent[-1]["at"] + sent[-1]["seconds"] - sent[0]["at"]
    return {
        "rows": rows,
        "taken_in_and_computed_seconds": round(taken_in, 1),
        "seconds": round(seconds, 1),
        "requests": len(sent),
        "commands": commands,
        "rows_looked_for": int(looked),
        "limit_seconds": limit(rows),
        "limit_with_looks_seconds": limit(commands),
        "confirmed_after_seconds": round(time.monotonic() - confirmed, 1),
        "by_time": [[round(entry["at"] - sent[0]["at"], 2), _count(entry)] for entry in sent],
        "limit_503": stats["limit_503"],
        "doubled": stats["doubled"],
        "sends_repeated": stats["sends_repeated"],
    }


def whole(hub: Hub, name: str, rows: int) -> dict[str, Any]:
    """Part 2."""
    before = hub.control.get(f"portals/{name}/requests", limit=1)["total"]
    began = time.monotonic()
    burst(hub, name, rows)
    taken_in = 0.0
    while waiting(hub, name):
        if not taken_in and not hub.control.stats(name)["queued"]:
            taken_in = time.monotonic() - began
        time.sleep(0.2)
        if time.monotonic() - began > 240:
            raise AssertionError(f"the burst hangs: {hub.control.stats(name)}\n{hub.tails()}")
    seconds = time.monotonic() - began
    sent, stats = results(hub, name, before), hub.control.stats(name)
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "all_taken_in_seconds": round(taken_in, 1),
        "requests": len(sent),
        "limit_seconds": limit(rows),
        "slowest_acknowledgement_ms": stats["handler_max_ms"],
        "refused_calls": stats["handler_failed"],
        "limit_503": stats["limit_503"],
        "doubled": stats["doubled"],
    }


def older(hub: Hub, name: str, rows: int) -> dict[str, Any]:
    """Part 4."""
    before = hub.control.get(f"portals/{name}/requests", limit=1)["total"]
    began = time.monotonic()
    burst(hub, name, rows)
    until_done(hub, name, 240)
    seconds = time.monotonic() - began
    sent, stats = results(hub, name, before), hub.control.stats(name)
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "continuations_alone_seconds": rows * PORTALS[name]["continuation_seconds"],
        "requests": len(sent),
        "longest_request_seconds": max(entry["seconds"] for entry in sent),
        "sizes": [_count(entry) for entry in sent],
        "limit_429": stats["limit_429"],
        "limit_503": stats["limit_503"],
        "doubled": stats["doubled"],
    }


def results(hub: Hub, name: str, before: int) -> list[dict[str, Any]]:
    """The portal's journal from `before` on: requests that carried results, with their commands."""
    found: list[dict[str, Any]] = []
    after = before
    while items := (told := hub.control.get(f"portals/{name}/requests", after=after, limit=500))["items"]:
        found += [entry for entry in items if _count(entry)]
        after = told["next"]
    return found


def _count(entry: dict[str, Any]) -> int:
    """Results in one request."""
    if entry["method"] == "bizproc.event.send":
        return 1
    return sum(1 for command in entry.get("commands", []) if command["method"] == "bizproc.event.send")


def _is(hub: Hub, name: str) -> str:
    return f"WHERE member_id = '{hub.control.get(f'portals/{name}')['member_id']}'"


def measure_stack(stack: Stack, rows: int, one_by_one: int, old: int) -> dict[str, Any]:
    with staged(stack, PORTALS) as hub:
        say(f"drain: {rows} rows of a backlog")
        figures: dict[str, Any] = {"backlog": backlog(hub, "alfa", rows)}
        say(f"drain: it took {figures['backlog']['seconds']} s; {rows} calls of a burst")
        figures["whole"] = whole(hub, "beta", rows)
        say(
            f"drain: it took {figures['whole']['seconds']} s; the older generation ({old}), "
            f"and one result a request ({one_by_one})"
        )
        with ThreadPoolExecutor(1) as beside:
            single = beside.submit(reference.one_by_one, hub.control, one_by_one)
            figures["older"] = older(hub, "old", old)
            figures["one_by_one"] = {
                **single.result(),
                "extrapolated_seconds": reference.extrapolated(rows),
                "of": rows,
            }
    return figures


def measure(quick: bool) -> Found:
    found = Found()
    stack = STACK
    if reason := servers.lacking(stack):
        say(f"{stack}: {reason}; on SQLite instead")
        stack = servers.STACKS[0]
    with ExitStack() as ready:
        if not cluster.missing() and stack.database == "PostgreSQL":
            ready.enter_context(cluster.own())
        sizes = (200, 60, 40) if quick else (5_000, 100, 400)
        figures = measure_stack(stack, *sizes)
    found.figures = {"stack": str(stack), **figures}
    _goals(found, figures)
    return found


def _goals(found: Found, figures: dict[str, Any]) -> None:
    waited, burst_, old = figures["backlog"], figures["whole"], figures["older"]
    bound = waited["limit_with_looks_seconds"]
    found.goal(
        f"{waited['rows']} ready rows: seconds to the last result, beside the limit with looks ({bound:g} s)",
        "≤ 1.15 ×",
        f"{waited['seconds']:g} s = {waited['seconds'] / max(bound, 0.1):.2f} ×"
        f" (results alone: {waited['limit_seconds']:g} s)",
        waited["seconds"] <= 1.15 * bound,
    )
    limited = sum(each["limit_503"] for each in (waited, burst_, old))
    found.goal("answers 503", "0", str(limited), limited == 0)
    found.goal(
        f"a burst of {burst_['rows']} calls, first call in to last result",
        "≤ 45 s",
        f"{burst_['seconds']:g} s",
        burst_["seconds"] <= 45,
    )
    single = figures["one_by_one"]
    found.goal(
        f"the same one result a request (extrapolated from {single['results']} in {single['seconds']} s)",
        "slower",
        f"{single['extrapolated_seconds']:.0f} s",
        single["extrapolated_seconds"] > burst_["seconds"],
    )
    found.goal(
        f"older generation, {old['rows']} rows: longest request, answers 429",
        "≤ 20 s, 0",
        f"{old['longest_request_seconds']:.1f} s, {old['limit_429']}",
        old["longest_request_seconds"] <= 20 and old["limit_429"] == 0,
    )


def main() -> int:
    return carry_out("drain", __doc__, measure)


if __name__ == "__main__":
    sys.exit(main())
