"""HTTP whose requests end in time, whatever the other side does.

A socket's timeout bounds the wait for the next byte; who sends a byte a second is never late by it. So each step
(connecting, sending, the answer's head and body) is given what is left of the whole. Names are resolved by the
system, within the system's own bounds.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

_PART = 16 * 1024
_local = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """This thread's requests by a TimelyAdapter, and what is read of their answers, end within `seconds`."""
    former = getattr(_local, "until", None)
    _local.until = time.monotonic() + seconds
    try:
        yield
    finally:
        _local.until = former


def _left() -> float:
    """Seconds left. Raises TimeoutError, and RuntimeError outside `within`."""
    until = getattr(_local, "until", None)
    if until is None:
        raise RuntimeError("A request without an end.")
    seconds: float = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("timed out")
    return seconds


class _Raw(io.RawIOBase):
    """The bytes of an answer as they come, each wait as long as is left."""

    def __init__(self, sock: socket.socket, raw: Any) -> None:
        self._sock, self._raw = sock, raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_left())
        read: int | None = self._raw.readinto(buffer)
        return read

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp: io.BufferedReader = io.BufferedReader(_Raw(sock, self.fp.detach()))


class _Timely(HTTPConnection):
    response_class = _Response

    def _new_conn(self) -> socket.socket:
        """A name may have many addresses, and each is given the whole timeout."""
        name = self._dns_host
        try:
            found = socket.getaddrinfo(name, self.port, 0, socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from error
        each = float(self.timeout or _left())
        failed: Exception = OSError("The name has no address.")
        try:
            for *_kind, address in found:
                self._dns_host, self.timeout = str(address[0]), min(each, _left())
                try:
                    made = super()._new_conn()
                except (NewConnectionError, ConnectTimeoutError) as error:
                    failed = error
                    continue
                made.settimeout(min(each, _left()))
                return made
        except TimeoutError:
            raise ConnectTimeoutError(self, "No time is left.") from None
        finally:
            self._dns_host, self.timeout = name, each
        raise failed

    def send(self, data: Any) -> None:
        """In parts: TLS gives each record of what is sent the whole timeout."""
        if self.sock is None:
            self.connect()
        view = memoryview(data)
        for start in range(0, len(view), _PART):
            self.sock.settimeout(_left())
            super().send(view[start : start + _PART])


class _TimelySecure(_Timely, HTTPSConnection):
    """TLS; the handshake has what connecting was given."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Timely


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _TimelySecure


class TimelyAdapter(HTTPAdapter):
    """For sessions whose requests are made inside `within`."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
