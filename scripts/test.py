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
    # Those go one after another beside the others, with what these leave of the machine.
    beside: bool = False
    status: int = 0
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def main() -> int:
    runs = _planned()
    with ThreadPoolExecutor(max_workers=1) as beside:
        told = [beside.submit(_carry_out, run) for run in runs if run.beside and not run.missing]
        for run in runs:
            if not run.beside:
                _carry_out(run)
        for each in told:
            each.result()
    return _tell(runs)


def _planned() -> list[Run]:
    rooms = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").iterdir()) if path.is_dir()]
    rooms = [room for room in rooms if room not in ONCE and any((ROOT / room).glob("test_*.py"))]
    # Two at a time: what tests wait for is mostly the disk and other processes.
    split = ["-n", "2", "--dist", "loadgroup"]
    # Of the benches the acknowledgement's small form; the others' take minutes (pytest tests/bench/test_benches.py).
    once = ("tests/system", "tests/chaos", "tests/bench/test_ack.py")
    alone = [path for path in once if (ROOT / path).exists()]
    return [
        # Whole hubs mostly wait, for a process to start or an outage to end: the others have the machine meanwhile.
        Run("sandbox", ["tests/sandbox"], options=split, beside=True),
        Run("rooms on SQLite", rooms, options=split, beside=True),
        Run(
            "rooms on PostgreSQL",
            rooms,
            settings={"DATABASE_URL": servers.database_url(), "B24_TEST_DATABASE_ONLY": "1"},
            options=[*split, "--durations=12"],
            missing=servers.missing("PostgreSQL"),
            beside=True,
        ),
        Run("pages in a browser", ["tests/browser"], options=["--durations=5"], beside=True),
        # What takes longest, so that the whole stays under its twenty-five minutes.
        Run("whole hubs on each stack", alone, options=["--durations=12"]),
    ]


def _carry_out(run: Run) -> None:
    """Runs it; what one beside the others said is told at its end, in one piece."""
    heading = f"\n=== {run.name}"
    if not run.beside:
        print(heading, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts.json"
        environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        # The machine is whole hubs' first: a test of theirs counts seconds, one of the rooms' waits.
        before = ["nice", "-n", "5"] if run.beside else []
        started = time.monotonic()
        done = subprocess.run(
            [*before, sys.executable, "-m", "pytest", "-q", *run.options, *run.paths],
            cwd=ROOT,
            env={**environment, **run.settings, "B24_TEST_COUNTS": str(counts)},
            stdout=subprocess.PIPE if run.beside else None,
            text=True,
        )
        run.status = done.returncode
        run.seconds = time.monotonic() - started
        if counts.exists():
            told = json.loads(counts.read_text())
            run.left_out = told.pop("missing")
            run.counts = told
    if run.beside:
        print(f"{heading}\n{done.stdout}", flush=True)


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
