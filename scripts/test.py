"""Every test on every database and broker that answers here: `make test`.

Rooms' tests run on SQLite and again on PostgreSQL; system tests choose their stacks themselves. The last
lines say what ran on what, what was left out, and the sum.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.system import servers  # noqa: E402  (found only now)

# These start processes of their own, or need no database of the hub's: once is enough.
ONCE = ["tests/browser", "tests/system", "tests/chaos", "tests/bench", "tests/sandbox"]


@dataclass
class Run:
    """One pytest run and what came of it; `missing` is why it was left out."""

    name: str
    paths: list[str]
    settings: dict[str, str] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    missing: str = ""
    # Goes on beside the next ones; what it said is told at the end.
    beside: bool = False
    status: int = 0
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def main() -> int:
    runs = _planned()
    with ThreadPoolExecutor() as beside:
        heard = []
        for run in runs:
            if run.beside:
                heard.append(beside.submit(_carry_out, run, subprocess.PIPE))
            elif not run.missing:
                _carry_out(run)
        for said in heard:
            print(said.result(), flush=True)
    return _tell(runs)


def _planned() -> list[Run]:
    rooms = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").iterdir()) if path.is_dir()]
    rooms = [room for room in rooms if room not in ONCE and any((ROOT / room).glob("test_*.py"))]
    # Two at a time: what tests wait for is mostly the disk and other processes.
    split = ["-n", "2", "--dist", "loadgroup"]
    # Of the benches the acknowledgement's small form; the others' take minutes (pytest tests/bench/test_benches.py).
    hubs = ["tests/system", "tests/bench/test_ack.py"]
    return [
        Run("sandbox", ["tests/sandbox"], options=split),
        Run("rooms on SQLite", rooms, options=split),
        Run(
            "rooms on PostgreSQL",
            rooms,
            settings={"DATABASE_URL": servers.database_url(), "B24_TEST_DATABASE_ONLY": "1"},
            options=[*split, "--durations=12"],
            missing=servers.missing("PostgreSQL"),
        ),
        # Whole hubs mostly wait, for a process to start or an outage to end: drills and a browser go on meanwhile.
        Run("pages in a browser", ["tests/browser"], options=["--durations=5"], beside=True),
        Run("drills, each in its short form", ["tests/chaos"], options=["--durations=5"], beside=True),
        # What takes longest, so that the whole stays under its twenty-five minutes.
        Run("whole hubs on each stack", hubs, options=["--durations=12"]),
    ]


def _carry_out(run: Run, output: int | None = None) -> str:
    """Runs it; what it said, where `output` is a pipe."""
    heading = f"\n=== {run.name}"
    if output is None:
        print(heading, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts.json"
        environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *run.options, *run.paths],
            cwd=ROOT,
            env={**environment, **run.settings, "B24_TEST_COUNTS": str(counts)},
            stdout=output,
            text=True,
        )
        run.status = done.returncode
        run.seconds = time.monotonic() - started
        if counts.exists():
            told = json.loads(counts.read_text())
            run.left_out = told.pop("missing")
            run.counts = told
    return f"{heading}\n{done.stdout}" if output else ""


def _tell(runs: list[Run]) -> int:
    """The last lines, and the exit status: 1 where a test failed, or CI lacks a server."""
    print("\nWhat ran on what:")
    left_out: set[str] = set()
    total = dict.fromkeys(("passed", "failed", "error", "skipped"), 0)
    for run in runs:
        if run.missing:
            left_out.add(run.missing)
            print(f"  {run.name}: left out")
            continue
        for name, number in run.counts.items():
            total[name] += number
        left_out.update(reason.partition(": ")[2] or reason for reason in run.left_out)
        told = ", ".join(f"{number} {name}" for name, number in run.counts.items() if number) or "nothing"
        print(f"  {run.name}: {told} in {run.seconds:.0f} s" + ("" if run.status == 0 else "  ← failed"))
    for reason in sorted(left_out):
        print(f"  left out: {reason}")
    failed = any(run.status for run in runs)
    if left_out and servers.in_ci():
        print("  CI=true says that every server must be there: this run fails.")
        failed = True
    print(f"{total['passed']} passed, {total['failed'] + total['error']} failed, {total['skipped']} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
