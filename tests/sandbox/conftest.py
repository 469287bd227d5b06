"""One sandbox process for the whole folder; each test makes a portal and an application of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.sandbox.lab import Hub, Lab, Process


@pytest.fixture(scope="session")
def hub() -> Iterator[Hub]:
    found = Hub()
    yield found
    found.close()


@pytest.fixture(scope="session")
def shared() -> Iterator[Process]:
    process = Process("--no-snapshot")
    yield process
    _, _, err = process.stop()
    assert err == "", err


@pytest.fixture
def sandbox(shared: Process) -> Iterator[Process]:
    """The shared process with its clock, its token servers and its queue as at the start."""
    shared.post("clock", {"offset": 0})
    yield shared
    for name in ("west", "ru"):
        shared.delete(f"servers/{name}/faults")
        shared.post(f"servers/{name}", {"scope_separator": ",", "errors_as_200": False})
    shared.post("clock", {"offset": 0})


@pytest.fixture
def make_lab(sandbox: Process, hub: Hub) -> Callable[..., Lab]:
    def make(**settings: Any) -> Lab:
        return Lab(sandbox, hub, settings)

    return make


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab()
