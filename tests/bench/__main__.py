"""Every bench in turn, each a process of its own: `python -m tests.bench [NAME …] [--quick]`, then the page of them."""

from __future__ import annotations

import subprocess
import sys

from tests.system.processes import ROOT

NAMES = ("ack", "steady", "drain", "idle", "scale", "fair", "growth", "push", "cost")


def main() -> int:
    """1 where a bench itself failed; a goal that is missed is told, and is no failure."""
    chosen = [name for name in sys.argv[1:] if not name.startswith("-")] or list(NAMES)
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    if unknown := set(chosen) - set(NAMES):
        print(f"{', '.join(sorted(unknown))}: no such bench; there are {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    failed = [
        name
        for name in chosen
        if subprocess.run([sys.executable, "-m", f"tests.bench.{name}", *options], cwd=ROOT).returncode
    ]
    if "--quick" not in options:
        subprocess.run([sys.executable, "scripts/performance.py"], cwd=ROOT, check=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
