"""A wire that can be cut: what a network does to a server that must go on for others.

`Proxy(host, port)` listens on a loopback port of its own and carries bytes both ways, until it is told to `refuse`,
`hang` (a black hole: connections are taken, nothing comes through) or `drop` what is open.
"""

from __future__ import annotations

import socket
import threading


class Proxy:
    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listening: socket.socket | None = None
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._through = threading.Event()
        self._through.set()
        self.made = 0
        self.port = 0
        self.carry()

    def carry(self) -> None:
        """As if nothing had been: what was held back by `hang` goes on, as TCP sends again."""
        self._through.set()
        if self._listening is None:
            listening = socket.create_server(("127.0.0.1", self.port), backlog=64)
            self._listening, self.port = listening, listening.getsockname()[1]
            threading.Thread(target=self._accept, args=[listening], daemon=True).start()

    def hang(self) -> None:
        self._through.clear()

    def refuse(self) -> None:
        """Nobody listens any more, and what was open is closed."""
        listening, self._listening = self._listening, None
        if listening is not None:
            # A thread in accept() holds the port until it is woken.
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        self.drop()

    def drop(self) -> None:
        with self._lock:
            ends, self._ends = self._ends, set()
        for end in ends:
            _close(end)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _address = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[near], daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with self._lock:
            self._ends.add(near)
            self.made += 1
        self._through.wait()
        try:
            far = socket.create_connection(self._target, timeout=10)
        except OSError:
            _close(near)
            return
        far.settimeout(None)
        with self._lock:
            gone = near not in self._ends
            self._ends.add(far)
        if gone:
            self._forget(far)
            return
        threading.Thread(target=self._pump, args=[far, near], daemon=True).start()
        self._pump(near, far)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._through.wait()
                sink.sendall(data)
        except OSError:
            pass
        self._forget(source)
        self._forget(sink)

    def _forget(self, end: socket.socket) -> None:
        with self._lock:
            self._ends.discard(end)
        _close(end)


def _close(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()
