"""The hub with a real sandbox beside it, as the handlers' tests have it, and a whole office on top."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from handlers import accept
from tests.contract.office import Office
from tests.handlers.conftest import control, fresh_process, make_rig, portal, rig, version
from tests.system.sandbox_control import SandboxControl

__all__ = ["control", "fresh_process", "make_rig", "portal", "rig", "version"]


@pytest.fixture
def make_office(
    control: SandboxControl, transactional_db: None, live_server: Any, settings: Any
) -> Iterator[Callable[[], Office]]:
    """Makes applications of ours on one hub; their portals are forgotten at the end."""
    settings.B24_OAUTH_URLS = [server["url"] for server in control.get("info")["servers"].values()]
    settings.PUBLIC_URL = live_server.url.replace("localhost", "127.0.0.1")
    made: list[Office] = []

    def make() -> Office:
        made.append(Office(control, settings.PUBLIC_URL))
        return made[-1]

    yield make
    accept._statements.cache_clear()
    control.post("clock", offset=0)
    for office in made:
        for name in office.names:
            control.post(f"portals/{name}/reset", installs=True)


@pytest.fixture
def office(make_office: Callable[[], Office]) -> Office:
    return make_office()
