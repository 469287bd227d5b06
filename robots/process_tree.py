"""Processes as the system shows them: who descends from whom, how much they hold, and how they end together.

Imports nothing of Django: the runner's guard, which must stay small and always answer, is made of this.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def die_with_parent() -> None:
    """Linux: SIGKILL to this process when the *thread* that forked it ends. Only for children of a process
    that forks from its one main thread; nothing elsewhere."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Linux: processes that descend from this one and lose their parent become its children, even from a
    session of their own, so that they can be found and ended; nothing elsewhere."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, nearest first; [] where the system has no /proc."""
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if name.isdigit() and (parent := _parent_of(name)) is not None:
            children.setdefault(parent, []).append(int(name))
    found = list(children.get(pid, ()))
    for each in found:  # grows while it is walked
        found.extend(children.get(each, ()))
    return found


def _parent_of(name: str) -> int | None:
    try:
        with open(f"/proc/{name}/stat", "rb") as file:
            # The command's name stands in brackets and may hold anything, brackets too.
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def end_session(leader: int) -> None:
    """SIGKILL to the session leader's group and to all that descends from it, whatever session that moved
    to."""
    below = descendants(leader)
    for send, target in [(os.killpg, leader), *((os.kill, pid) for pid in below)]:
        try:
            send(target, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # gone already, which is what was wanted


def resident_bytes(pid: int) -> int:
    """Memory that `pid` holds in RAM; 0 where it can't be told."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass  # no /proc: ask ps
    try:
        shown = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, timeout=5, check=False
        ).stdout
        return int(shown) * 1024
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def address_space_bytes() -> int:
    """Virtual memory of this process; 0 where it can't be told."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
