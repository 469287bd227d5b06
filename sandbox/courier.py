"""The portal's queue: a bounded pool of threads that POSTs each form once, whatever comes of it (§6)."""

from __future__ import annotations

import contextlib
import http.client
import queue
import select
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

FRESH_SECONDS = 1.0
# A stop waits this long for answers that are on their way.
STOP_SECONDS = 2.0


@dataclass
class Delivery:
    """What came of a POST: ``status`` 0 where no answer came, ``error`` says why."""

    status: int
    ms: int
    error: str = ""
    body: str = ""


@dataclass
class Post:
    """A form to deliver; it is made when its turn comes, so that a burst waits as references, not as text."""

    url: str
    form: Callable[[], str]
    done: Callable[[Delivery], None]
    timeout: float = 10.0


class Courier:
    """Threads with kept-alive connections. A connection that may be stale is replaced before use,
    never after: a second POST of one call is what the platform does not do."""

    def __init__(self, threads: int = 64, tls: ssl.SSLContext | None = None, keep_alive: bool = True) -> None:
        self.keep_alive = keep_alive
        self.tls = tls or ssl.create_default_context()
        self._queue: queue.SimpleQueue[Post | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._sending = 0
        self._stopped = False
        self._moved = threading.Condition()
        for number in range(threads):
            threading.Thread(target=self._run, name=f"courier-{number}", daemon=True).start()

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def post(self, item: Post) -> None:
        self._queue.put(item)

    def clear(self) -> None:
        """Forgets what was not delivered yet."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()

    def stop(self) -> None:
        """Begins nothing more; what was begun has STOP_SECONDS to be answered."""
        with self._moved:
            self._stopped = True
            self._moved.wait_for(lambda: self._sending == 0, STOP_SECONDS)

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            with self._moved:
                if item is None or self._stopped:
                    return
                self._sending += 1
            try:
                self._deliver(item)
            finally:
                with self._moved:
                    self._sending -= 1
                    self._moved.notify_all()

    def _deliver(self, item: Post) -> None:
        try:
            form = item.form()
        except Exception as error:  # one form that cannot be made must not end a thread of the queue
            item.done(Delivery(0, 0, f"not sent: {type(error).__name__}"))
            return
        item.done(self.deliver(item.url, form, item.timeout))

    def deliver(self, url: str, form: str, timeout: float = 10.0) -> Delivery:
        """One POST in this thread, with no redirect followed and nothing sent twice."""
        started = time.monotonic()
        try:
            status, body = self._send(url, form.encode(), timeout)
        except TimeoutError:
            return Delivery(0, ms_since(started), "no answer in time")
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Delivery(0, ms_since(started), type(error).__name__)
        return Delivery(status, ms_since(started), "", body)

    def _send(self, url: str, body: bytes, timeout: float) -> tuple[int, str]:
        parts = urlsplit(url)
        connection = self._connection(parts.scheme, parts.netloc, timeout)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "Bitrix24 Webhook Engine (sandbox)",
        }
        if not self.keep_alive:
            headers["Connection"] = "close"
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            text = answer.read(2_000_000).decode("utf-8", "replace")
        except BaseException:
            connection.close()
            raise
        if self.keep_alive and not answer.will_close and answer.isclosed():
            self._kept()[parts.scheme, parts.netloc] = (connection, time.monotonic())
        else:
            connection.close()
        return answer.status, text

    def _kept(self) -> dict[tuple[str, str], tuple[http.client.HTTPConnection, float]]:
        if not hasattr(self._local, "kept"):
            self._local.kept = {}
        kept: dict[tuple[str, str], tuple[http.client.HTTPConnection, float]] = self._local.kept
        return kept

    def _connection(self, scheme: str, netloc: str, timeout: float) -> http.client.HTTPConnection:
        held = self._kept().pop((scheme, netloc), None)
        if held is not None:
            connection, used = held
            sock = connection.sock
            if (
                sock is not None
                and time.monotonic() - used < FRESH_SECONDS
                and not select.select([sock], [], [], 0)[0]
            ):
                sock.settimeout(timeout)
                return connection
            connection.close()
        if scheme == "https":
            return http.client.HTTPSConnection(netloc, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection(netloc, timeout=timeout)


def ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
