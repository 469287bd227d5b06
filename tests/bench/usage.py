"""CPU and memory as the operating system counts them, by what a process is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.system.processes import marked

_PROC = Path("/proc/self/stat").exists()
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Words of a command line, in the order in which they decide.
_ROLES = {
    "runner": "runner",
    "bench.bare": "bare",
    "gunicorn": "web",
    "celery": "worker",
    "sandbox": "sandbox",
}


def cpu_of(pid: int, ended: bool = False) -> float:
    """CPU seconds of one process (with `ended`, of its children that are gone, too); 0 where it is gone."""
    if _PROC:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return sum(int(field) for field in fields[11 : 15 if ended else 13]) / _TICK
    told = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True).stdout
    parts = reversed(told.strip().replace("-", ":").split(":")) if told.strip() else iter(())
    return sum(float(part) * 60**place for place, part in enumerate(parts))


def children(pid: int) -> list[int]:
    """Its children, theirs not."""
    told = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
    return [int(line) for line in told.split()]


def tree(pid: int) -> float:
    """CPU seconds of a process and its children, gone ones included where the system tells."""
    return sum(cpu_of(each, ended=True) for each in (pid, *children(pid)))


def by_role(mark: str) -> dict[str, float]:
    """CPU seconds of a hub's living processes and of their ended children: web, worker, runner, beat, sandbox."""
    found: dict[str, float] = {}
    for pid, role in _processes(mark):
        found[role] = found.get(role, 0.0) + cpu_of(pid, ended=True)
    return found


def memory(mark: str) -> dict[str, list[int]]:
    """Resident kB of each process by role: what is its own (Pss where the system tells it, else Rss)."""
    found: dict[str, list[int]] = {}
    for pid, role in _processes(mark):
        size = resident(pid)
        if size:
            found.setdefault(role, []).append(size)
    return found


def resident(pid: int) -> int:
    """kB; 0 where it is gone."""
    if _PROC:
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    return int(line.split()[1])
        except OSError:
            return 0
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True).stdout
    return int(told.strip() or 0)


def used(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Seconds by role between two looks."""
    return {role: max(0.0, value - before.get(role, 0.0)) for role, value in after.items()}


def _processes(mark: str) -> list[tuple[int, str]]:
    found = []
    for line in marked(mark):
        pid, _space, command = line.strip().partition(" ")
        role = next((role for word, role in _ROLES.items() if word in command), "other")
        if role == "worker" and " beat" in command:
            role = "beat"
        found.append((int(pid), role))
    return found
