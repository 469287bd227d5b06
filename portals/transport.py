"""The one place where requests leave the hub.

Connections are kept (one session a thread), redirects are never followed, no proxy or credentials are taken
from the environment, times and sizes are bounded, and no transaction is open meanwhile (design §2 rule 6).
Tokens travel in bodies only, and what fails is told without them.
"""

from __future__ import annotations

import ipaddress
import json
import os
import threading
import time
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.db import connections
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as SocketTimeout

from portals.errors import Passes, PortalTrouble, RestError, UnknownAnswer
from portals.failpoint import failpoint
from portals.timely import TimelyAdapter, within

CONNECT_SECONDS = 5.0
MAX_BYTES = 8 * 1024 * 1024
_CHUNK = 64 * 1024

_local = threading.local()


@dataclass(frozen=True)
class Answer:
    """What came back: HTTP status, the body (at most MAX_BYTES), seconds it took."""

    status: int
    body: bytes
    seconds: float


def is_loopback(host: str) -> bool:
    """Whether `host` (no port) is this machine by its very name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_sandbox(url: str) -> bool:
    """Whether a portal's REST address is a sandbox's: on this machine, where such are spoken to at all."""
    return bool(settings.B24_ALLOW_HTTP) and is_loopback(urlsplit(url).hostname or "")


def check_url(url: str) -> None:
    """Raises PortalTrouble where `url` is not https; http serves loopback addresses with B24_ALLOW_HTTP
    alone.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    allowed = parts.scheme == "https" or (
        parts.scheme == "http" and settings.B24_ALLOW_HTTP and is_loopback(host)
    )
    if not host or not allowed or parts.username is not None:
        raise PortalTrouble("unreachable", "insecure_address", "The stored address is no https address.")


def post(
    url: str, *, data: dict[str, Any] | None = None, form: dict[str, str] | None = None, timeout: float = 30.0
) -> Answer:
    """Sends `data` as JSON, or `form` url-encoded; it ends within `timeout` seconds, answered or not.

    Raises Passes("unreachable") where nothing was sent, UnknownAnswer where it may have arrived,
    PortalTrouble for an address that is not allowed, RuntimeError inside a transaction.
    """
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            raise RuntimeError("A request to the outside inside a transaction would hold its locks.")
    check_url(url)
    body: bytes | dict[str, str]
    headers = {"Accept": "application/json"}
    if form is None:
        text = json.dumps(data or {}, ensure_ascii=False, allow_nan=False, default=str)
        body = text.encode("utf-8", "replace")
        headers["Content-Type"] = "application/json; charset=utf-8"
    else:
        body = form
    began = time.monotonic()
    failpoint("request.before")
    try:
        with (
            within(timeout),
            _session().post(
                url,
                data=body,
                headers=headers,
                timeout=(min(CONNECT_SECONDS, timeout), timeout),
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            content = _read(response)
            failpoint("request.answered")
            return Answer(response.status_code, content, time.monotonic() - began)
    except requests.RequestException as error:
        raise _failed(error) from None
    except (HTTPError, OSError) as error:
        raise UnknownAnswer("broken_answer", f"The answer broke off ({type(error).__name__}).") from None


def _read(response: requests.Response) -> bytes:
    """The body, bounded in size."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(_CHUNK):
        size += len(part)
        if size > MAX_BYTES:
            raise UnknownAnswer(
                "too_big", f"The answer is larger than {MAX_BYTES} bytes.", response.status_code
            )
        parts.append(part)
    return b"".join(parts)


def _failed(error: requests.RequestException) -> RestError:
    """What a failed request proves: nothing sent, or maybe done. Their texts hold addresses, so ours are
    told.
    """
    if isinstance(error, requests.ConnectTimeout):
        return Passes("unreachable", "No connection within the time allowed.")
    reason: Any = error.args[0] if error.args else None
    reason = getattr(reason, "reason", reason)
    if isinstance(error, requests.exceptions.SSLError):
        return Passes("unreachable", "The TLS certificate was not accepted.")
    if isinstance(reason, NewConnectionError):
        return Passes("unreachable", "No connection could be made.")
    if isinstance(error, requests.Timeout) or isinstance(reason, SocketTimeout):
        return UnknownAnswer("timeout", "No answer within the time allowed.")
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return UnknownAnswer("dropped", "The connection was dropped before the answer was whole.")
    return UnknownAnswer("request_failed", f"The request failed ({type(error).__name__}).")


def _session() -> requests.Session:
    """This thread's session; a forked child makes its own."""
    if getattr(_local, "pid", None) != os.getpid():
        session = requests.Session()
        session.trust_env = False
        # A portal's session cookie would tie the calls of two applications together.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # A box with a certificate authority of its own: the usual variables still name the bundle.
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or True
        adapter = TimelyAdapter(pool_connections=50, pool_maxsize=2, max_retries=0)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        session.headers.update({"User-Agent": "b24-robot-hub"})
        _local.session, _local.pid = session, os.getpid()
    session_of_thread: requests.Session = _local.session
    return session_of_thread
