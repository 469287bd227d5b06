"""How processes start, stop and die: signals, parents, files left behind, a broker that hangs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from tests.system import life
from tests.system.hub import Hub, running
from tests.system.processes import ROOT, Process, until
from tests.system.servers import STACKS, Stack

pytestmark = pytest.mark.system


@pytest.fixture
def hub(stack: Stack) -> Iterator[Hub]:
    with running(stack) as made:
        yield made


@pytest.fixture
def small() -> Iterator[Hub]:
    """What does not depend on the stack, on the one that is always there."""
    with running(STACKS[0]) as made:
        made.manage("migrate", "--verbosity", "0")
        yield made


# Celery keeps its children in one of two ways, by whether the broker has an event loop.
@pytest.mark.parametrize("stack", STACKS[:2], ids=str, indirect=True)
def test_no_process_outlives_its_parent(hub: Hub) -> None:
    hub.start()
    life.make_application(hub)
    life.install(hub, "alfa", "event")
    life.publish_and_push(hub)
    # A runner is started by its first call.
    life.arrives(hub, "alfa", "phone", number="8 (495) 123-45-67")
    for process in (hub.worker, hub.web, hub.beat):
        process.kill()
    hub.sandbox.stop()
    until(lambda: not hub.left(), "what the killed processes had started is gone", 30)


@pytest.mark.parametrize("stack", STACKS[:1], ids=str, indirect=True)
def test_a_second_beat_is_harmless_and_leaves_no_file(hub: Hub) -> None:
    before = {path.name for path in ROOT.iterdir()}
    hub.start()
    second = Process("beat2", hub.beat.command, hub.environment, hub.folder).start()
    try:
        life.make_application(hub)
        life.install(hub, "alfa", "event")
        life.publish_and_push(hub)
        life.arrives(hub, "alfa", "phone", number="8 (495) 123-45-67")
        assert hub.control.stats("alfa")["sends"] == 1
        assert hub.beat.alive and second.alive
        assert second.stop() == hub.beat.stop() == 0
    finally:
        second.end()
    assert {path.name for path in ROOT.iterdir()} - before <= {"__pycache__"}
    assert {path.name for path in hub.folder.glob("*beat*")} == {"beat.log", "beat2.log"}


@pytest.mark.parametrize("stack", STACKS[:1], ids=str, indirect=True)
def test_a_killed_child_takes_nothing_along_that_the_others_need(hub: Hub) -> None:
    """Children wait for work in turn; one of them is killed while it is its turn."""
    hub.start()
    life.make_application(hub)
    life.install(hub, "alfa", "event")
    life.publish_and_push(hub)
    before = hub.worker.children()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: pid not in hub.worker.children(), "the killed child is gone")
    until(lambda: len(hub.worker.children()) >= len(before), "others were put in their place")
    life.arrives(hub, "alfa", "phone", number="8 (495) 123-45-67")


def test_processes_follow_a_parent_that_is_killed(small: Hub) -> None:
    starter = (
        "import subprocess, sys, time\n"
        "for words in (sys.argv[1].split(), sys.argv[2].split()):\n"
        "    subprocess.Popen(words, start_new_session=True)\n"
        "time.sleep(600)\n"
    )
    commands = [" ".join(small.web.command), " ".join(small.worker.command)]
    parent = Process(
        "parent", [sys.executable, "-c", starter, *commands], small.environment, small.folder
    ).start()
    try:
        until(small.answers, "the web process answers", 90)
        until(lambda: len(small.left()) >= 8, "the worker has its children", 90)
        parent.kill()
        until(lambda: not small.left(), "all that the parent had started is gone", 30)
    finally:
        parent.end()
        for line in small.left():
            os.kill(int(line.split()[0]), signal.SIGKILL)


def test_a_broker_that_hangs_is_told_and_hinders_nobody(small: Hub) -> None:
    with socket.socket() as silent:
        # Takes connections and never says a word, like a stopped Redis.
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        small.environment["CELERY_BROKER_URL"] = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        small.start_web()
        ready = requests.get(f"{small.url}/readyz", timeout=30)
        assert ready.status_code == 200
        assert (ready.json()["broker"], ready.json()["status"]) == ("no answer", "degraded")
        assert (
            requests.get(f"{small.url}/readyz", headers={"X-Forwarded-For": "192.0.2.1"}, timeout=30).text
            == "ready\n"
        )
        # Its probe still waits for the broker; the end must not.
        small.web.stop()


@pytest.mark.parametrize("name", ["SECRET_KEY", "ENCRYPTION_KEYS", "PUBLIC_URL"])
def test_what_production_needs_is_asked_for_by_name(small: Hub, name: str) -> None:
    del small.environment[name]
    small.web.start()
    assert small.web.wait(60) != 0
    assert f"{name} is not set. Set " in small.web.tail()
    told = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env=small.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert told.returncode != 0
    assert f"{name} is not set. Set " in told.stderr


def test_a_command_line_bind_wins(small: Hub) -> None:
    assert 'bind = "127.0.0.1:8000"' in (ROOT / "gunicorn.conf.py").read_text()
    small.start_web()
    assert f"Listening at: {small.url} " in small.web.log.read_text()
