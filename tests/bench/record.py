"""What a bench hands on: figures, goals, the machine they were seen on; kept as JSON, told in lines."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from tests.system import servers
from tests.system.processes import ROOT

RESULTS = ROOT / "docs" / "results"
_PACKAGES = ("Django", "djangorestframework", "celery", "psycopg", "gunicorn")


@dataclass
class Goal:
    """One line of the issue: `value` beside what it should be. `met` None: could not be seen here."""

    what: str
    wanted: str
    value: str
    met: bool | None


@dataclass
class Found:
    """A bench's figures (JSON values) and goals."""

    figures: dict[str, Any] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)

    def goal(self, what: str, wanted: str, value: str, met: bool | None) -> None:
        self.goals.append(Goal(what, wanted, value, met))


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Median, least and most."""
    return {
        "median": round(statistics.median(values), digits),
        "least": round(min(values), digits),
        "most": round(max(values), digits),
    }


def told(values: dict[str, float]) -> str:
    return f"{values['median']:g} ({values['least']:g} … {values['most']:g})"


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(len(ordered) * percent) // 100) - 1))]


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "sqlite": sqlite3.sqlite_version,
        "postgresql": _postgresql(),
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def carry_out(name: str, doc: str, measure: Callable[[bool], Found]) -> int:
    """The command line of a bench: `--quick` for its smallest form, which is not kept."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest form; nothing is kept")
    parser.add_argument("--keep", type=Path, default=RESULTS, help="folder of the results (docs/results)")
    options = parser.parse_args()
    facts, began = machine(), time.monotonic()
    found = measure(options.quick)
    facts["load_after"] = round(os.getloadavg()[0], 2)
    facts["seconds"] = round(time.monotonic() - began)
    if not options.quick:
        keep(options.keep, name, facts, found)
    print(f"{name}: {facts['cores']} cores, load {facts['load_before']} … {facts['load_after']}")
    for goal in found.goals:
        word = {True: "met", False: "MISSED", None: "not seen"}[goal.met]
        print(f"  {word:8} {goal.what}: {goal.value} (wanted {goal.wanted})")
    return 0


def keep(folder: Path, name: str, facts: dict[str, Any], found: Found) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    whole = {
        "bench": name,
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": facts,
        "goals": [asdict(goal) for goal in found.goals],
        "figures": found.figures,
    }
    text = json.dumps(whole, indent=1, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def say(text: str) -> None:
    """Progress, for whoever watches."""
    print(text, file=sys.stderr, flush=True)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _postgresql() -> str:
    try:
        with psycopg.connect(servers.database_url(), connect_timeout=3) as session:
            row = session.execute("SHOW server_version").fetchone()
            return str(row[0]) if row else ""
    except psycopg.Error:
        return ""
