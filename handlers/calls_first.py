"""Handler calls go first: what works long in a web process does it while no call is being answered there.

A process has one interpreter, and a call needs it back some ten times until it is answered. An export that goes on
meanwhile may keep it each time. So a call says that it has come and that it is answered, and long work asks between
two small pieces.
"""

from __future__ import annotations

import os
import threading
import time

# A wait that is short beside a call, which takes about three milliseconds.
_LOOK_AGAIN = 0.001
# Where calls never end (a burst) long work goes on all the same, a piece each so many seconds.
PATIENCE = 0.05

# Threads that answer a call; adding and discarding is one step of the interpreter each.
_here: set[int] = set()


def come() -> None:
    """This thread answers a call from now on."""
    _here.add(threading.get_ident())


def answered() -> None:
    _here.discard(threading.get_ident())


def give_way() -> None:
    """Waits until no call is being answered, at most PATIENCE."""
    if not _here:
        return
    end = time.monotonic() + PATIENCE
    while _here and time.monotonic() < end:
        time.sleep(_LOOK_AGAIN)


os.register_at_fork(after_in_child=_here.clear)
