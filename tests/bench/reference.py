"""What everybody does today: one `bizproc.event.send` a request, as fast as the portal's bucket lets it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from tests.system.sandbox_control import SandboxControl

CLIENT_ID, SECRET, NAME = "app.reference", "a-secret-of-the-reference", "reference"
# The portal's own limit (contract §4), and no more.
BURST, RATE = 50, 2.0


def one_by_one(control: SandboxControl, results: int) -> dict[str, Any]:
    """Answers `results` processes of a portal of its own; {"results", "seconds", "requests", "limit_503"}."""
    member_id = control.portal(NAME)
    assert member_id
    control.post(
        "apps", client_id=CLIENT_ID, client_secret=SECRET, scope="bizproc", redirect_url="http://127.0.0.1/"
    )
    with _door() as (url, tokens):
        access, endpoint = _tokens(control)
        session = requests.Session()
        session.trust_env = False

        def ask(method: str, **params: Any) -> int:
            return session.post(
                f"{endpoint}{method}", json={"auth": access, **params}, timeout=30
            ).status_code

        made = ask(
            "bizproc.robot.add",
            CODE="one",
            HANDLER=url,
            NAME={"en": "One"},
            USE_SUBSCRIPTION="Y",
            RETURN_PROPERTIES={"total": {"Name": {"en": "Total"}, "Type": "double"}},
        )
        assert made == 200, made
        # What the registration cost has drained.
        time.sleep(1.0)
        control.post(f"portals/{NAME}/burst", client_id=CLIENT_ID, code="one", count=results)
        began = time.monotonic()
        refused = 0
        for number in range(results):
            token = tokens.get(timeout=60)
            time.sleep(max(0.0, began + max(0, number + 1 - BURST) / RATE - time.monotonic()))
            while ask("bizproc.event.send", EVENT_TOKEN=token, RETURN_VALUES={"total": "1"}) == 503:
                refused += 1
                time.sleep(0.5)
        seconds = time.monotonic() - began
    told = control.stats(NAME)
    assert told["distinct"] == results, told
    return {
        "results": results,
        "seconds": round(seconds, 1),
        "requests": told["requests"],
        "limit_503": refused,
    }


def extrapolated(results: int) -> float:
    """Seconds that `results` take one a request: the burst at once, the rest at the portal's rate."""
    return max(0, results - BURST) / RATE


@contextmanager
def _door() -> Iterator[tuple[str, Queue[str]]]:
    """A handler's address; the event tokens that come there."""
    tokens: Queue[str] = Queue()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            tokens.put(form["event_token"][0])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: Any) -> None:
            """Nobody reads it."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        # A burst connects all at once, and a call that is refused is never made again.
        request_queue_size = 256

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/handler/", tokens
    finally:
        server.shutdown()
        server.server_close()


def _tokens(control: SandboxControl) -> tuple[str, str]:
    """(access token, REST address) by full OAuth, the codes carried by hand."""
    told = requests.get(
        f"{control.base}/p/{NAME}/oauth/authorize/",
        params={"client_id": CLIENT_ID, "state": "x"},
        allow_redirects=False,
        timeout=10,
    )
    code = parse_qs(urlsplit(told.headers["Location"]).query)["code"][0]
    server = control.get("info")["servers"]["west"]["url"]
    tokens = requests.post(
        f"{server}/oauth/token/",
        data={
            "grant_type": "authorization_code",
            "client_id": CLIENT_ID,
            "client_secret": SECRET,
            "code": code,
        },
        timeout=10,
    ).json()
    return tokens["access_token"], tokens["client_endpoint"]
