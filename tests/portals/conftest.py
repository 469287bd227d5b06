"""A sandbox for the folder, a hub that it can reach, and a bare server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from portals.models import Application
from tests.factories import ApplicationFactory
from tests.portals import urls
from tests.portals.lab import Sandbox, Server


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    found = Sandbox()
    yield found
    found.stop()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.stop()


@pytest.fixture(autouse=True)
def installed() -> list[Any]:
    """The portals that were given to the hook after an installation."""
    urls.installed.clear()
    return urls.installed


@dataclass
class World:
    """A sandbox with one application of ours; portal `alfa` has an administrator 1 and an employee 2."""

    sandbox: Sandbox
    application: Application
    address: str
    member_id: str

    def install(self, **more: Any) -> dict[str, Any]:
        body = {"client_id": self.application.client_id, "way": "frame", **more}
        told: dict[str, Any] = self.sandbox.post("portals/alfa/install", **body)
        return told

    def open(self, **more: Any) -> dict[str, Any]:
        told: dict[str, Any] = self.sandbox.post(
            "portals/alfa/open", client_id=self.application.client_id, **more
        )
        return told


@pytest.fixture
def world(
    sandbox_process: Sandbox, live_server: Any, settings: Any, transactional_db: None
) -> Iterator[World]:
    sandbox = sandbox_process
    sandbox.post("reset")
    settings.ROOT_URLCONF = "tests.portals.urls"
    # A portal refuses a host without a dot (contract §5).
    settings.PUBLIC_URL = live_server.url.replace("localhost", "127.0.0.1")
    settings.B24_OAUTH_URLS = sandbox.servers
    settings.B24_ALLOW_HTTP = True
    application = ApplicationFactory(slug="main")
    address = f"{settings.PUBLIC_URL}/b24/main/"
    sandbox.post(
        "apps",
        client_id=application.client_id,
        client_secret=application.client_secret,
        install_url=f"{address}install/",
        main_url=address,
        event_url=f"{address}install/",
        redirect_url=f"{address}oauth/",
    )
    member_id = sandbox.portal(
        "alfa",
        language="ru",
        users=[{"id": 1, "name": "Ann", "admin": True}, {"id": 2, "name": "Bob", "admin": False}],
    )
    yield World(sandbox, application, address, member_id)
    sandbox.delete("servers/west/faults")
