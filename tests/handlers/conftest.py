from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handlers import drain, intake_db, known
from portals.models import Portal
from robots.models import RobotVersion
from tests.factories import PortalFactory, RobotFactory, RobotVersionFactory
from tests.handlers.rig import Rig, sandbox
from tests.system.sandbox_control import SandboxControl


@pytest.fixture(autouse=True)
def fresh_process(tmp_path: Path, settings: object) -> Iterator[None]:
    """Each test is a process that knows nobody yet, with a spool of its own."""
    settings.SPOOL_DIR = tmp_path / "spool"  # type: ignore[attr-defined]
    _forget()
    yield
    _forget()


def _forget() -> None:
    known.forget()
    intake_db.forget()
    drain.forget()


@pytest.fixture
def portal(transactional_db: None) -> Portal:
    return PortalFactory()


@pytest.fixture
def version(portal: Portal) -> RobotVersion:
    robot = RobotFactory(application=portal.application, code="double")
    return RobotVersionFactory(robot=robot)


@pytest.fixture(scope="session")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxControl]:
    with sandbox(tmp_path_factory.mktemp("sandbox")) as control:
        yield control


@pytest.fixture
def make_rig(
    control: SandboxControl, transactional_db: None, live_server: Any, settings: Any
) -> Iterator[Callable[..., Rig]]:
    """Makes a portal of the sandbox with the settings given; forgotten at the end."""
    made: list[Rig] = []
    settings.B24_OAUTH_URLS = [server["url"] for server in control.get("info")["servers"].values()]
    url = live_server.url.replace("localhost", "127.0.0.1")

    def make(**more: Any) -> Rig:
        made.append(Rig(control, url, f"p{uuid.uuid4().hex[:8]}", **more))
        return made[-1]

    yield make
    for rig in made:
        control.post(f"portals/{rig.name}/reset", installs=True)


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig()
