"""One sandbox process for the folder; each test has a portal and an application of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.robots.portal_lab import PUBLIC_URL, PortalLab
from tests.sandbox.lab import Hub, Lab, Process


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Process]:
    process = Process("--no-snapshot")
    yield process
    process.stop()


@pytest.fixture(scope="session")
def hub() -> Iterator[Hub]:
    found = Hub()
    yield found
    found.close()


@pytest.fixture
def make_portal(
    sandbox: Process, hub: Hub, settings: Any, transactional_db: None
) -> Callable[..., PortalLab]:
    """Makes a portal with the sandbox's settings given; `application` shares one of ours."""
    servers = sandbox.get("info")["servers"]
    settings.B24_OAUTH_URLS = [server["url"] for server in servers.values()]
    settings.PUBLIC_URL = PUBLIC_URL
    # The account's own limit is the client's business; here it would only make tests wait.
    settings.BUCKET_RATE, settings.BUCKET_BURST = 50, 1000

    def make(application: Any = None, **changes: Any) -> PortalLab:
        return PortalLab(Lab(sandbox, hub, changes), application)

    return make


@pytest.fixture
def lab(make_portal: Callable[..., PortalLab]) -> PortalLab:
    return make_portal()
