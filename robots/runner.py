"""Robot code in a process of its own, one row at a time (design §2 rule 8).

    runner = Runner()
    outcome = runner.run(job, rest=client.call, time_limit=60.0)
    runner.close()

The process starts with `warm()` or the first job and stays. One that dies, hangs or overruns is killed with
its whole session and replaced at the next job; only the row it held is charged. One Runner a thread (or pool
process); several in a process are independent. It is a plain `python -m robots.runner_child`: a Celery pool's
daemonic children may not use multiprocessing, and nothing of their memory, tokens or keys is inherited.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from robots.job import Closed, Frames, Job, Outcome, OutOfTime, send
from robots.process_tree import end_session, resident_bytes
from robots.runner_environment import runner_environment

__all__ = ["Job", "Outcome", "Rest", "Runner", "RunnerUnavailable"]

Rest = Callable[[str, dict[str, Any]], Any]

_ROOT = Path(__file__).resolve().parent.parent
_LOOK_SECONDS = 0.25
_START_SECONDS = 60.0
_live: weakref.WeakSet[Runner] = weakref.WeakSet()


class RunnerUnavailable(Exception):
    """No runner could be started: no row is to blame, they go back to the queue."""


class Runner:
    """Runs jobs in one subprocess. Thread-safe: jobs given at once wait for each other."""

    def __init__(self, memory_mb: int | None = None, environment: Mapping[str, str] | None = None) -> None:
        """`memory_mb` is what robot code may take beyond the warm process (default: setting ROBOT_MEMORY_MB,
        512);
        `environment` is added to what the process is given."""
        self._memory = (memory_mb or int(getattr(settings, "ROBOT_MEMORY_MB", 512))) * 1024 * 1024
        self._extra = dict(environment or {})
        self._process: _Process | None = None
        self._lock = threading.Lock()
        self._number = 0
        _live.add(self)

    @property
    def pid(self) -> int | None:
        """The session leader's process id while one runs."""
        return self._process.popen.pid if self._process else None

    def warm(self) -> None:
        """Starts the process without a job, so that the first one need not wait for its imports."""
        with self._lock:
            self._ready()

    def run(self, job: Job, rest: Rest | None = None, time_limit: float | None = None) -> Outcome:
        """Computes one row. `rest(method, params)` serves the job's REST requests in this thread; what it
        raises with `code` and `text` (RestError) becomes PortalError in robot code, anything else ends the
        runner and is raised here. `time_limit` in seconds (default: setting ROBOT_TIME_LIMIT, 60). Raises
        RunnerUnavailable."""
        limit = time_limit or float(getattr(settings, "ROBOT_TIME_LIMIT", 60))
        with self._lock:
            for last_try in (False, True):
                process = self._ready()
                began = time.monotonic()
                outcome = self._attempt(process, job, rest, limit)
                if outcome is not None:
                    outcome.seconds = time.monotonic() - began
                    return outcome
                # It had died between two rows (out of memory, a late signal): this row never began.
                self._end()
                if last_try:
                    break
        raise RunnerUnavailable(_("The runner ended twice before the row began."))

    def close(self) -> None:
        """Ends the subprocess and all it started; the next run starts another."""
        with self._lock:
            self._end()

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self._end()

    def _ready(self) -> _Process:
        if self._process is not None and self._process.owner != os.getpid():
            self._process.forget()  # inherited by a fork: it is our parent's
            self._process = None
        if self._process is None:
            self._process = _Process(self._memory, self._extra)
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.owner == os.getpid():
            process.end()
        else:
            process.forget()

    def _attempt(self, process: _Process, job: Job, rest: Rest | None, limit: float) -> Outcome | None:
        """None where the process was gone before the row began; else the outcome, the process ended if it
        must."""
        self._number += 1
        row = _Row(self._number, rest, time.monotonic() + limit, limit)
        try:
            outcome = row.begin(process, job) or row.follow(process)
        except OutOfTime:
            outcome = Outcome(
                False, "time_limit", sentence=_("The robot ran longer than %g seconds.") % limit
            )
            row.spoiled = True
        except Closed:
            if not row.started:
                return None
            outcome = process.died()
            row.spoiled = True
        except BaseException:
            self._end()  # mid-row: what it would say next belongs to nobody
            raise
        outcome.lines = row.lines
        outcome.revision = outcome.revision or row.revision
        if row.spoiled or (not outcome.ok and outcome.cause == "memory"):
            self._end()
        return outcome


