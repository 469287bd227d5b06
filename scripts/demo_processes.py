"""The demo's processes.

Each leads a session of its own, so that Ctrl-C reaches the demo alone and it ends them in order; each follows
the demo, so that nothing stays where the demo itself is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Stopped(Exception):
    """The demo ends: asked to where it has no text, else because of what the text says."""


class Processes:
    def __init__(self, logs: Path, environment: dict[str, str]) -> None:
        self._logs = logs
        self._environment = {**environment, "EXIT_WITH_PARENT": "1"}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *words: str) -> None:
        """`python -m words`; its output goes to the log of its name, the former one is kept as `.old`."""
        log = self._logs / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.old"))
        with log.open("ab") as output:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def until(self, answers: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Raises Stopped where it does not come true in time, or one of the processes ends meanwhile."""
        deadline = time.monotonic() + seconds
        while not answers():
            self.check()
            if time.monotonic() > deadline:
                raise Stopped(f"{what} did not happen within {seconds:.0f} s; see the logs in {self._logs}.")
            time.sleep(0.1)

    def check(self) -> None:
        """Raises Stopped with the log's end where a process is gone."""
        for name, process in self._running.items():
            if process.poll() is not None:
                log = self._logs / f"{name}.log"
                lines = log.read_text(errors="replace").splitlines()[-15:]
                raise Stopped("\n".join([*lines, f"The {name} process ended; its log is {log}."]))

    def watch(self) -> None:
        """Returns never: until a signal, or until a process is gone."""
        while True:
            self.check()
            time.sleep(0.5)

    def end(self) -> None:
        """SIGTERM to all, SIGKILL after ten seconds to what is left of their sessions."""
        for process in self._running.values():
            if process.poll() is None:
                os.kill(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # nothing is left of it
                pass
            process.wait()
