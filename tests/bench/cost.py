"""What a call costs the database, and whether memory grows: statements, WAL and resident size over many calls.

    python -m tests.bench.cost [--quick]

A burst through a whole hub to a portal whose bucket does not bind (Enterprise), on a PostgreSQL of its own:
statements of the hub by pg_stat_statements and WAL by its position, for each finished call; then calls by the ten
thousand, and the slope of the web's, the worker's and the runners' memory over them.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import psycopg

from tests.bench import cluster, usage
from tests.bench.cluster import Cluster
from tests.bench.load import form as call_form
from tests.bench.load import load
from tests.bench.record import Found, carry_out, say
from tests.bench.stage import burst, staged, until_done
from tests.system import life
from tests.system.hub import Hub
from tests.system.processes import until
from tests.system.servers import Stack

STACK = Stack("PostgreSQL", "Redis")
# What the hub asks while it idles is measured and taken off. The server's own checks of foreign keys, one a key and
# row, are told apart: nobody sends them.
_CHECKS = "query LIKE 'SELECT % FOR KEY SHARE OF x'"
_COUNTED = (
    "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
    " WHERE d.datname = current_database() AND query NOT LIKE '%pg_stat_statements%'"
)
_TOP = (
    "SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), 160), calls, round(total_exec_time::numeric, 1), wal_bytes"
    " FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()"
    " ORDER BY calls DESC LIMIT 25"
)
# kB that a process may grow by over 10⁵ calls and still be called flat: caches fill, the allocator keeps some.
_FLAT = 10_000


def statements(hub: Hub, own: Cluster, calls: int) -> dict[str, Any]:
    """Of a burst, a finished call: statements, WAL bytes; what a body holds."""

    def counted() -> int:
        return int(hub.rows(f"{_COUNTED} AND NOT {_CHECKS}")[0][0])

    with psycopg.connect(own.url, autocommit=True) as session:
        session.execute("SELECT pg_stat_statements_reset()")
    began, wal = time.monotonic(), own.wal()
    burst(hub, "alfa", calls)
    until_done(hub, "alfa", 120)
    taken = time.monotonic() - began
    done, written = counted(), own.wal() - wal
    checks = int(hub.rows(f"{_COUNTED} AND {_CHECKS}")[0][0])
    top = [list(map(str, row)) for row in hub.rows(_TOP)]
    # The rest until nothing is owed, looks included.
    owed = "SELECT count(*) FROM handlers_invocation WHERE confirm_at IS NOT NULL OR ended_at IS NULL"
    until(lambda: hub.rows(owed)[0][0] == 0, "every result is known to have arrived", 120)
    asked_here = int(
        hub.rows(
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query LIKE '%ended_at IS NULL%'"
        )[0][0]
    )
    confirmed, all_written = counted() - asked_here, own.wal() - wal
    whole = time.monotonic() - began
    with psycopg.connect(own.url, autocommit=True) as session:
        session.execute("SELECT pg_stat_statements_reset()")
    idle_wal = own.wal()
    time.sleep(10)
    idle, idle_written = counted() / 10, (own.wal() - idle_wal) / 10
    body = hub.rows(
        "SELECT (SELECT avg(length(event_token) + length(call)) FROM handlers_receivedcall)"
        " + (SELECT avg(length(result) + length(lines)) FROM handlers_invocationresult)"
    )[0][0]
    return {
        "calls": calls,
        "seconds": round(taken, 1),
        "statements_a_call": round((done - idle * taken) / calls, 2),
        "statements_a_call_with_looks": round((confirmed - idle * whole) / calls, 2),
        "key_checks_a_call": round(checks / calls, 2),
        "idle_statements_a_second": round(idle, 1),
        "wal_a_call": round((written - idle_written * taken) / calls),
        "wal_a_call_with_looks": round((all_written - idle_written * whole) / calls),
        "body_bytes": round(float(body)),
        "form_bytes": len(call_form("a" * 32, "t" * 32, "discount")),
        "most_asked": top,
    }


def memory(hub: Hub, calls: int, look_every: int, limit: float) -> dict[str, Any]:
    """kB by role after each part of the calls, taken in by wrk-like load and computed by the worker."""
    member = hub.control.get("portals/alfa")
    token = hub.rows(f"SELECT id FROM portals_portal WHERE member_id = '{member['member_id']}'")
    assert token
    body = call_form(member["member_id"], member["installs"][life.CLIENT_ID]["application_token"], "discount")
    # Not awaited: computed and ended without a word to the portal.
    body = body.replace("use_subscription=Y", "use_subscription=N")
    version = hub.rows("SELECT max(id) FROM robots_robotversion WHERE code = 'discount'")[0][0]
    url = f"{hub.url}/b24/{life.SLUG}/handler/?v={version}"
    open_ones = "SELECT count(*) FROM handlers_invocation WHERE state IN ('received', 'computing')"
    end = time.monotonic() + limit
    done, seen = 0, []
    while done < calls and time.monotonic() < end:
        part = 0
        while part < look_every:
            part += load(url, body, 2).good
            until(lambda: hub.rows(open_ones)[0][0] < 2_000, "the worker keeps up", 120)
        until(lambda: hub.rows(open_ones)[0][0] == 0, "all are computed", 120)
        done += part
        seen.append([done, {role: max(sizes) for role, sizes in usage.memory(hub.mark).items()}])
        say(f"cost: {done} calls, kB: {seen[-1][1]}")
    return {
        "calls": done,
        "kb": seen,
        "slopes": {role: slope(seen, role) for role in ("web", "worker", "runner")},
    }


def slope(seen: list[list[Any]], role: str) -> float:
    """kB over 10⁵ calls by least squares, the first third left out (what fills once, fills there)."""
    points = [(calls, sizes[role]) for calls, sizes in seen[len(seen) // 3 :] if role in sizes]
    if len(points) < 2:
        return 0.0
    x_mean = sum(x for x, _y in points) / len(points)
    y_mean = sum(y for _x, y in points) / len(points)
    over = sum((x - x_mean) * (y - y_mean) for x, y in points)
    under = sum((x - x_mean) ** 2 for x, _y in points)
    return round(100_000 * over / under, 1)


def measure(quick: bool) -> Found:
    found = Found()
    if reason := cluster.missing():
        found.goal("statements and WAL", "", f"left out, {reason}", None)
        return found
    calls, many, part, limit = (200, 2_000, 500, 30.0) if quick else (5_000, 100_000, 8_000, 170.0)
    with (
        cluster.own() as own,
        staged(STACK, {"alfa": {"generation": "background", "enterprise": True}}) as hub,
    ):
        say(f"cost: statements of {calls} calls")
        figures = statements(hub, own, calls)
        say(f"cost: {figures['statements_a_call']} statements, {figures['wal_a_call']} bytes of WAL")
        found.figures = {"burst": figures, "memory": memory(hub, many, part, limit)}
    _goals(found)
    return found


def _goals(found: Found) -> None:
    burst_, kept = found.figures["burst"], found.figures["memory"]
    asked = burst_["statements_a_call"]
    found.goal(
        "statements a finished call, in a burst (with looks)",
        "≤ 4",
        f"{asked:g} ({burst_['statements_a_call_with_looks']:g})",
        asked <= 4,
    )
    times = burst_["wal_a_call"] / burst_["form_bytes"]
    found.goal(
        "WAL a finished call, as often as the body that came in",
        "≤ 3",
        f"{times:.2f} ({burst_['wal_a_call']} B beside {burst_['form_bytes']} B)",
        times <= 3,
    )
    for role, value in kept["slopes"].items():
        found.goal(
            f"memory of {role}, kB over 10⁵ calls (seen over {kept['calls']:,})",
            f"≤ {_FLAT}",
            f"{value:g}",
            value <= _FLAT,
        )


def main() -> int:
    return carry_out("cost", __doc__, measure)


if __name__ == "__main__":
    sys.exit(main())
