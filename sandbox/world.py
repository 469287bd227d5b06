"""The one object all parts share: the state behind its lock, the clock,
the journals, and who is reached by which address."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sandbox.clock import Clock
from sandbox.journal import Journal
from sandbox.model import Application, Install, Portal, State, TokenServer, User

SERVERS = ("west", "ru")


class ControlError(Exception):
    """A control request that cannot be done; the text is for a person."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Books:
    """What a portal did and was asked, apart from its state: not kept over a restart."""

    requests: Journal = field(default_factory=Journal)
    calls: Journal = field(default_factory=lambda: Journal(5000))
    ended: deque[str] = field(default_factory=deque)


class World:
    """All state; whoever reads or writes it holds ``lock`` (re-entrant),
    and nobody sleeps while holding it."""

    def __init__(self, base: str = "", keep_processes: int = 20_000) -> None:
        self.lock = threading.RLock()
        self.clock = Clock()
        self.base = base
        self.server_urls: dict[str, str] = {}
        self.keep_processes = keep_processes
        self.dirty = True
        self.state = State(secret=secrets.token_hex(32))
        self._books: dict[str, Books] = {}
        self.server_books: dict[str, Journal] = {}
        self.reset()

    def reset(self) -> None:
        """Forgets everything but the addresses."""
        with self.lock:
            self.clock.forget()
            self.clock.set_offset(0.0)
            self.adopt(
                State(secret=secrets.token_hex(32), servers={name: TokenServer(name) for name in SERVERS})
            )

    def adopt(self, state: State) -> None:
        with self.lock:
            self.state = state
            self.clock.set_offset(state.offset)
            self._books = {}
            self.server_books = {name: Journal() for name in SERVERS}
            self.dirty = True

    def serial(self) -> int:
        self.state.serial += 1
        self.dirty = True
        return self.state.serial

    def books(self, portal: Portal) -> Books:
        if self.state.portals.get(portal.name) is not portal:
            return Books()  # a portal that was reset away: what still comes of it is nobody's
        return self._books.setdefault(portal.name, Books())

    def forget_books(self, portal: Portal) -> None:
        self._books.pop(portal.name, None)

    # -- addresses --------------------

    @property
    def scheme(self) -> str:
        return urlsplit(self.base).scheme

    @property
    def port(self) -> int:
        return urlsplit(self.base).port or 80

    def server_url(self, name: str) -> str:
        """What the hub lists as an allowed token server (§2)."""
        return self.server_urls.get(name, f"{self.base}/oauth-{name}")

    def domain(self, portal: Portal) -> str:
        return portal.domain or f"{portal.path or portal.name}.localhost:{self.port}"

    def root(self, portal: Portal) -> str:
        """The portal's address without a slash at its end."""
        if portal.by_host:
            return f"{self.scheme}://{self.domain(portal)}"
        return f"{self.base}/p/{portal.path or portal.name}"

    def client_endpoint(self, portal: Portal) -> str:
        return self.root(portal) + "/rest/"

    def server_endpoint(self, portal: Portal) -> str:
        return self.server_url(portal.server) + "/rest/"

    def by_path(self, path: str) -> tuple[Portal | None, bool]:
        """The portal under ``/p/<path>/``, and whether that is an address it has left."""
        likely = self.state.portals.get(path)
        if likely is not None and likely.path in ("", path):
            return likely, False
        for portal in self.state.portals.values():
            if (portal.path or portal.name) == path:
                return portal, False
        for portal in self.state.portals.values():
            if path in portal.former_paths:
                return portal, True
        return None, False

    def by_host(self, host: str) -> tuple[Portal | None, bool]:
        """The portal a Host header names: its domain in full, or the domain without its port."""
        for portal in self.state.portals.values():
            domain = self.domain(portal)
            if host in (domain, domain.rsplit(":", 1)[0]):
                return portal, False
        for portal in self.state.portals.values():
            if host in portal.former_domains:
                return portal, True
        return None, False

    # -- looking things up --------------------

    def portal(self, name: str) -> Portal:
        portal = self.state.portals.get(name)
        if portal is None:
            raise ControlError(f"there is no portal {name!r}", 404)
        return portal

    def application(self, client_id: str) -> Application:
        found = self.state.applications.get(client_id)
        if found is None:
            raise ControlError(f"there is no application {client_id!r}", 404)
        return found

    def install(self, portal: Portal, client_id: str) -> Install:
        found = portal.installs.get(client_id)
        if found is None:
            raise ControlError(f"{client_id!r} is not installed on {portal.name}", 409)
        return found

    def install_by_id(self, number: int) -> tuple[Portal, Install] | None:
        for portal in self.state.portals.values():
            for install in portal.installs.values():
                if install.id == number:
                    return portal, install
        return None

    def count(self, portal: Portal, name: str, by: float = 1) -> None:
        portal.counters[name] = portal.counters.get(name, 0) + by
        self.dirty = True

    def peak(self, portal: Portal, name: str, value: float) -> None:
        if value > portal.counters.get(name, 0):
            portal.counters[name] = value


def user_of(portal: Portal, user_id: int) -> User | None:
    return next((user for user in portal.users if user.id == user_id), None)


def member_id_of(name: str) -> str:
    """32 hex digits that never change for a name, so that a reset world meets a hub that knows the portal."""
    return hashlib.md5(f"sandbox:{name}".encode(), usedforsecurity=False).hexdigest()


def flag(value: Any) -> bool:
    """A yes in any of the forms that a JSON body or a form may bring."""
    return value in (True, 1, "1", "Y", "y", "true", "on")
