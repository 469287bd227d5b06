from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.attacker import Attacker
from tests.handlers.conftest import control, fresh_process, make_rig, portal, rig, version

__all__ = ["attacker", "control", "fresh_process", "make_rig", "portal", "rig", "version"]


@pytest.fixture
def attacker() -> Iterator[Attacker]:
    """At the end nobody has come."""
    found = Attacker()
    yield found
    visits = found.count()
    found.close()
    assert visits == 0, f"{visits} requests went to an attacker's host"
