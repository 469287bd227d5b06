"""An attacker's host: a listening socket that counts who comes."""

from __future__ import annotations

import socket
import threading


class Attacker:
    """`visits` counts connections; `urls` are addresses that lead here, in the spellings a form may hold."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.visits = 0
        port = self.listening.getsockname()[1]
        self.host = f"127.0.0.1:{port}"
        self.urls = [
            f"http://{self.host}/rest/",
            f"https://{self.host}/rest/",
            f"http://localhost:{port}/oauth/token/",
            f"http://{self.host}",
            f"//{self.host}/rest/",
            f"http://oauth.bitrix.info@{self.host}/rest/",
            f"https://oauth.bitrix.info:443@{self.host}/",
            f"http://{self.host}/?https://oauth.bitrix.info/oauth/token/",
            f"http://{self.host}#oauth.bitrix.info",
            f"http://oauth.bitrix.info\\@{self.host}/",
            f"http://[::ffff:127.0.0.1]:{port}/rest/",
            self.host,
        ]
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        while True:
            try:
                visitor, _address = self.listening.accept()
            except OSError:
                return
            self.visits += 1
            visitor.close()

    def count(self) -> int:
        """Visits so far, once a connection of our own has been counted (they are counted in order)."""
        before = self.visits
        with socket.create_connection(self.listening.getsockname(), timeout=10) as own:
            own.recv(1)
        assert self.visits > before or self.visits > 0
        self.visits -= 1
        return self.visits

    def close(self) -> None:
        self.listening.close()
