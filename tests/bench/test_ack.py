"""The bench itself is right: all it counts as acknowledged was, and is on disk. No figure is asserted."""

from __future__ import annotations

import pytest

from tests.bench import ack, steady
from tests.bench.pair import pair
from tests.system.servers import Stack

pytestmark = pytest.mark.system


# One stack for each database; the broker takes part in one of the four sides only.
@pytest.mark.parametrize("stack", ack.STACKS, ids=str, indirect=True)
def test_what_is_counted_as_acknowledged_is_on_disk(stack: Stack) -> None:
    figures = ack.measure_stack(stack, None, 1, 1.0)
    sides = figures["sides"]
    assert set(sides) == set(ack.SIDES)
    for name, side in sides.items():
        assert side["bad"] == 0 and side["good"] > 0, (name, side)
        assert side["web"][0] > 0, name
    # A call under way when the client stops may be on disk without having been counted.
    assert figures["rows"] == figures["came"] >= sides["hub"]["good"]


@pytest.mark.parametrize("stack", ack.STACKS, ids=str, indirect=True)
def test_the_bare_table_is_the_hubs(stack: Stack) -> None:
    """Same columns and as many indexes, or the comparison is not honest."""
    with pair(stack) as here:
        assert ack.rounds(here, None, 0, 1.0) is not None
        columns, indexes = steady.shape(here.bare.environment, "bare_call")
        came, its_indexes = steady.shape(here.bare.environment, "handlers_receivedcall")
        becomes, more_indexes = steady.shape(here.bare.environment, "handlers_invocation")
    assert columns == came | becomes
    assert indexes == its_indexes + more_indexes
