"""How many children of one worker process may do one thing (design §2 rule 8): leases, counted by name.

At most half of the children compute and at most half of those compute one portal's one robot, so that delivery
and pushes always find a child whatever a robot does.
"""

from __future__ import annotations

import os
import random
import socket

from django.conf import settings

from portals import lease
from portals.keeper import PLACE_SECONDS
from portals.lease import Held


def _worker() -> str:
    """This worker process: its children share a parent."""
    return f"{socket.gethostname()[:40]}:{os.getppid()}"


def computing() -> int:
    """Children of a worker process that may compute at once: half, rounded up."""
    return -(-settings.WORKER_CONCURRENCY // 2)


def delivering() -> int:
    """Children that may deliver at once: what is left, less one for pushes and sweeps."""
    return max(1, settings.WORKER_CONCURRENCY - computing() - 1)


def take_computing() -> Held | None:
    return _take(f"compute:{_worker()}", computing())


def take_delivering() -> Held | None:
    return _take(f"deliver:{_worker()}", delivering())


def take_robot(portal_id: int, code: str) -> Held | None:
    """A place for one portal's one robot: half of the computing children, rounded up."""
    return _take(f"robot:{_worker()}:{portal_id}:{code}"[:190], -(-computing() // 2))


def _take(name: str, places: int) -> Held | None:
    for place in random.sample(range(places), places):
        held = lease.take(f"{name}:{place}", PLACE_SECONDS)
        if held is not None:
            return held
    return None
