"""A hub in one forked process: its door on a socket that outlives it, its worker and sweeps in one loop.

What kills it takes all of it, as a machine that loses its power; a moment's fork stands for a start. The robot
answers otherwise at each computation, so that a result computed twice and sent twice would show as doubled.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connections

import handlers.intake
from b24app.work import SWEEPS
from handlers import compute, delivery, drain, intake_db
from portals import failpoint, wake
from robots.job import Job, Outcome
from robots.work import push_due

# Seconds by which all hubs are ahead of the database's clock: one number that every fork sees and the drill
# alone writes. Without a lock: a fork killed or stopped while it reads would keep it for ever.
ahead: Any = multiprocessing.Value("i", 0, lock=False)
# The loop calls what a message would; nobody publishes.
wake.start = lambda: None  # type: ignore[assignment]  # a stand-in for the threads


class _Door(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_args: Any) -> None:
        pass


class Restless:
    """A runner whose robot gives another value each time: what is sent twice must still be the same."""

    def run(self, job: Job, rest: object = None, time_limit: float = 0.0) -> Outcome:
        value = f"{random.SystemRandom().random():.12f}"
        # Text that a batch can't say (§4) goes in requests of its own.
        return Outcome(
            ok=True,
            values={"total": f"$result[{value}]" if job.code == "alone" else value},
            lines=["A line."],
        )


def follow_clock() -> None:
    """In a fork: its clock goes ahead whenever the drill says so."""

    def follow() -> None:
        while True:
            settings.CLOCK_OFFSET_SECONDS = ahead.value
            time.sleep(0.02)

    settings.CLOCK_OFFSET_SECONDS = ahead.value
    threading.Thread(target=follow, daemon=True).start()


def fork(work: Callable[[], object]) -> int:
    """Does `work` in a child; its pid. The child's status is 0 where it returned."""
    connections.close_all()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        follow_clock()
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(3)


def answer_for_ever(door: socket.socket) -> None:
    """The web process of a hub; for `fork`."""
    _open(door)
    _loop([drain.tend])


def work_for_ever(armed: str = "", marks: str = "") -> None:
    """A worker of a hub; for `fork`."""
    compute._runner = Restless()  # type: ignore[assignment]  # what it does is all that is asked of a runner
    failpoint.arm(armed, marks)
    _loop([drain.tend, compute.work, delivery.work, push_due, *SWEEPS.values()])


def listening() -> socket.socket:
    """A socket of the parent's: while no hub lives, calls wait in its backlog."""
    made = socket.create_server(("127.0.0.1", 0), backlog=512)
    made.set_inheritable(True)
    return made


def start(
    door: socket.socket,
    offset: int,
    armed: str,
    marks: str,
    away: bool = False,
    extra: Callable[[], object] | None = None,
) -> int:
    """Forks a hub; its pid. `offset` seconds ahead, with failpoints `armed`; `away`: its door finds no
    database; `extra`: what it does besides."""
    connections.close_all()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        _live(door, offset, armed, marks, away, extra)
    except BaseException:
        traceback.print_exc()
    os._exit(3)


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitpid(pid, 0)


def ended(pid: int) -> bool:
    """Whether the hub died; then it is also waited for."""
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def _live(
    door: socket.socket,
    offset: int,
    armed: str,
    marks: str,
    away: bool,
    extra: Callable[[], object] | None,
) -> None:
    settings.CLOCK_OFFSET_SECONDS = offset
    compute._runner = Restless()  # type: ignore[assignment]  # what it does is all that is asked of a runner
    failpoint.arm(armed, marks)
    if away:
        # The door alone finds the database away; the drain finds it back.
        def nobody(_call: object) -> Any:
            raise intake_db.Away("as the drill wants it")

        handlers.intake.accept = nobody  # type: ignore[assignment]  # this process is the drill's
    _open(door)
    parts: list[Callable[[], object]] = [drain.tend, compute.work, delivery.work, push_due, *SWEEPS.values()]
    if extra is not None:
        parts.append(extra)
    _loop(parts)


def _open(door: socket.socket) -> None:
    server = _Door(door.getsockname(), _Quiet, bind_and_activate=False)
    server.socket = door
    server.server_name, server.server_port = "127.0.0.1", door.getsockname()[1]
    server.setup_environ()
    server.set_app(get_wsgi_application())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


def _loop(parts: list[Callable[[], object]]) -> None:
    while True:
        for part in parts:
            try:
                part()
            except Exception:
                traceback.print_exc()
                connections.close_all()
        time.sleep(0.02)
