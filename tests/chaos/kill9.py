"""Drill 1: calls come in a steady stream while the hub's processes are killed (SIGKILL) in turn.

`python -m tests.chaos.kill9 --seed 7 --calls 10000 --stack PostgreSQL+Redis` prints what came of every call.
Lost: the hub answered 200 and the portal's process waits for ever. Doubled: two different results for one
token. A call that met no 200 was never the hub's: it counts as sent, not as accepted.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from tests.chaos import report
from tests.chaos.report import Found
from tests.system import life, servers
from tests.system.hub import Hub, running
from tests.system.processes import until

# A worker that dies holds its rows until their leases end; whoever finds them then finishes them.
END_SECONDS = 300.0
LEAST_PAUSE = 2.0


def drill(
    stack: servers.Stack,
    calls: int,
    seed: int,
    per_second: float = 25.0,
    portals: int = 1,
    pause: float = 0.0,
) -> Found:
    """Kills whatever the seed says, each time `pause` seconds after what was killed before is back, or twice as
    long as that took to start."""
    found = Found("kill -9", str(stack), seed)
    return report.timed(found, lambda found: _run(found, stack, calls, per_second, portals, pause))


def _run(
    found: Found, stack: servers.Stack, calls: int, per_second: float, portals: int, pause: float
) -> None:
    chance = random.Random(found.seed)
    names = [f"portal{number}" for number in range(1, portals + 1)]
    kills: dict[str, int] = {}
    with running(stack) as hub:
        hub.start()
        life.make_application(hub)
        for number, name in enumerate(names):
            life.install(hub, name, "event", generation="at_once" if number % 3 == 2 else "background")
        life.publish_and_push(hub)
        for name in names:
            hub.control.post(
                f"portals/{name}/burst",
                client_id=life.CLIENT_ID,
                code="split_list",
                properties={"text": "{n}, b, {n}", "separator": ","},
                count=calls // portals,
                per_second=per_second / portals,
            )
        while _sum(hub, names, "handler_calls") < calls // portals * portals:
            took = _kill_one(hub, chance, kills)
            if pause:
                # How often something dies is what this drill is about.
                time.sleep(max(pause, 2 * took))
        try:
            until(lambda: not _waiting(hub, names), "no accepted call's process waits any more", END_SECONDS)
        except AssertionError as error:
            found.wrong.append(str(error)[:300])
            print(hub.tails())
        found.ended = life.until_all_ended(hub, END_SECONDS)
        found.sent, found.accepted = _sum(hub, names, "handler_calls"), _sum(hub, names, "handler_ok")
        found.lost, found.doubled = len(_waiting(hub, names)), _sum(hub, names, "doubled")
        found.confirmed = int(
            hub.rows("SELECT count(*) FROM handlers_invocation WHERE confirmed_at IS NOT NULL")[0][0]
        )
        rows = int(hub.rows("SELECT count(*) FROM handlers_invocation")[0][0])
        found.must(rows >= found.accepted, f"{found.accepted} calls were accepted and {rows} are kept")
        failed = found.ended.get("failed", 0)
        found.must(not failed, f"{failed} calls ended as failed")
        found.more.update(portals=portals, kills=kills)


def _kill_one(hub: Hub, chance: random.Random, kills: dict[str, int]) -> float:
    """SIGKILL to a main process, or to any child or runner of one; main ones are started again. Seconds that
    the start took."""
    mains = {"web": hub.web, "worker": hub.worker, "beat": hub.beat}
    name = chance.choice(["web", "worker", "beat", "child", "child"])
    kills[name] = kills.get(name, 0) + 1
    if name == "child":
        spared = {process.pid for process in (*mains.values(), hub.sandbox)}
        pids = [int(line.split()[0]) for line in hub.left()]
        victims = sorted(pid for pid in pids if pid not in spared)
        try:
            os.kill(chance.choice(victims), signal.SIGKILL)
        except ProcessLookupError:  # it had just ended
            pass
        return 0.0
    mains[name].kill()
    began = time.monotonic()
    if name == "web":
        # Its orphans hold the port until they have finished what they were answering.
        until(lambda: not hub.answers(), "the killed web process's children are gone", 30)
        hub.start_web()
    elif name == "worker":
        hub.start_worker()
    else:
        hub.start_beat()
    return time.monotonic() - began


def _sum(hub: Hub, names: list[str], figure: str) -> int:
    stats = hub.control.get("stats")
    return sum(int(stats[name][figure]) for name in names)


def _waiting(hub: Hub, names: list[str]) -> list[str]:
    """Processes that wait although the hub had answered their call with 200."""
    found = []
    for name in names:
        after: Any = 0
        while True:
            told = hub.control.get(f"portals/{name}/processes", state="waiting", after=after, limit=1000)
            found += [process["id"] for process in told["items"] if process["handler_status"] == 200]
            if not told["next"] or not told["items"]:
                break
            after = told["next"]
    return found


def main() -> int:
    parser = report.options(__doc__)
    parser.add_argument("--calls", type=int, default=0, help="10000 with PostgreSQL, 1000 with SQLite")
    parser.add_argument("--per-second", type=float, default=0.0)
    parser.add_argument("--portals", type=int, default=5)
    chosen = parser.parse_args()
    return report.close(_all(chosen), chosen)


def _all(chosen: Any) -> Iterator[Found]:
    for stack in servers.STACKS:
        if chosen.stack not in ("", str(stack)):
            continue
        if reason := servers.lacking(stack):
            print(f"{stack}: left out, {reason}")
            if servers.in_ci():
                yield Found("kill -9", str(stack), chosen.seed, wrong=[reason])
            continue
        small = stack.database == "SQLite"
        calls = chosen.calls or (1000 if small else 10_000)
        yield drill(
            stack,
            calls,
            chosen.seed,
            chosen.per_second or (20.0 if small else 60.0),
            chosen.portals,
            LEAST_PAUSE,
        )
        if chosen.short:
            return


if __name__ == "__main__":
    sys.exit(main())
