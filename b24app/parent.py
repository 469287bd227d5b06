"""No process outlives its parent (design §3).

A thread waits for the parent's end without a wake-up in between: by a pidfd on Linux, by kqueue on macOS, by
looking twice a second elsewhere. Not PR_SET_PDEATHSIG: that follows the *thread* that forked, and Celery
forks from threads that end long before their process does.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable

# Named in a process's environment, it makes a process that people start by hand follow who started it.
FOLLOW = "EXIT_WITH_PARENT"
# More than any process takes to end in good order, less than anybody waits for.
LAST_RESORT_SECONDS = 9.0


def wait_for_end(pid: int) -> None:
    """Returns when the process `pid`, our parent, is gone; at once where it is gone already."""
    if sys.platform == "linux":
        try:
            handle = os.pidfd_open(pid)
        except (OSError, AttributeError):  # gone, or a kernel or libc older than 2020
            handle = -1
        if handle >= 0 and os.getppid() == pid:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll()
        if handle >= 0:
            os.close(handle)
    elif sys.platform == "darwin":
        queue = select.kqueue()
        event = select.kevent(
            pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT
        )
        try:
            queue.control([event], 1, None)
        except OSError:  # gone already
            pass
        finally:
            queue.close()
    while os.getppid() == pid:
        time.sleep(0.5)


def follow(end: Callable[[], None], pid: int | None = None) -> threading.Thread:
    """Calls `end` in a thread once the parent (or `pid`, where the parent's id was noted before) is gone."""
    parent = os.getppid() if pid is None else pid

    def watch() -> None:
        wait_for_end(parent)
        end()

    thread = threading.Thread(target=watch, name="parent-watch", daemon=True)
    thread.start()
    return thread


def end_now() -> None:
    """For a process whose work is leased: whoever finds the lease expired goes on with it."""
    os._exit(1)


def end_in_good_order() -> None:
    """For a process that answers people: what is under way is finished, then it ends, whatever else hangs."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LAST_RESORT_SECONDS)
    os._exit(1)


def follow_if_asked() -> None:
    """Main processes (gunicorn, worker, beat) follow their parent only where `EXIT_WITH_PARENT` says so."""
    if os.environ.get(FOLLOW) == "1":
        follow(end_in_good_order)
