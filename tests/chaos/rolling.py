"""Drill 7: every process replaced by a new one under load; no answer but 200, no refused connection.

`python -m tests.chaos.rolling --seed 7`: the web process by gunicorn's USR2 (the listening socket outlives it), the
worker and beat by starting a second one and ending the first (SIGTERM), as docs/upgrade.md says.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.chaos import report
from tests.chaos.report import Found
from tests.system import life, servers
from tests.system.hub import Hub, running
from tests.system.processes import ROOT, Process, until

PORTAL = "alfa"
WANTED = ["PostgreSQL+Redis", "PostgreSQL+RabbitMQ", "SQLite+filesystem"]


def main() -> int:
    chosen = report.options(__doc__).parse_args()
    return report.close(_all(chosen), chosen)


def _all(chosen: Any) -> Iterator[Found]:
    stacks = {str(stack): stack for stack in servers.STACKS}
    for name in [chosen.stack] if chosen.stack else WANTED:
        if reason := servers.lacking(stacks[name]):
            print(f"{name}: left out, {reason}")
            if servers.in_ci():
                yield Found("rolling restart", name, chosen.seed, wrong=[reason])
            continue
        with running(stacks[name]) as hub:
            yield report.timed(
                Found("rolling restart", name, chosen.seed), lambda found, hub=hub: _run(found, hub, chosen)
            )
        if chosen.short:
            return


def _run(found: Found, hub: Hub, chosen: Any) -> None:
    rounds = 1 if chosen.short else 3
    per_second, count = (50.0, 500) if chosen.short else (100.0, 5000)
    # A web process that follows who started it would end with its predecessor.
    follows = hub.environment.pop("EXIT_WITH_PARENT")
    # `python -m gunicorn` can't start itself anew: it would find its own folder first, and in it a module `http`.
    hub.web.command[:3] = [str(Path(sys.executable).parent / "gunicorn")]
    hub.web.command += ["--pid", str(hub.folder / "web.pid")]
    hub.start_sandbox()
    hub.manage("migrate", "--verbosity", "0")
    hub.start_web()
    masters = [hub.web.pid]
    olds: list[Process] = []
    try:
        hub.start_worker()
        hub.start_beat()
        life.make_application(hub)
        life.install(hub, PORTAL, "event", generation="background")
        life.publish_and_push(hub)
        hub.control.post(
            f"portals/{PORTAL}/burst",
            client_id=life.CLIENT_ID,
            code="split_list",
            properties={"text": "{n}, b, {n}", "separator": ","},
            count=count,
            per_second=per_second,
        )
        for number in range(1, rounds + 1):
            until(lambda at=number: _called(hub) >= count * at / (rounds + 2), "calls come", 120)
            masters.append(_replace_web(hub))
            for name in ("worker", "beat"):
                olds.append(_replace(hub, name, number))
        until(lambda: _called(hub) >= count, "all calls were made", 240)
        until(lambda: not _waiting(hub), "no accepted call's process waits", 240)
        found.ended = life.until_all_ended(hub, 240)
    except AssertionError:
        print(hub.tails())
        raise
    finally:
        for pid in masters[1:]:
            _end(pid)
        for process in olds:
            process.end()
        hub.environment["EXIT_WITH_PARENT"] = follows
    stats = hub.control.stats(PORTAL)
    found.sent, found.accepted = int(stats["handler_calls"]), int(stats["handler_ok"])
    found.lost, found.doubled = len(_waiting(hub)), int(stats["doubled"])
    failed = _failed(hub)
    found.must(not failed, f"{len(failed)} calls were answered otherwise than 200: {failed[:3]}")
    found.more.update({"a second": per_second, "times each was replaced": rounds})
    found.more["slowest answer in ms"] = stats["handler_max_ms"]


def _replace_web(hub: Hub) -> int:
    """As docs/upgrade.md says; the new master."""
    pid_file = hub.folder / "web.pid"
    done = subprocess.run(
        [sys.executable, "scripts/replace_web.py", str(pid_file)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return int(pid_file.read_text())


def _replace(hub: Hub, name: str, number: int) -> Process:
    """A second one is started, and the first ended; the new one, to be ended at the end."""
    old: Process = getattr(hub, name)
    new = Process(f"{name}{number + 1}", old.command, hub.environment, hub.folder)
    setattr(hub, name, new)
    if name == "worker":
        hub.start_worker()
    else:
        new.start()
    old.stop()
    return new


def _called(hub: Hub) -> int:
    stats = hub.control.stats(PORTAL)
    return int(stats["handler_ok"]) + int(stats["handler_failed"])


def _waiting(hub: Hub) -> list[str]:
    told = hub.control.get(f"portals/{PORTAL}/processes", state="waiting", limit=1000)
    return [process["id"] for process in told["items"] if process["handler_status"] == 200]


def _failed(hub: Hub) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = 0
    while True:
        told = hub.control.get(f"portals/{PORTAL}/calls", after=after, limit=1000)
        if not told["items"]:
            return found
        found += [item for item in told["items"] if item["kind"] == "handler" and item["status"] != 200]
        after = told["next"] or told["items"][-1]["seq"]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _end(pid: int) -> None:
    if _alive(pid):
        os.kill(pid, signal.SIGTERM)
        until(lambda: not _alive(pid), "a web master ends", 30)


if __name__ == "__main__":
    sys.exit(main())