class _Row:
    """One job on its way: its deadline, what it has said so far."""

    def __init__(self, number: int, rest: Rest | None, deadline: float, limit: float) -> None:
        self.number, self.rest, self.deadline, self.limit = number, rest, deadline, limit
        self.lines: list[str] = []
        self.revision = ""
        self.started = False
        self.spoiled = False

    def begin(self, process: _Process, job: Job) -> Outcome | None:
        """Hands the job over; how it ended where it can't be. Raises Closed, OutOfTime."""
        try:
            send(process.channel, {"n": self.number, **job.as_frame()}, self.deadline)
        except ValueError:
            sentence = _("The call's fields are too large for the runner.")
            return Outcome(False, "input_wrong", sentence=sentence)
        return None

    def follow(self, process: _Process) -> Outcome:
        """Until the outcome. Raises Closed, OutOfTime, and what `rest` raises that is no RestError."""
        while True:
            now = time.monotonic()
            if now >= self.deadline:
                raise OutOfTime
            try:
                message = process.frames.receive(min(self.deadline, now + _LOOK_SECONDS))
            except OutOfTime:
                if process.too_large():
                    self.spoiled = True
                    return Outcome(False, "memory", sentence=_("The robot ran out of memory."))
                continue
            if message.get("n") != self.number:
                continue
            if "started" in message:
                self.started, self.revision = True, str(message["started"])
            elif "line" in message:
                self.lines.append(str(message["line"]))
            elif "rest" in message:
                self._serve(process, message["rest"])
            elif "outcome" in message:
                # A process that robot code left behind must not live into the next row.
                self.spoiled = bool(message.get("stray"))
                return Outcome(**message["outcome"])

    def _serve(self, process: _Process, request: Any) -> None:
        method, params = request
        answer: dict[str, Any]
        try:
            if self.rest is None:
                answer = {"error": ["NO_PORTAL", "No portal is at hand.", None]}
            else:
                answer = {"result": self.rest(method, params)}
        except RecursionError:
            answer = {"error": ["NOT_SENT", "The request is nested too deeply.", None]}
        except Exception as error:
            code, text = getattr(error, "code", None), getattr(error, "text", None)
            if not isinstance(code, str) or not isinstance(text, str):
                raise
            more = getattr(error, "retry_after", None), getattr(error, "waits_for", "")
            answer = {"error": [code, text, *more]}
        try:
            send(process.channel, answer, max(self.deadline, time.monotonic() + 0.001))
        except (ValueError, RecursionError):
            too_large = {"error": ["TOO_LARGE", _("The answer is too large for the runner."), None]}
            send(process.channel, too_large, self.deadline)


class _Process:
    """The guard, and behind it the computing process; raises RunnerUnavailable where it does not come up."""

    def __init__(self, memory: int, extra: Mapping[str, str]) -> None:
        self.owner = os.getpid()
        self.channel, job_end = socket.socketpair()
        self.life, life_end = socket.socketpair()
        self.frames = Frames(self.channel)
        with job_end, life_end:
            numbers = (job_end.fileno(), life_end.fileno(), self.owner, memory // (1024 * 1024))
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "robots.runner_child", *map(str, numbers)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=_ROOT,
                env=runner_environment(extra),
                pass_fds=numbers[:2],
                start_new_session=True,
            )
        self.worker = self._wait_until_ready()
        self._memory = memory
        self._most = resident_bytes(self.worker) + memory

    def _wait_until_ready(self) -> int:
        try:
            message = self.frames.receive(time.monotonic() + _START_SECONDS)
        except OutOfTime:
            self.end()
            raise RunnerUnavailable(
                _("The runner did not start within %g seconds.") % _START_SECONDS
            ) from None
        except Closed:
            said = self.status()
            self.end()
            raise RunnerUnavailable(_("The runner ended while it started (%s).") % said) from None
        except BaseException:
            self.end()
            raise
        if "ready" not in message:
            self.end()
            raise RunnerUnavailable(_("The runner could not start: %s") % message.get("broken", ""))
        return int(message["ready"])

    def too_large(self) -> bool:
        """Where the system has no address space limit, or threads and mappings went around it."""
        return resident_bytes(self.worker) > self._most

    def status(self) -> str:
        """How the computing process ended, as the guard tells it: "exit 3", "signal 11", "" unknown."""
        self.life.settimeout(1.0)
        try:
            return self.life.recv(64).decode("ascii", "replace")
        except OSError:
            return ""

    def died(self) -> Outcome:
        """The outcome of a row whose process went away under it."""
        how, _space, number = self.status().partition(" ")
        if how == "signal" and number.isdigit():
            with contextlib.suppress(ValueError):
                number = signal.Signals(int(number)).name
            sentence = _("The robot's process was ended by %s.") % number
        elif how == "exit":
            sentence = _("The robot ended its own process (exit status %s).") % number
        else:
            sentence = _("The robot's process ended.")
        return Outcome(False, "process_died", sentence=sentence)

    def end(self) -> None:
        end_session(self.popen.pid)
        self._close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(10)

    def forget(self) -> None:
        """In a fork: our copies of the pipe's ends would keep the parent's runner alive."""
        self._close()
        self.popen.returncode = 0  # else Popen warns that a process which is not ours still runs

    def _close(self) -> None:
        self.channel.close()
        self.life.close()


@atexit.register
def _close_all() -> None:
    for runner in list(_live):
        # Without its lock: a daemon thread may hold it for as long as its row runs.
        with contextlib.suppress(Exception):
            runner._end()
