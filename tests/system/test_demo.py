"""`make demo`: the scenario, twice, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.system.processes import MARK, Process, free_port, marked, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(420)]


class Demo:
    """`scripts/demo.py` with everything it keeps in a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mark = folder, secrets.token_hex(8)
        kept = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ
        }
        self.environment = {
            **kept,
            MARK: self.mark,
            "DEMO_VAR": str(folder),
            "PORT": str(free_port()),
            "SANDBOX_PORT": str(free_port()),
            "WORKER_CONCURRENCY": "3",
            "PYTHONUNBUFFERED": "1",
        }

    def start(self, **settings: str) -> Process:
        environment = {**self.environment, **settings}
        return Process("demo", [sys.executable, "scripts/demo.py"], environment, self.folder).start()

    def left(self) -> list[str]:
        return marked(self.mark)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo(tmp_path)
    yield made
    for line in made.left():
        os.kill(int(line.split()[0]), signal.SIGKILL)


def test_once_and_again_every_result_arrives_and_nothing_stays(demo: Demo) -> None:
    # A random secret begins with a dash once in sixty-four times, and then looked like an option.
    keys = demo.folder / "demo" / "keys.json"
    keys.parent.mkdir(0o700)
    keys.touch(0o600)
    made = {name: secrets.token_urlsafe(40) for name in ("SECRET_KEY", "ENCRYPTION_KEYS")}
    keys.write_text(json.dumps({**made, "CLIENT_SECRET": f"-{secrets.token_urlsafe(30)}"}))
    before: list[object] = []
    for round_ in range(2):
        process = demo.start(ONCE="1")
        assert process.wait(180) == 0, process.tail(80)
        assert demo.left() == []
        with closing(sqlite3.connect(demo.folder / "demo" / "hub.sqlite3")) as database:
            if round_ == 0:
                # A draft that a person is in the middle of.
                database.execute("UPDATE robots_robot SET subscription = 'choice' WHERE code = 'full_name'")
                database.commit()
            rows = [
                database.execute(query).fetchall()
                for query in (
                    "SELECT code, subscription FROM robots_robot ORDER BY code",
                    "SELECT code, number FROM robots_robotversion ORDER BY id",
                    "SELECT id FROM robots_push ORDER BY id",
                    "SELECT id, wanted_version_id, pushed_version_id FROM robots_registration ORDER BY id",
                )
            ]
            assert rows == (before or rows), "a second run leaves drafts, versions and pushes alone"
            before = rows
    told = process.log.read_text()
    assert told.count("16 of 16 results arrived.") == 2
    assert "850.43" in told
    # Its keys and the password are nobody else's to read; both runs speak of the same superuser.
    for name in ("keys.json", "admin-password", "hub.sqlite3"):
        assert stat.S_IMODE((demo.folder / "demo" / name).stat().st_mode) == 0o600
    assert {path.stem for path in (demo.folder / "log").glob("*.log")} == {"web", "worker", "beat", "sandbox"}


def test_it_stays_up_until_it_is_told_and_ends_all(demo: Demo) -> None:
    process = demo.start()
    process.until_answers(lambda: "Ctrl-C ends everything." in process.log.read_text(), "the demo is up")
    told = process.log.read_text()
    assert "admin, password " in told and f":{demo.environment['PORT']}/admin/" in told
    # A portal of the other region names the other token server.
    control = f"http://127.0.0.1:{demo.environment['SANDBOX_PORT']}/control"
    for path, body in (
        ("portals", {"name": "gamma", "server": "ru"}),
        ("portals/gamma/install", {"client_id": "app.demo", "way": "frame"}),
    ):
        answer = requests.post(f"{control}/{path}", json=body, timeout=60)
        assert answer.json().get("status", 200) == 200, answer.text
    process.signal(signal.SIGINT)
    assert process.wait(25) == 0
    assert demo.left() == []


def test_killed_it_leaves_nothing_behind(demo: Demo) -> None:
    process = demo.start()
    process.until_answers(lambda: "Ctrl-C ends everything." in process.log.read_text(), "the demo is up")
    process.kill()
    until(lambda: not demo.left(), "what the demo had started is gone", 30)


def test_one_port_for_both_is_a_sentence(demo: Demo) -> None:
    process = demo.start(PORT="8000", SANDBOX_PORT="8000")
    assert process.wait(30) == 1
    said = "PORT and SANDBOX_PORT are both 8000; give each its own: make demo SANDBOX_PORT=8100"
    assert process.log.read_text().strip() == said


@pytest.mark.parametrize("name", ["PORT", "SANDBOX_PORT"])
def test_a_taken_port_is_a_sentence(demo: Demo, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(demo.environment[name])))
        taken.listen()
        process = demo.start(ONCE="1")
        assert process.wait(60) == 1
    number = int(demo.environment[name])
    assert (
        process.log.read_text()
        == f"Port {number} is taken. Choose another one: make demo {name}={number + 100}\n"
    )


def test_a_port_that_is_none_is_a_sentence(demo: Demo) -> None:
    process = demo.start(ONCE="1", PORT="http")
    assert process.wait(60) == 1
    assert process.log.read_text() == "PORT is 'http'; write a number from 1 to 65535.\n"
