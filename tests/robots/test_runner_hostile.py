"""Robot code that hangs, eats, dies or forks: its own row ends with the right cause, no other is harmed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from robots.runner import Runner
from tests.robots.runner_jobs import APPS, end, gone, job

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and a subreaper")


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner(memory_mb=128, environment=APPS) as runner:
        yield runner


@pytest.fixture(autouse=True)
def _works_afterwards(runner: Runner) -> Iterator[None]:
    """Whatever a row did: the next one is computed."""
    yield
    assert runner.run(job("discount")).values == {"total": "900.45"}


def test_an_endless_loop_is_killed(runner: Runner) -> None:
    outcome = runner.run(job("loops"), time_limit=0.3)
    assert (outcome.ok, outcome.cause) == (False, "time_limit")
    assert outcome.lines == ["looping"]
    assert outcome.revision
    assert "0.3 seconds" in outcome.sentence


def test_a_hang_in_c_is_killed(runner: Runner) -> None:
    outcome = runner.run(job("hangs_in_c"), time_limit=0.3)
    assert outcome.cause == "time_limit"
    assert gone(int(outcome.lines[0].split()[1]))


def test_time_runs_while_the_portal_is_asked(runner: Runner) -> None:
    def rest(method: str, params: object) -> object:
        threading.Event().wait(0.4)
        return {"TITLE": "late"}

    assert runner.run(job("rest"), rest, time_limit=0.3).cause == "time_limit"


def test_memory_is_bounded(runner: Runner) -> None:
    outcome = runner.run(job("eats_memory"), time_limit=30)
    assert outcome.cause == "memory"


@LINUX
def test_memory_is_watched_where_no_limit_holds() -> None:
    """As on macOS, where RLIMIT_AS does nothing: the parent looks at what is resident."""
    with Runner(memory_mb=4096, environment=APPS) as small:
        small.run(job("pid"))
        process = small._process
        assert process is not None
        process._most -= (4096 - 32) * 1024 * 1024
        outcome = small.run(job("eats_slowly"), time_limit=20)
        assert (outcome.cause, outcome.error) == ("memory", {}), "seen from outside, not by the interpreter"


def test_os_exit(runner: Runner) -> None:
    outcome = runner.run(job("os_exit"))
    assert outcome.cause == "process_died"
    assert outcome.lines == ["last words"]
    assert "exit status 3" in outcome.sentence


def test_segfault(runner: Runner) -> None:
    outcome = runner.run(job("segfault"))
    assert outcome.cause == "process_died"
    assert "SIGSEGV" in outcome.sentence


def test_only_one_side_of_a_fork_is_heard(runner: Runner) -> None:
    for _ in range(3):
        assert runner.run(job("forks")).values == {"text": "parent"}


def test_writing_on_every_descriptor(runner: Runner) -> None:
    outcome = runner.run(job("scribbles"), time_limit=5)
    assert outcome.cause in ("process_died", "time_limit")


def test_closing_every_descriptor(runner: Runner) -> None:
    assert runner.run(job("closes_all"), time_limit=5).cause == "process_died"


def test_stopping_itself(runner: Runner) -> None:
    assert runner.run(job("stops"), time_limit=0.3).cause == "time_limit"


def test_ending_its_guard(runner: Runner) -> None:
    assert runner.run(job("kills_guard"), time_limit=5).cause == "process_died"


def test_a_signal_to_its_group(runner: Runner) -> None:
    assert runner.run(job("kills_group"), time_limit=5).cause == "process_died"


@LINUX
@pytest.mark.parametrize("away", ["N", "Y"])
def test_processes_left_behind_end_with_the_row(runner: Runner, away: str) -> None:
    outcome = runner.run(job("leaves_process", inputs={"away": away}))
    assert outcome.ok
    assert gone(int(outcome.values["text"]))


@LINUX
def test_daemons_end_with_the_row(runner: Runner) -> None:
    outcome = runner.run(job("orphan"))
    assert outcome.ok
    assert gone(int(outcome.values["text"]))


@LINUX
def test_processes_of_a_hanging_row_end_with_it(runner: Runner) -> None:
    outcome = runner.run(job("process_then_hang"), time_limit=0.5)
    assert outcome.cause == "time_limit"
    assert all(gone(int(pid)) for pid in outcome.lines[0].split())


PARENT = """
import os, sys, threading
import django
django.setup()
from robots.runner import Runner
from tests.robots.runner_jobs import APPS, job

runner = Runner(environment=APPS)
first = runner.run(job("pid")).values["text"]

class Say(list):
    def append(self, line):
        print(line, runner.pid, first, flush=True)

import robots.runner
original = robots.runner._Row.__init__
def told(self, *a):
    original(self, *a)
    self.lines = Say()
robots.runner._Row.__init__ = told
heir = os.fork() if sys.argv[1] == "inherited" else None
if heir == 0:
    threading.Event().wait(60)
    os._exit(0)
if sys.argv[1] in ("idle", "inherited"):
    print(heir or first, first, runner.pid, flush=True)
    threading.Event().wait()
runner.run(job(sys.argv[1]), time_limit=600)
"""


def _parent(mode: str, how: Callable[[subprocess.Popen[str]], None]) -> list[int]:
    """Starts a process with a runner in `mode`, ends it by `how`: the ids of computing, its child, guard."""
    environment = {**os.environ, **APPS, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, mode], env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        line = parent.stdout.readline()
        assert line.strip(), "the parent did not come up"
        how(parent)
        parent.wait(20)
    return [int(word) for word in line.split()]


@LINUX
@pytest.mark.parametrize("mode", ["idle", "process_then_hang"])
def test_kill_9_of_the_parent_leaves_nobody(mode: str) -> None:
    """Idle, and in a row that holds the interpreter lock in C and has started a process of its own."""
    pids = _parent(mode, lambda parent: parent.kill())
    try:
        assert len(set(pids)) >= 2
        assert all(gone(pid) for pid in pids)
    finally:
        for pid in set(pids):
            end(pid)


@LINUX
def test_a_child_of_the_parent_that_inherited_the_pipe_keeps_nobody() -> None:
    """The end of input never comes then: the guard sees that its parent is another."""
    heir, *pids = _parent("inherited", lambda parent: parent.kill())
    try:
        assert all(gone(pid) for pid in pids)
    finally:
        end(heir)


@LINUX
def test_a_terminated_parent_leaves_nobody() -> None:
    pids = _parent("idle", lambda parent: parent.send_signal(signal.SIGTERM))
    assert all(gone(pid) for pid in pids)
