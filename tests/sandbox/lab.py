"""A running sandbox, an application on the other side of it, and the few words that the tests speak with."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests

ROOT = Path(__file__).parents[2]
OWN = "the lab's own"
NUMBERS = itertools.count(1)


def eventually(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Polls until ``check`` gives something true; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true within {seconds} s: {found!r}")
        time.sleep(0.01)


@dataclass
class Mail:
    """A form the sandbox sent: flat, with the brackets still in the names."""

    path: str
    query: dict[str, str]
    form: dict[str, str]
    body: str
    connection: tuple[str, int]


class Hub:
    """Answers for all applications of the tests; ``answers`` by path is (status, body, hold)."""

    def __init__(self) -> None:
        self.mail: list[Mail] = []
        self.answers: dict[str, tuple[int, str]] = {}
        self.holds: dict[str, threading.Event] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                parts = urlsplit(self.path)
                hub.mail.append(
                    Mail(
                        parts.path,
                        dict(parse_qsl(parts.query, keep_blank_values=True)),
                        dict(parse_qsl(text, keep_blank_values=True)),
                        text,
                        self.client_address,
                    )
                )
                if parts.path in hub.holds:
                    hub.holds[parts.path].wait(20)
                status, body = hub.answers.get(parts.path, (200, "ok"))
                data = body.encode()
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                self.wfile.write(head + data)

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 1024
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def at(self, path: str) -> list[Mail]:
        return [mail for mail in list(self.mail) if mail.path == path]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Process:
    """``python -m sandbox`` and its control API."""

    def __init__(self, *options: str) -> None:
        self.options = options
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("sandbox listening on "), line + (
            self.process.stderr.read() if not line else ""
        )
        self.base = line.split()[-1]
        self.web = requests.Session()
        self.web.trust_env = False
        self.web.verify = False

    def post(self, path: str, body: dict[str, Any] | None = None, status: int = 200) -> Any:
        return self._json("POST", path, body or {}, status)

    def get(self, path: str, status: int = 200) -> Any:
        return self._json("GET", path, None, status)

    def delete(self, path: str, status: int = 200) -> Any:
        return self._json("DELETE", path, None, status)

    def _json(self, verb: str, path: str, body: dict[str, Any] | None, status: int) -> Any:
        answer = self.web.request(verb, f"{self.base}/control/{path}", json=body, timeout=30)
        assert answer.status_code == status, answer.text
        return answer.json()

    def stop(self) -> tuple[int, str, str]:
        """SIGTERM; status and what was printed."""
        self.web.close()
        self.process.terminate()
        out, err = self.process.communicate(timeout=10)
        return self.process.returncode, out, err


@dataclass
class Answer:
    """A REST answer: status and JSON (None where it was none)."""

    status: int
    json: Any
    text: str
    headers: Any

    @property
    def result(self) -> Any:
        assert self.status == 200, self.text
        return self.json["result"]

    @property
    def error(self) -> tuple[int, Any, str]:
        return self.status, self.json["error"], self.json.get("error_description", "")


@dataclass
class Lab:
    """A fresh portal with a fresh application on it."""

    sandbox: Process
    hub: Hub
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        number = next(NUMBERS)
        self.name, self.client_id, self.secret = f"p{number}", f"app.{number}", f"secret-{number}"
        self.install_path, self.handler_path, self.event_path = f"/i{number}", f"/h{number}", f"/e{number}"
        self.handler, self.events = self.hub.url + self.handler_path, self.hub.url + self.event_path
        self.hub.answers[self.install_path] = (200, "<script>BX24.installFinish()</script>")
        self.portal = self.sandbox.post("portals", {"name": self.name, **self.settings})
        self.endpoint = self.portal["client_endpoint"]
        self.app(
            install_url=self.hub.url + self.install_path,
            main_url=f"{self.hub.url}/m{number}",
            client_secret=self.secret,
            redirect_url=f"{self.hub.url}/r{number}",
            scope="bizproc,crm,user",
        )
        self.install()

    def app(self, **changes: Any) -> Any:
        return self.sandbox.post("apps", {"client_id": self.client_id, **changes})

    def install(self, **more: Any) -> Any:
        """By frame; the tokens that came are the lab's from then on."""
        answer = self.control("install", client_id=self.client_id, **more)
        mail = self.hub.at(self.install_path)[-1]
        self.token, self.refresh = mail.form["AUTH_ID"], mail.form["REFRESH_ID"]
        return answer

    def control(self, path: str, expect: int = 200, **body: Any) -> Any:
        return self.sandbox.post(f"portals/{self.name}/{path}", body, expect)

    def set(self, **settings: Any) -> Any:
        return self.sandbox.post(f"portals/{self.name}", settings)

    def read(self, path: str) -> Any:
        return self.sandbox.get(f"portals/{self.name}/{path}")

    def stats(self) -> dict[str, float]:
        found: dict[str, float] = self.read("stats")
        return found

    def token_of(self, user: int) -> str:
        """An access token of another user of the portal: the page is opened by him."""
        self.control("open", client_id=self.client_id, user=user, url=self.hub.url + self.install_path)
        return self.hub.at(self.install_path)[-1].form["AUTH_ID"]

    def rest(self, method: str, params: Any = None, token: str | None = OWN, **more: Any) -> Answer:
        """POST as JSON with the token in the body; raises requests.ConnectionError where it is dropped."""
        body = dict(params or {})
        if token is not None:
            body["auth"] = self.token if token == OWN else token
        return self.raw("POST", self.endpoint + method, json=body, **more)

    def raw(self, verb: str, url: str, **more: Any) -> Answer:
        answer = self.sandbox.web.request(verb, url, timeout=30, allow_redirects=False, **more)
        try:
            value = answer.json()
        except ValueError:
            value = None
        return Answer(answer.status_code, value, answer.text, answer.headers)

    def batch(self, commands: dict[str, tuple[str, dict[str, Any]]], halt: int = 0) -> Any:
        packed = {key: f"{method}?{urlencode(flat(params))}" for key, (method, params) in commands.items()}
        return self.rest("batch", {"halt": halt, "cmd": packed}).result

    def robot(self, code: str = "discount", **changes: Any) -> Answer:
        body = {
            "CODE": code,
            "HANDLER": self.handler,
            "NAME": {"en": "Discount"},
            "AUTH_USER_ID": 1,
            "USE_SUBSCRIPTION": "Y",
            "PROPERTIES": {"amount": {"Name": "Amount", "Type": "double"}},
            "RETURN_PROPERTIES": {"total": {"Name": "Total", "Type": "double"}},
            **changes,
        }
        return self.rest(
            "bizproc.robot.add", {key: value for key, value in body.items() if value is not None}
        )

    def run(self, code: str = "discount", **more: Any) -> Any:
        """Starts a process and waits until its call has arrived; gives the process and the form."""
        process = self.control("run", client_id=self.client_id, code=code, **more)
        return process, self.call_of(process)

    def call_of(self, process: Any, number: int = 0) -> dict[str, str]:
        """The form of the process's call (the last that has come, but at least ``number`` before it)."""

        def found() -> Any:
            mails = [
                mail
                for mail in self.hub.at(self.handler_path)
                if mail.form.get("workflow_id") == process["id"]
            ]
            return mails[number].form if len(mails) > number else None

        form: dict[str, str] = eventually(found)
        return form

    def process(self, process: Any) -> Any:
        return self.read(f"processes/{process['id']}")

    def send(self, form: dict[str, str], values: Any = None, log: str | None = None) -> Answer:
        body: dict[str, Any] = {
            "EVENT_TOKEN": form["event_token"],
            "RETURN_VALUES": {"total": "1"} if values is None else values,
        }
        if log is not None:
            body["LOG_MESSAGE"] = log
        return self.rest("bizproc.event.send", body)

    def ended(self, process: Any, state: str = "finished") -> Any:
        """The process once it is in that state: background work comes right after the answer."""
        return eventually(lambda: found if (found := self.process(process))["state"] == state else None)


def flat(params: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """PHP brackets for a query string."""
    found: dict[str, Any] = {}
    for key, value in params.items():
        name = f"{prefix}[{key}]" if prefix else str(key)
        if isinstance(value, dict):
            found.update(flat(value, name))
        elif isinstance(value, list):
            found.update(flat({str(number): item for number, item in enumerate(value)}, name))
        else:
            found[name] = value
    return found


def raw_http(base: str, request: bytes) -> bytes:
    """Bytes over a socket of its own, for what no client would send."""
    parts = urlsplit(base)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while piece := connection.recv(65536):
            data += piece
        return data


def body_json(data: bytes) -> Any:
    return json.loads(data.partition(b"\r\n\r\n")[2])
