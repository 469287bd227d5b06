"""Real processes: start, kill, wait. For system tests, drills and benchmarks alike."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
# A machine with one busy core starts everything well within this.
START_SECONDS = 90.0
# SIGTERM ends each process within ten seconds where nothing runs (design §3).
STOP_SECONDS = 10.0
# In every process's environment, so that what is left behind can be found, its children's children too.
MARK = "B24_TEST_MARK"
_Found = TypeVar("_Found")


def until(question: Callable[[], _Found], what: str, seconds: float = 60.0) -> _Found:
    """Asks until the answer is true, and returns it. Fails with `what` when it never is."""
    deadline = time.monotonic() + seconds
    while True:
        found = question()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s; the last answer was {found!r}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Process:
    """One started process with its log; it leads a session of its own."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.name, self.command, self.environment = name, command, environment
        self.log = folder / f"{name}.log"
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> Process:
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def signal(self, number: int) -> None:
        """To the process itself, not to its children: how those end is what tests ask."""
        if self.alive:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and waits until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait(STOP_SECONDS)

    def wait(self, seconds: float) -> int:
        assert self._popen is not None
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {seconds:.0f} s\n{self.tail()}") from None

    def stop(self) -> int:
        """SIGTERM as an operator would; the exit status. Fails where it does not end in time."""
        self.signal(signal.SIGTERM)
        return self.wait(STOP_SECONDS)

    def end(self) -> None:
        """Whatever it takes, its whole session: for the end of a test, not for what it asserts."""
        if self._popen is None:
            return
        try:
            if self.alive:
                os.kill(self.pid, signal.SIGTERM)
                self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._popen.wait()

    def tail(self, lines: int = 40) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"--- {self.name}, its log's end:\n" + "\n".join(text.splitlines()[-lines:])

    def until_answers(self, question: Callable[[], Any], what: str) -> Any:
        """`until`, ended early by the process's own end."""

        def asked() -> Any:
            if not self.alive:
                raise AssertionError(f"{self.name} ended while it was started\n{self.tail()}")
            return question()

        try:
            return until(asked, what, START_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def children(self) -> list[int]:
        found = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True)
        return [int(line) for line in found.stdout.split()]


def marked(mark: str) -> list[str]:
    """`pid command` of every living process whose environment holds the mark; zombies don't count."""
    found = []
    if Path("/proc/self/environ").exists():
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                    found.append(
                        f"{folder.name} {(folder / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()}"
                    )
            except OSError:
                continue
        return found
    listed = subprocess.run(["ps", "-axEww", "-o", "pid=,command="], capture_output=True, text=True).stdout
    return [line[:200] for line in listed.splitlines() if f"{MARK}={mark}" in line]
