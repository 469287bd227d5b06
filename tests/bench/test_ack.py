"""The bench itself is right: all it counts as acknowledged was, and is on disk. No figure is asserted."""

from __future__ import annotations

import pytest

from tests.bench.ack import measure
from tests.system.servers import STACKS, Stack

pytestmark = pytest.mark.system


# The broker takes no part in an acknowledgement: one stack for each database.
@pytest.mark.parametrize("stack", STACKS[:2], ids=str, indirect=True)
def test_what_is_counted_as_acknowledged_is_on_disk(stack: Stack) -> None:
    report = measure(stack, rounds=2, seconds=1)
    print(report)
    assert (report.hub.bad, report.bare.bad) == (0, 0)
    assert report.hub.good > 0 and report.bare.good > 0
    # A call under way when the client stops may be on disk without having been counted.
    assert report.rows >= report.hub.good
    assert len(report.ratios()[0]) == 2
