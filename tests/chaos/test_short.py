"""The short form of each drill, as a command of its own; `make chaos` runs the long ones."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from tests.chaos import own_servers
from tests.system import servers
from tests.system.processes import ROOT

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

DRILLS = ["failpoints", "outage", "hostile", "refresh_race", "paused", "rolling", "clocks"]


@pytest.mark.parametrize("drill", DRILLS)
def test_nothing_is_lost_or_doubled(drill: str) -> None:
    if drill == "outage" and (reason := own_servers.missing()):
        if servers.in_ci():
            pytest.fail(f"{reason}, and CI=true says that it must be there")
        pytest.skip(reason)
    seed = random.SystemRandom().randrange(10**6)
    command = [sys.executable, "-m", f"tests.chaos.{drill}", "--short", "--seed", str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    print(done.stdout[-6000:])
    assert done.returncode == 0, f"{' '.join(command[1:])}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    assert "WRONG" not in done.stdout


def test_each_drill_has_a_short_and_a_long_form() -> None:
    from scripts.chaos import DRILLS as long_ones

    # The kill -9 drill's short form is test_kill9.py, on every stack; what `network` is about most, a worker that
    # ends while RabbitMQ is a black hole, is in tests/system/test_broker_gone.py.
    assert {module for module, *_words in long_ones} == {*DRILLS, "kill9", "network"}
