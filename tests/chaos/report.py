"""What a drill found: printed, judged, and kept as JSON for docs/reliability.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.system.processes import ROOT

RESULTS = ROOT / "docs" / "results"


@dataclass
class Found:
    """One drill on one stack. `accepted`: the hub answered 200; `lost`: accepted, and its process waits for
    ever; `doubled`: two different results for one token; `wrong`: sentences on anything else that must not be."""

    drill: str
    stack: str
    seed: int
    sent: int = 0
    accepted: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    confirmed: int = 0
    lost: int = 0
    doubled: int = 0
    seconds: float = 0.0
    load: float = 0.0
    # What this drill counts besides: kills by process, slowest answers, rounds.
    more: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        return bool(self.lost or self.doubled or self.wrong)

    def must(self, holds: object, sentence: str) -> None:
        if not holds:
            self.wrong.append(sentence)

    def __str__(self) -> str:
        ended = ", ".join(f"{state} {number}" for state, number in sorted(self.ended.items())) or "none"
        more = "; ".join(f"{name} {_short(value)}" for name, value in self.more.items())
        wrong = "".join(f"\n    WRONG: {sentence}" for sentence in self.wrong)
        return (
            f"{self.drill} on {self.stack}, seed {self.seed}: sent {self.sent}, accepted {self.accepted}; "
            f"ended: {ended}; confirmed {self.confirmed}; lost {self.lost}, doubled {self.doubled}"
            f"{'; ' + more if more else ''}; {self.seconds:.0f} s, load {self.load:.1f}{wrong}"
        )


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_short(part)}" for name, part in value.items()) + ")"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def timed(found: Found, work: Callable[[Found], None]) -> Found:
    """Runs the drill; what it raised is something wrong with it, told with its seed."""
    began = time.monotonic()
    try:
        work(found)
    except AssertionError as error:
        found.wrong.append(str(error)[:2000])
    found.seconds = round(time.monotonic() - began, 1)
    found.load = round(os.getloadavg()[0], 1)
    return found


def options(doc: str | None) -> argparse.ArgumentParser:
    """The options that every drill has. From here on SIGTERM ends it in good order: what it started with it."""
    signal.signal(signal.SIGTERM, lambda *_args: sys.exit(143))
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed, the same choices")
    parser.add_argument("--short", action="store_true", help="the form that make test runs")
    parser.add_argument("--stack", default="", help="only this one, as SQLite+filesystem")
    parser.add_argument("--keep", action="store_true", help="write the result to docs/results")
    return parser


def close(results: Iterable[Found], chosen: argparse.Namespace) -> int:
    """Prints each result as it comes, keeps them where wanted; the exit status."""
    bad = False
    kept: list[Found] = []
    for found in results:
        print(found, flush=True)
        kept.append(found)
        bad = bad or found.bad
    if chosen.keep and kept:
        _keep(kept)
    return 1 if bad else 0


def _keep(results: list[Found]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    about = {
        "at": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        "commit": _commit(),
        "command": " ".join(["python", "-m", _module(), *sys.argv[1:]]),
    }
    for found in results:
        name = f"{found.drill}-{found.stack.replace('+', '-')}.json".lower().replace(" ", "-")
        told = {**about, **asdict(found)}
        (RESULTS / name).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def _module() -> str:
    return f"tests.chaos.{Path(sys.argv[0]).stem}"


def _commit() -> str:
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return told.stdout.strip() or "unknown"
