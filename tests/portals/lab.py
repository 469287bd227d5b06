"""The other side of these tests: a sandbox process, and a bare server where the sandbox can't lie so."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.system.sandbox_control import SandboxControl

ROOT = Path(__file__).resolve().parents[2]


class Sandbox(SandboxControl):
    """`python -m sandbox` with token servers on ports of their own, as in life."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "sandbox", "--port", "0", "--no-snapshot"),
                *("--west-port", "0", "--ru-port", "0", "--die-with-parent"),
                # Few, as in tests/handlers/rig.py.
                *("--threads", "8"),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "listening on" in line:
                super().__init__(line.split()[-1])
                return
        raise AssertionError(f"The sandbox did not start; it ended with {self.process.wait(10)}.")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(15)

    def delete(self, path: str) -> None:
        self._told(self.session.delete(f"{self.base}/control/{path}", timeout=60))

    @property
    def servers(self) -> list[str]:
        found = self.get("info")["servers"]
        return [found["west"]["url"], found["ru"]["url"]]

    def server_log(self, server: str = "west") -> list[dict[str, Any]]:
        """What the token server was asked, in order."""
        told = self.get(f"servers/{server}/log")
        items: list[dict[str, Any]] = told["items"] if isinstance(told, dict) else told
        return items

    def requests(self, name: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.get(f"portals/{name}/requests")["items"]
        return items


class Server:
    """Answers each POST by `reply(path, params) -> (status, body, headers)`; keeps what it was asked.

    `params` are the JSON or form fields. `reply` may be replaced by a test at any time.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.reply: Any = lambda path, params: (404, {"error": "ERROR_METHOD_NOT_FOUND"}, {})
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if "json" in self.headers.get("Content-Type", ""):
                    params = json.loads(raw)
                else:
                    params = {name: values[-1] for name, values in parse_qs(raw.decode()).items()}
                outer.asked.append((self.path, params))
                told = outer.reply(self.path, params)
                if told is None:
                    self.close_connection = True
                    return
                status, body, headers = told
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        self.base = f"http://127.0.0.1:{self.server.server_port}"

    def methods(self) -> list[str]:
        """The last part of each path asked."""
        return [path.rstrip("/").rsplit("/", 1)[-1] for path, _ in self.asked]

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def tokens(member_id: str, endpoint: str, number: int = 1) -> dict[str, Any]:
    """A token server's answer."""
    return {
        "access_token": f"access-{number}",
        "refresh_token": f"refresh-{number}",
        "expires_in": 3600,
        "client_endpoint": endpoint,
        "server_endpoint": "https://oauth.bitrix.info/rest/",
        "member_id": member_id,
        "user_id": 1,
        "scope": "bizproc,crm",
        "status": "L",
        "domain": "oauth.bitrix.info",
    }


def ok(result: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
    now = time.time()
    return 200, {"result": result, "time": {"start": now, "finish": now, "duration": 0.01}}, {}
