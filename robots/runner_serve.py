"""The computing process of a runner: reads jobs, runs robot code, answers. Forked by robots.runner_child.

It holds no token, key or bucket. What robot code prints goes nowhere; what it forks can't speak on the pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import socket
import threading
from collections.abc import Mapping
from typing import Any

from robots.job import Closed, Frames, Job, Outcome, send
from robots.process_tree import address_space_bytes, adopt_orphans
from robots.runner_environment import secret_names

_HIGH = 200  # beyond what code that closes "all" low descriptors or counts on them would touch


class Pipe:
    """The one channel to the parent. A frame carries the number of the job it belongs to, and only the thread
    that holds the lock talks, since robot code may use threads."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.frames = Frames(channel)
        self.lock = threading.Lock()
        self.number = 0
        self.owner = os.getpid()

    def say(self, message: dict[str, Any]) -> None:
        self._only_here()
        send(self.channel, {"n": self.number, **message})

    def ask(self, number: int, message: dict[str, Any]) -> dict[str, Any]:
        """One request, one answer."""
        with self.lock:
            self._current(number)
            self.say(message)
            return self.frames.receive()

    def tell(self, number: int, message: dict[str, Any]) -> None:
        with self.lock:
            self._current(number)
            self.say(message)

    def _current(self, number: int) -> None:
        if number != self.number:
            raise RuntimeError("this call has ended")

    def _only_here(self) -> None:
        if os.getpid() != self.owner:
            os._exit(1)  # a process that robot code forked came back into our loop


class PipeClient:
    """`call.portal.client`: each request goes over the pipe to the parent, which has the token and the
    bucket."""

    def __init__(self, pipe: Pipe, number: int, trial: bool) -> None:
        self._pipe, self._number, self._trial = pipe, number, trial

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """The answer's `result`. Raises PortalError, for what can't be sent too; NotInTestRun where no portal is at
        hand."""
        from robots.compute import NotInTestRun, PortalError

        if self._trial:
            raise NotInTestRun
        if not str(method).isascii():
            raise PortalError("NOT_SENT", "The method's name is none.")
        try:
            answer = self._pipe.ask(self._number, {"rest": [str(method), dict(params or {})]})
        except ValueError as error:
            # Found here: in the parent it would be nobody's fault, and fail the rows beside this one.
            raise PortalError("NOT_SENT", f"The request can't be sent: {error}") from None
        if "error" in answer:
            code, text, *more = answer["error"]
            raise PortalError(str(code), str(text), *more)
        return answer.get("result")


def serve(job_fd: int, memory_mb: int) -> None:
    """Until the end of input. Never raises: what can't start is told to the parent."""
    high = fcntl.fcntl(job_fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.close(job_fd)
    pipe = Pipe(socket.socket(fileno=high))
    os.register_at_fork(after_in_child=pipe.channel.close)
    try:
        _set_up(memory_mb)
    except BaseException as error:  # SystemExit of a settings module too
        with contextlib.suppress(Closed):
            pipe.say({"broken": f"{type(error).__name__}: {error}"[:2000]})
        return
    # Standard input and output are /dev/null from the start; errors while starting are for the operator.
    os.dup2(1, 2)
    with contextlib.suppress(Closed):
        pipe.say({"ready": os.getpid()})
        while True:
            _one_job(pipe, pipe.frames.receive())


def _set_up(memory_mb: int) -> None:
    import django

    adopt_orphans()
    django.setup()
    # A `.env` that settings read may have brought back what the parent had taken out.
    for name in secret_names(os.environ):
        os.environ.pop(name, None)
    from robots import computing
    from robots.compute import autodiscover

    autodiscover()
    computing.warm()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before = address_space_bytes()
    if before:  # elsewhere the limit is refused or ignored, and the parent watches
        most = before + memory_mb * 1024 * 1024
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _one_job(pipe: Pipe, message: dict[str, Any]) -> None:
    from robots.computing import compute_job

    number = pipe.number = int(message.pop("n"))
    job = Job(**message)
    client = PipeClient(pipe, number, job.trial)
    outcome = compute_job(
        job,
        client,
        say_line=lambda text: pipe.tell(number, {"line": text}),
        say_started=lambda revision: pipe.tell(number, {"started": revision}),
    )
    _close_connections()
    with pipe.lock:
        pipe.say({"outcome": _as_frame(outcome), "stray": _has_children()})
        pipe.number = -1  # a thread that outlives its call can't speak for the next one


def _as_frame(outcome: Outcome) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in Outcome.__slots__ if name not in ("lines", "seconds")}


def _has_children() -> bool:
    """Whether robot code left a process behind (an orphan counts: it was adopted); buries what ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _close_connections() -> None:
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        # Not worth the row: its result is computed, and the next row opens another.
        with contextlib.suppress(Exception):
            connection.close()
