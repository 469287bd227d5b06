"""Named places at which a drill lets this process die; without `FAILPOINT` a call that does nothing.

`FAILPOINT=delivery.before_send:2,refresh.kept` kills the process (SIGKILL, as a machine would) at the second
passing of the one and the first of the other, `FAILPOINT=*` at the first passing of each;
`delivery.answered:1:stop` pauses it (SIGSTOP), as a machine that swaps or moves would. Each kills once: a
file in `FAILPOINT_DIR` says that it did, so that the process started again goes on. `tests/chaos` goes
through all of them.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections import Counter
from pathlib import Path

_armed: dict[str, tuple[int, int]] = {}
_folder = Path(tempfile.gettempdir())
_passed: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Dies here where a drill wants it; costs a look at an empty dict otherwise."""
    if _armed:
        _pass(name)


def arm(wanted: str, folder: str) -> None:
    """`name[:n[:stop]]`, several with commas; '' disarms. `folder` holds a file for each that has killed."""
    global _folder
    _armed.clear()
    _passed.clear()
    _folder = Path(folder or tempfile.gettempdir())
    for part in filter(None, (part.strip() for part in wanted.split(","))):
        name, nth, how = (*part.split(":"), "", "")[:3]
        _armed[name] = (int(nth or 1), signal.SIGSTOP if how == "stop" else signal.SIGKILL)


def _pass(name: str) -> None:
    wanted = _armed.get(name) or _armed.get("*")
    if wanted is None:
        return
    _passed[name] += 1
    if _passed[name] < wanted[0]:
        return
    try:
        os.close(os.open(_folder / f"failed-{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError:
        return
    os.kill(os.getpid(), wanted[1])


arm(os.environ.get("FAILPOINT", ""), os.environ.get("FAILPOINT_DIR", ""))
