"""Rows that are given back for a moment: a wake-up at that moment, since the next sweep may be seconds away."""

from __future__ import annotations

from collections.abc import Iterable

from handlers.claims import Settlement
from portals.wake import wake_later

_QUEUES = {"received": "compute", "ready": "deliver"}


def wake_when_due(settlements: Iterable[Settlement]) -> None:
    """A hint like every wake-up: lost with this process, the sweep finds the row."""
    for settlement in settlements:
        queue = _QUEUES.get(settlement.state)
        if queue is not None and settlement.delay:
            wake_later(queue, settlement.delay)
