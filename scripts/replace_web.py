"""Replaces a running web process by a new one with the code on the disk; no call is refused meanwhile.

`python scripts/replace_web.py /run/hub/web.pid`, where gunicorn was started as `gunicorn b24app.wsgi --pid
/run/hub/web.pid`. The new master takes the listening socket over (USR2); the old one ends (SIGTERM) only once
all workers of the new one have loaded the hub. Where they can't, the new master ends and the old one stays.

Exit status: 0 replaced, 1 not replaced (the old one goes on), 2 used wrongly.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pidfile", type=Path, help="what gunicorn's --pid names")
    parser.add_argument("--seconds", type=float, default=90.0, help="how long the new one may take to load")
    chosen = parser.parse_args()
    old = _pid_in(chosen.pidfile)
    if old is None or not _alive(old):
        print(f"{chosen.pidfile} names no running process.", file=sys.stderr)
        return 2
    fresh_file = Path(f"{chosen.pidfile}.2")
    if _alive(_pid_in(fresh_file) or 0):
        print(f"{fresh_file} names a process that runs: another replacement is under way.", file=sys.stderr)
        return 1
    # Of a new master that was killed, it would be taken for the one to come.
    fresh_file.unlink(missing_ok=True)
    os.kill(old, signal.SIGUSR2)
    if not _within(chosen.seconds, lambda: _pid_in(fresh_file) is not None):
        print("No new master was started; the old one goes on.", file=sys.stderr)
        return 1
    new = _pid_in(fresh_file) or 0
    ready = Path(f"{chosen.pidfile}.ready.{new}")
    if not _within(chosen.seconds, lambda: not _alive(new) or _is_ready(ready)) or not _alive(new):
        if _alive(new):
            os.kill(new, signal.SIGTERM)
        print("The new process does not load; its log says why. The old one goes on.", file=sys.stderr)
        return 1
    os.kill(old, signal.SIGTERM)
    _within(30.0, lambda: not _alive(old))
    _within(10.0, lambda: _pid_in(chosen.pidfile) == new)
    print(f"Replaced: {old} by {new}.")
    return 0


def _is_ready(ready: Path) -> bool:
    """The file names each worker that has loaded the hub, as `pid/of how many`."""
    try:
        lines = [line.split("/") for line in ready.read_text().split()]
        loaded = {pid for pid, _wanted in lines if _alive(int(pid))}
        return bool(lines) and len(loaded) >= int(lines[0][1])
    except (OSError, ValueError):
        return False


def _pid_in(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _alive(pid: int) -> bool:
    """A process that ended and whose end nobody has asked for yet is not alive."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            return stat.read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _within(seconds: float, question: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not question():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


if __name__ == "__main__":
    sys.exit(main())
