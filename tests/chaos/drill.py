"""A kill -9 drill: calls come in while the hub's processes are killed in turn.

`python -m tests.chaos.drill --calls 200 --stack SQLite+filesystem --seed 7` prints what came of every call.
Lost: the hub answered 200 and the portal's process waits for ever. Doubled: two different results for one
token.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from dataclasses import dataclass, field

from tests.system import life, servers
from tests.system.hub import Hub, running
from tests.system.processes import until

PORTAL = "alfa"
# A worker that dies holds its rows until their leases end; whoever finds them then finishes them.
END_SECONDS = 300.0


@dataclass
class Outcome:
    """What came of the calls; `accepted` are those that the hub answered 200."""

    seed: int
    sent: int = 0
    accepted: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    doubled: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        kills = ", ".join(f"{name} {number}" for name, number in self.kills.items())
        ended = ", ".join(f"{state} {number}" for state, number in sorted(self.ended.items()))
        return (
            f"seed {self.seed}: sent {self.sent}, accepted {self.accepted}; killed {kills}; ended {ended}; "
            f"lost {self.lost}, doubled {self.doubled}; {self.seconds:.0f} s, load {os.getloadavg()[0]:.1f}"
        )


# In each ten portions of calls, by turns that the seed shuffles: what is killed while a portion comes in.
TURNS = ("web", "web", "worker", "worker", "worker", "beat", "child", "child", "child", "child")


def drill(stack: servers.Stack, calls: int, seed: int) -> Outcome:
    """Calls come in portions; within each, something is killed after as many calls as the seed says."""
    chance, outcome = random.Random(seed), Outcome(seed)
    started = time.monotonic()
    with running(stack) as hub:
        hub.start()
        life.make_application(hub)
        life.install(hub, PORTAL, "event", generation="background")
        life.publish_and_push(hub)
        portion = max(20, calls // 100)
        turns: list[str] = []
        while outcome.sent < calls:
            turns = turns or chance.sample(TURNS, len(TURNS))
            count = min(portion, calls - outcome.sent)
            _send(hub, count)
            _until_called(hub, outcome.sent + chance.randrange(count))
            _kill(hub, turns.pop(), chance, outcome)
            outcome.sent += count
            _until_called(hub, outcome.sent)
        try:
            until(lambda: not _waiting(hub), "no accepted call's process waits any more", END_SECONDS)
        except AssertionError:
            print(hub.tails())
        outcome.ended = life.until_all_ended(hub, END_SECONDS)
        stats = hub.control.stats(PORTAL)
        outcome.accepted = int(stats["handler_ok"])
        outcome.lost = len(_waiting(hub))
        outcome.doubled = int(stats["doubled"])
    outcome.seconds = time.monotonic() - started
    return outcome


def _send(hub: Hub, count: int) -> None:
    hub.control.post(
        f"portals/{PORTAL}/burst",
        client_id=life.CLIENT_ID,
        code="split_list",
        properties={"text": "{n}, b, {n}", "separator": ","},
        count=count,
        # Slow enough for a kill to fall among them, quick enough for all to come while it lasts.
        per_second=50,
    )


def _until_called(hub: Hub, count: int) -> None:
    """The portal has made so many calls, and has an answer or none to each."""
    until(lambda: hub.control.stats(PORTAL)["handler_calls"] >= count, f"the portal has made {count} calls")


def _kill(hub: Hub, name: str, chance: random.Random, outcome: Outcome) -> None:
    """SIGKILL to a main process, or to any child or runner of one; main ones are started again."""
    mains = {"web": hub.web, "worker": hub.worker, "beat": hub.beat}
    outcome.kills[name] = outcome.kills.get(name, 0) + 1
    if name == "child":
        spared = {process.pid for process in (*mains.values(), hub.sandbox)}
        pids = [int(line.split()[0]) for line in hub.left()]
        victims = sorted(pid for pid in pids if pid not in spared)
        try:
            os.kill(chance.choice(victims), signal.SIGKILL)
        except ProcessLookupError:  # it had just ended
            pass
        return
    mains[name].kill()
    if name == "web":
        # Its orphans hold the port until they have finished what they were answering.
        until(lambda: not hub.answers(), "the killed web process's children are gone", 30)
        hub.start_web()
    elif name == "worker":
        hub.start_worker()
    else:
        hub.start_beat()


def _waiting(hub: Hub) -> list[str]:
    """Processes that wait although the hub had answered their call with 200."""
    told = hub.control.get(f"portals/{PORTAL}/processes", state="waiting", limit=1000)
    return [process["id"] for process in told["items"] if process["handler_status"] == 200]


def main() -> int:
    names = {str(stack): stack for stack in servers.STACKS}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--stack", choices=[*names, "all"], default="all")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    bad = 0
    for name, stack in names.items():
        if options.stack not in (name, "all"):
            continue
        if reason := servers.lacking(stack):
            print(f"{name}: left out, {reason}")
            continue
        outcome = drill(stack, options.calls, options.seed)
        print(f"{name}: {outcome}", flush=True)
        bad += outcome.lost + outcome.doubled
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
