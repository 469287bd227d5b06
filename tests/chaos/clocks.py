"""Drill 8: two beats, started at once; and the clock of one process an hour off, each process in turn.

`python -m tests.chaos.clocks --seed 7`: whatever is counted in time is counted by the database, so nothing ends
too early, nothing is waited for too long, and no wake-up is taken for old.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from tests.chaos import report
from tests.chaos.report import Found
from tests.system import life, servers
from tests.system.hub import Hub, running
from tests.system.processes import Process, until

PORTAL = "alfa"
HOUR = 3600
# Python's clocks, moved before anything else is imported; an object of the true class is one of the moved too.
MOVED = """
import datetime, os, time
_seconds, _time, _now = float(os.environ["CLOCK_SHIFT"]), time.time, datetime.datetime
class _Class(type):
    def __instancecheck__(cls, value):
        return isinstance(value, _now)
class _Moved(_now, metaclass=_Class):
    @classmethod
    def now(cls, tz=None):
        return _now.now(tz) + datetime.timedelta(seconds=_seconds)
    @classmethod
    def utcnow(cls):
        return _now.utcnow() + datetime.timedelta(seconds=_seconds)
time.time = lambda: _time() + _seconds
datetime.datetime = _Moved
"""


def main() -> int:
    chosen = report.options(__doc__).parse_args()
    return report.close(_all(chosen), chosen)


def _all(chosen: Any) -> Iterator[Found]:
    stacks = {str(stack): stack for stack in servers.STACKS}
    for name in [chosen.stack] if chosen.stack else ["PostgreSQL+Redis", "SQLite+filesystem"]:
        if reason := servers.lacking(stacks[name]):
            print(f"{name}: left out, {reason}")
            if servers.in_ci():
                yield Found("clocks", name, chosen.seed, wrong=[reason])
            continue
        with running(stacks[name]) as hub:
            yield report.timed(
                Found("clocks", name, chosen.seed), lambda found, hub=hub: _run(found, hub, chosen)
            )
        if chosen.short:
            return


def _run(found: Found, hub: Hub, chosen: Any) -> None:
    turns = [(name, sign * HOUR) for name in ("web", "worker", "beat") for sign in (-1, 1)]
    random.Random(chosen.seed).shuffle(turns)
    count = 100
    if chosen.short:
        turns, count = [chosen_turn(chosen.seed)], 25
    (hub.folder / "moved").mkdir()
    (hub.folder / "moved" / "sitecustomize.py").write_text(MOVED)
    hub.start()
    second = Process("beat2", hub.beat.command, hub.environment, hub.folder)
    try:
        life.make_application(hub)
        life.install(hub, PORTAL, "event", generation="background")
        life.publish_and_push(hub)
        second.start()
        sent = 0
        for name, shift in turns:
            _restart(hub, name, shift)
            began = time.monotonic()
            hub.control.post(
                f"portals/{PORTAL}/burst",
                client_id=life.CLIENT_ID,
                code="split_list",
                properties={"text": "{n}, b, {n}", "separator": ","},
                count=count,
                timeout=600,
            )
            sent += count
            until(lambda n=sent: _done(hub) >= n, f"{name} {shift:+} s: every process went on", 120)
            found.more[f"{name} {shift:+}"] = f"{time.monotonic() - began:.1f} s"
            # Both beats at once, as after a machine's start.
            for beat in (hub.beat, second):
                beat.stop()
            for beat in (hub.beat, second):
                beat.start()
            _restart(hub, name, 0)
        found.ended = life.until_all_ended(hub)
        if not chosen.short:
            until(lambda: _confirmed(hub) >= sent, "every result is confirmed", 120)
        found.confirmed = _confirmed(hub)
    finally:
        second.end()
    stats = hub.control.stats(PORTAL)
    found.sent, found.accepted = int(stats["handler_calls"]), int(stats["handler_ok"])
    found.doubled = int(stats["doubled"])
    found.lost = int(stats["waiting"])
    found.more["repeats"] = int(stats["sends_repeated"])
    found.must(set(found.ended) == {"delivered"}, f"ended {found.ended}")
    found.must(not stats["timed_out"], f"{stats['timed_out']} processes timed out")
    off = hub.rows(
        "SELECT count(*) FROM handlers_receivedcall a, handlers_receivedcall b WHERE a.id = b.id + 1 AND "
        + (
            "abs(extract(epoch from a.received_at - b.received_at)) > 1800"
            if hub.stack.database == "PostgreSQL"
            else "abs(julianday(a.received_at) - julianday(b.received_at)) * 86400 > 1800"
        )
    )[0][0]
    found.must(not off, f"{off} calls carry the time of a clock that is off")


def chosen_turn(seed: int) -> tuple[str, int]:
    """One of those that take wrong wake-ups for old, or count from a wrong time."""
    return random.Random(seed).choice([("web", -HOUR), ("web", HOUR), ("worker", HOUR)])


def _restart(hub: Hub, name: str, shift: int) -> None:
    old: Process = getattr(hub, name)
    old.stop()
    environment = dict(hub.environment)
    if shift:
        folders = [str(hub.folder / "moved"), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = ":".join(filter(None, folders))
        environment["CLOCK_SHIFT"] = str(shift)
        told = subprocess.run(
            [
                sys.executable,
                "-c",
                "import datetime, time; print(time.time(), datetime.datetime.now().timestamp())",
            ],
            env=environment,
            capture_output=True,
            text=True,
        ).stdout.split()
        assert all(abs(float(one) - time.time() - shift) < 60 for one in told) and told, told
    setattr(hub, name, Process(name, old.command, environment, hub.folder))
    {"web": hub.start_web, "worker": hub.start_worker, "beat": hub.start_beat}[name]()


def _done(hub: Hub) -> int:
    stats = hub.control.stats(PORTAL)
    return int(stats["finished"]) + int(stats["timed_out"])


def _confirmed(hub: Hub) -> int:
    return int(hub.rows("SELECT count(*) FROM handlers_invocation WHERE confirmed_at IS NOT NULL")[0][0])


if __name__ == "__main__":
    sys.exit(main())
