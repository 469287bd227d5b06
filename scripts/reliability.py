"""Draws the table of docs/reliability.md from the results in docs/results (`make chaos KEEP=1` writes those).

`python scripts/reliability.py` writes the page, `--check` fails where it differs from what the results say.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "docs" / "results"
BEGIN, END = "<!-- drawn by scripts/reliability.py -->", "<!-- end -->"
ORDER = [
    "kill -9",
    "outage",
    "full disk",
    "network",
    "hostile portals",
    "failpoints",
    "refresh race",
    "paused worker",
    "rolling restart",
    "clocks",
]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    page = PAGE.read_text()
    head, _, rest = page.partition(BEGIN)
    _old, _, tail = rest.partition(END)
    fresh = f"{head}{BEGIN}\n{table()}\n{END}{tail}"
    if check:
        return 0 if fresh == page else 1
    PAGE.write_text(fresh)
    return 0


def table() -> str:
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    results = [found for found in results if found.get("drill") in ORDER]
    results.sort(key=lambda found: (ORDER.index(found["drill"]), found["stack"]))
    lines = [
        "| drill | on | sent | accepted | ended | confirmed | lost | doubled | besides | took, load |",
        "|---|---|---:|---:|---|---:|---:|---:|---|---|",
    ]
    for found in results:
        ended = ", ".join(f"{number:,} {state}" for state, number in sorted(found["ended"].items()))
        lines.append(
            f"| {found['drill']} | {found['stack']} | {found['sent']:,} | {found['accepted']:,} | {ended or '–'}"
            f" | {found['confirmed']:,} | **{found['lost']}** | **{found['doubled']}**"
            f" | {'; '.join(f'{name} {_short(value)}' for name, value in found['more'].items())}"
            f" | {found['seconds']:.0f} s, {found['load']} |"
        )
    about = sorted({f"{found['machine']}, {found['at']}, commit {found['commit']}" for found in results})
    seeds = sorted({str(found["seed"]) for found in results})
    lines.append("")
    lines.append(f"Measured on: {'; '.join(about)}. Seeds: {', '.join(seeds)}.")
    return "\n".join(lines)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_short(part)}" for name, part in value.items()) + ")"
    return (
        f"{value:,.3g}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


if __name__ == "__main__":
    sys.exit(main())
