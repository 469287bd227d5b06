"""`python -m robots.runner_child JOB_FD LIFE_FD PARENT_PID MEMORY_MB`: the guard of one runner.

Started by robots.runner in a session of its own, it forks the process that computes (robots.runner_serve) and
does nothing but watch: when its parent is gone (end of input on LIFE_FD, or another parent's id) or the
computing process has ended, it ends everything of the session, itself last. So a robot that hangs in C,
holding the interpreter lock, still dies with the worker, on any system, and so does what it started.

PR_SET_PDEATHSIG follows the *thread* that forked, and runners are started from threads that may end: it is
therefore not asked for here, only by the computing process, whose parent is this single-threaded guard.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys

from robots.process_tree import adopt_orphans, descendants, die_with_parent

_LOOK_SECONDS = 1.0


def main(job_fd: int, life_fd: int, parent: int, memory_mb: int) -> None:
    """Returns only in the computing process, when its input ended."""
    adopt_orphans()
    guard = os.getpid()
    worker = os.fork()
    if worker == 0:
        os.close(life_fd)
        die_with_parent()
        if os.getppid() != guard:
            os._exit(0)
        from robots.runner_serve import serve

        serve(job_fd, memory_mb)
        os._exit(0)
    os.close(job_fd)
    _watch(socket.socket(fileno=life_fd), worker, parent)


def _watch(life: socket.socket, worker: int, parent: int) -> None:
    told, wake = socket.socketpair()
    wake.setblocking(False)
    told.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda number, frame: None)  # a handler must be there for the wake-up byte
    while os.getppid() == parent:
        ended = _reap(worker)
        if ended is not None:
            try:
                life.sendall(ended.encode())
            except OSError:
                pass  # nobody left to tell
            break
        readable, _, _ = select.select([life, told], [], [], _LOOK_SECONDS)
        if life in readable:
            break  # the parent never writes: it is the end of input
        if told in readable:
            told.recv(4096)
    for pid in descendants(os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # ended meanwhile
    os.killpg(0, signal.SIGKILL)


def _reap(worker: int) -> str | None:
    """Buries whatever ended; "exit 3" or "signal 11" where the computing process did."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return "exit 0"
        if pid == 0:
            return None
        if pid == worker:
            code = os.waitstatus_to_exitcode(status)
            return f"signal {-code}" if code < 0 else f"exit {code}"


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:5]))
