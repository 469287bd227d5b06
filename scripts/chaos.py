"""Every drill, one after the other: `make chaos` (SEED= gives a seed again, KEEP=1 writes docs/results).

Each is a command of its own (`python -m tests.chaos.NAME --seed N --help`), takes at most five minutes, prints
what was sent, accepted, ended, confirmed, lost and doubled, and fails by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# A command a line: module, options.
DRILLS = [
    ["kill9", "--stack", "PostgreSQL+Redis"],
    ["kill9", "--stack", "PostgreSQL+RabbitMQ"],
    ["kill9", "--stack", "SQLite+filesystem"],
    ["outage", "--only", "stopped"],
    ["outage", "--only", "full"],
    ["network"],
    ["hostile", "--stack", "PostgreSQL+Redis"],
    ["hostile", "--stack", "SQLite+filesystem"],
    ["failpoints", "--stack", "PostgreSQL+Redis"],
    ["failpoints", "--stack", "SQLite+filesystem"],
    ["refresh_race"],
    ["paused"],
    ["rolling", "--stack", "PostgreSQL+Redis"],
    ["rolling", "--stack", "PostgreSQL+RabbitMQ"],
    ["rolling", "--stack", "SQLite+filesystem"],
    ["clocks", "--stack", "PostgreSQL+Redis"],
    ["clocks", "--stack", "SQLite+filesystem"],
]


def main() -> int:
    seed = os.environ.get("SEED") or str(int(time.time()))
    only = sys.argv[1:]
    failed = []
    for module, *words in DRILLS:
        if only and module not in only:
            continue
        command = [sys.executable, "-m", f"tests.chaos.{module}", "--seed", seed, *words]
        if os.environ.get("KEEP"):
            command.append("--keep")
        print(f"\n=== python {' '.join(command[1:])}", flush=True)
        began = time.monotonic()
        if subprocess.run(command, cwd=ROOT).returncode:
            failed.append(" ".join([module, *words]))
        print(f"    {time.monotonic() - began:.0f} s", flush=True)
    print(f"\nseed {seed}: " + (f"failed: {', '.join(failed)}" if failed else "every drill passed"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
