"""A whole hub and a sandbox beside it, as real processes on a part of a stack that is theirs alone."""

from __future__ import annotations

import json
import os
import re
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import requests

from tests.system import servers
from tests.system.processes import MARK, ROOT, Process, free_port, marked
from tests.system.sandbox_control import SandboxControl
from tests.system.servers import Stack


class Hub:
    """A hub's web, worker and beat, and a sandbox, in one folder, on free ports.

    `environment` is what all of them and `manage.py` get; nothing of the caller's own settings reaches them.
    """

    def __init__(self, stack: Stack, folder: Path, part: dict[str, str], **settings: str) -> None:
        self.stack, self.folder = stack, folder
        self.mark = secrets.token_hex(8)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {
            name: os.environ[name]
            for name in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
            if name in os.environ
        }
        self.environment = {
            **kept,
            MARK: self.mark,
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            "EXIT_WITH_PARENT": "1",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "ENCRYPTION_KEYS": secrets.token_urlsafe(40),
            "PUBLIC_URL": self.url,
            "SPOOL_DIR": str(folder / "spool"),
            "WORKER_CONCURRENCY": "3",
            "B24_ALLOW_HTTP": "on",
            "ROBOT_APPS": "demo.demo_robots",
            **part,
            **settings,
        }
        python = sys.executable
        celery = [python, "-m", "celery", "-A", "b24app"]
        self.sandbox = self._process(
            "sandbox",
            [
                python,
                "-m",
                "sandbox",
                "--port",
                "0",
                "--west-port",
                "0",
                "--ru-port",
                "0",
                "--no-snapshot",
                "--die-with-parent",
            ],
        )
        self.web = self._process(
            "web", [python, "-m", "gunicorn", "b24app.wsgi", "--bind", f"127.0.0.1:{self.port}"]
        )
        self.worker = self._process(
            "worker", [*celery, "worker", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        )
        self.beat = self._process("beat", [*celery, "beat"])
        self.control: SandboxControl

    def _process(self, name: str, command: list[str]) -> Process:
        return Process(name, command, self.environment, self.folder)

    @property
    def processes(self) -> list[Process]:
        return [self.web, self.worker, self.beat, self.sandbox]

    def start_sandbox(self) -> SandboxControl:
        """First of all: the token servers' addresses go into the hub's environment."""
        self.sandbox.start()

        def address() -> str:
            told = re.search(r"sandbox listening on (\S+)", self.sandbox.log.read_text(errors="replace"))
            return told[1] if told else ""

        self.control = SandboxControl(self.sandbox.until_answers(address, "the sandbox tells its address"))
        told = self.control.get("info")
        self.environment["B24_OAUTH_URLS"] = ",".join(told["servers"][name]["url"] for name in ("west", "ru"))
        self.environment["B24_JS_URL"] = told["js"]
        return self.control

    def start_web(self) -> None:
        self.web.start()
        self.web.until_answers(self.answers, "the web process answers")

    def start_worker(self) -> None:
        """Its children are what works; their number is how its readiness shows."""
        self.worker.start()
        wanted = int(self.environment["WORKER_CONCURRENCY"])
        self.worker.until_answers(
            lambda: len(self.worker.children()) >= wanted, "the worker has its children"
        )

    def start_beat(self) -> None:
        self.beat.start()

    def start(self) -> Hub:
        """Everything a hub is, in the order that a person would follow."""
        self.start_sandbox()
        self.manage("migrate", "--verbosity", "0")
        self.start_web()
        self.start_worker()
        self.start_beat()
        return self

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def manage(self, *words: str, text: str | None = None, status: int | None = 0) -> str:
        """Runs a command; its standard output. Fails where the exit status is another (None: any)."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            env=self.environment,
            cwd=ROOT,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if status is not None and done.returncode != status:
            raise AssertionError(
                f"manage.py {' '.join(words)} ended with {done.returncode}, not {status}\n"
                f"{done.stdout}{done.stderr}"
            )
        return done.stdout

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database holds, past every cache and layer of ours."""
        url = self.environment["DATABASE_URL"]
        if url.startswith("sqlite"):
            connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20)
            try:
                return connection.execute(statement).fetchall()
            finally:
                connection.close()
        with psycopg.connect(url, autocommit=True) as session:
            return session.execute(statement.encode()).fetchall()

    def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(requests.get(f"{self.url}/readyz", timeout=15).text)
        return found

    def tails(self) -> str:
        return "\n".join(process.tail(25) for process in self.processes)

    def left(self) -> list[str]:
        """Processes that carry this hub's mark: none after `end`."""
        return marked(self.mark)

    def end(self) -> None:
        for process in (self.beat, self.worker, self.web, self.sandbox):
            process.end()


@contextmanager
def running(stack: Stack, **settings: str) -> Iterator[Hub]:
    """A hub on its own part of the stack, not started; ended, and its logs shown, whatever happens inside."""
    with ExitStack() as whole:
        folder = Path(whole.enter_context(servers.temporary_folder()))
        part = whole.enter_context(servers.own_part(stack, folder))
        hub = Hub(stack, folder, part, **settings)
        try:
            yield hub
        except BaseException:
            print(hub.tails())
            raise
        finally:
            hub.end()
