"""A request ends in time, whatever the other side does with its bytes (portals/timely.py)."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from b24app.alarm_channels import Message, webhook
from portals import timely, transport
from portals.errors import Passes, UnknownAnswer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SECONDS = 0.5
Peer = Callable[[Callable[[socket.socket, threading.Event], None]], str]


@pytest.fixture
def peer(settings) -> Iterator[Peer]:
    """An address whose one connection is served by the function given."""
    settings.B24_ALLOW_HTTP = True
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(act: Callable[[socket.socket, threading.Event], None]) -> None:
        with suppress(OSError):
            channel, _address = listening.accept()
            with channel:
                act(channel, over)

    def start(act: Callable[[socket.socket, threading.Event], None]) -> str:
        threading.Thread(target=serve, args=(act,), daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}/rest/"

    yield start
    over.set()
    listening.close()


def drip(channel: socket.socket, over: threading.Event, whole: bytes, again: bytes) -> None:
    channel.recv(65536)
    channel.sendall(whole)
    # Bounded all the same: without its end the request is to fail the test, not to hang it.
    for _ in range(60):
        channel.sendall(again)
        if over.wait(0.05):
            return


@pytest.mark.parametrize(
    ("whole", "again"),
    [
        (HEAD + b"Content-Length: 1000\r\n\r\n", b" "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (HEAD + b"X-Long: ", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["body", "chunks", "head", "continue"],
)
def test_an_answer_that_drips_ends_in_time(peer: Peer, whole: bytes, again: bytes):
    address = peer(lambda channel, over: drip(channel, over, whole, again))
    began = time.monotonic()
    with pytest.raises(UnknownAnswer) as caught:
        transport.post(address, data={}, timeout=SECONDS)
    assert time.monotonic() - began < 3 * SECONDS
    assert caught.value.code == "timeout"


def test_a_request_that_is_read_slowly_ends_in_time(peer: Peer):
    def sip(channel: socket.socket, over: threading.Event) -> None:
        for _ in range(60):
            if not channel.recv(50_000) or over.wait(0.05):
                return

    address = peer(sip)
    began = time.monotonic()
    with pytest.raises(UnknownAnswer):
        transport.post(address, data={"text": "a" * 20_000_000}, timeout=SECONDS)
    assert time.monotonic() - began < 3 * SECONDS


def test_many_addresses_of_a_name_have_one_time(monkeypatch, settings):
    asked: list[str] = []

    def connect(where: tuple[str, int], timeout: float, **_others: object) -> socket.socket:
        asked.append(where[0])
        threading.Event().wait(timeout)
        raise TimeoutError

    many = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{n}", 443)) for n in range(1, 100)]
    monkeypatch.setattr(timely.socket, "getaddrinfo", lambda *_args: many)
    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(Passes) as caught:
        transport.post("https://portal.example/rest/", data={}, timeout=SECONDS)
    assert time.monotonic() - began < 3 * SECONDS
    assert (caught.value.code, asked[0], len(asked)) == ("unreachable", "192.0.2.1", 3)


def test_an_alarm_ends_in_time(peer: Peer, settings, monkeypatch):
    settings.ALARM_WEBHOOK_URL = peer(lambda channel, over: drip(channel, over, HEAD + b"X: ", b"a"))
    monkeypatch.setattr(webhook, "_SECONDS", SECONDS)
    began = time.monotonic()
    with pytest.raises(OSError):
        webhook.send(Message("kind", "", "open", "Title", "", "", dt.datetime.now(dt.UTC), None, ""))
    assert time.monotonic() - began < 3 * SECONDS
