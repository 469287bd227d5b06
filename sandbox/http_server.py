"""A small threaded HTTP/1.1 server: kept-alive connections,
no query in any log, and answers that may be dropped on order."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from sandbox import php_forms

MAX_BODY = 16 * 1024 * 1024


@dataclass
class Request:
    """What came in, with its parameters read the way the platform reads them:
    query, then form or JSON over it."""

    verb: str
    path: str
    query: str
    host: str
    headers: dict[str, str]
    body: bytes
    peer: str
    is_json: bool = False

    def params(self) -> dict[str, Any]:
        found = php_forms.parse(self.query) if self.query else {}
        if self.body:
            if self.is_json:
                found.update(php_forms.read_json(self.body))
            else:
                found.update(php_forms.parse(self.body.decode("utf-8", "replace")))
        return found

    @property
    def hostname(self) -> str:
        return self.host.rsplit(":", 1)[0] if not self.host.endswith("]") else self.host


@dataclass
class Reply:
    """An answer; ``after`` runs once it is written (or dropped),
    ``drop`` closes the connection without a word."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    after: list[Callable[[], None]] = field(default_factory=list)
    drop: bool = False


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def html_reply(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode(), "text/html; charset=utf-8")


def redirect(where: str, status: int = 302) -> Reply:
    reply = html_reply("<!doctype html><title>Moved</title><p>Moved.", status)
    reply.headers["Location"] = where
    return reply


Answer = Callable[[Request], Reply]


class Handler(BaseHTTPRequestHandler):
    """One connection; the application is the server's ``answer``."""

    protocol_version = "HTTP/1.1"
    server_version = "Sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    timeout = 120
    server: SandboxServer

    def respond(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.close_connection = True
            return self.write(json_reply({"error": "a request needs a Content-Length"}, 411))
        if int(length) > MAX_BODY:
            self.close_connection = True
            return self.write(json_reply({"error": "the request is too large"}, 413))
        body = self.rfile.read(int(length)) if length != "0" else b""
        path, _, query = self.path.partition("?")
        request = Request(
            verb=self.command,
            path=unquote(path),
            query=query.partition("#")[0],
            host=self.headers.get("Host", ""),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            peer=self.client_address[0],
            is_json="json" in self.headers.get("Content-Type", ""),
        )
        try:
            reply = self.server.answer(request)
        except Exception as error:  # the sandbox itself went wrong: say so, without the request's contents
            where = traceback.extract_tb(error.__traceback__)[-1]
            sys.stderr.write(
                f"sandbox: {type(error).__name__} in {where.name}, {where.filename}:{where.lineno}\n"
            )
            reply = json_reply(
                {"error": "SANDBOX_BROKEN", "error_description": f"{type(error).__name__}"}, 500
            )
        try:
            self.write(reply)
        finally:
            for action in reply.after:
                action()

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = respond

    def write(self, reply: Reply) -> None:
        if reply.drop:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            return
        head = [f"HTTP/1.1 {reply.status} {self.responses.get(reply.status, ('Answer',))[0]}"]
        head.append(f"Content-Type: {reply.content_type}")
        head.append(f"Content-Length: {len(reply.body)}")
        head.extend(f"{name}: {value}" for name, value in reply.headers.items())
        if self.close_connection:
            head.append("Connection: close")
        text = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1", "replace")
        try:
            self.wfile.write(text if self.command == "HEAD" else text + reply.body)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a request line holds a query, and a query may hold a token (§2)."""


class SandboxServer(ThreadingHTTPServer):
    """The listening socket: a long backlog for bursts, daemon threads so that the end is prompt."""

    request_queue_size = 1024
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], answer: Answer, tls: ssl.SSLContext | None) -> None:
        self.answer = answer
        super().__init__(address, Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""
        error = sys.exc_info()[1]
        if not isinstance(error, (OSError, ValueError)):
            sys.stderr.write(f"sandbox: {type(error).__name__} on a connection\n")
