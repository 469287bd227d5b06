"""What a process has loaded stays, and its garbage collector need not look at it."""

from __future__ import annotations

import gc


def for_good() -> None:
    """Called once all is loaded, and before a process forks.

    A full collection walks through 120,000 objects of the hub and its packages, 70 ms in which nothing else of the
    process goes on; an export of 7,000 calls brings one about. Set aside, they cost a collection nothing, and one
    comes once there is garbage and not only when a quarter of that number is new: what a worker keeps until then
    is a megabyte, not fifteen.
    """
    gc.collect()
    gc.freeze()
    # The collector goes by how much the last full collection left.
    gc.collect()
