"""The small form of the drill that `make chaos` runs: nothing lost, nothing doubled, whatever is killed."""

from __future__ import annotations

import random

import pytest

from tests.chaos.drill import drill
from tests.system import servers
from tests.system.servers import Stack

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


# The third stack's minute and a half is the long drill's (make chaos).
@pytest.mark.parametrize("stack", servers.STACKS[:2], ids=str, indirect=True)
def test_killed_at_any_moment_nothing_is_lost_or_doubled(stack: Stack) -> None:
    outcome = drill(stack, calls=200, seed=random.SystemRandom().randrange(10**6))
    print(f"{stack}: {outcome}")
    assert outcome.sent == 200
    assert outcome.kills == {"web": 2, "worker": 3, "beat": 1, "child": 4}
    assert (outcome.lost, outcome.doubled) == (0, 0), outcome
    # Refused are at most the portions of 20 in which a web process, or a child of one, was killed.
    assert outcome.accepted >= 80, outcome
    # What the hub had not answered was never its own; all it had answered has one row, and has ended.
    assert sum(outcome.ended.values()) >= outcome.accepted
    assert set(outcome.ended) <= {"delivered"}, outcome
