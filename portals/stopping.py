"""Whether this worker was asked to end (SIGTERM): its children then leave what they have not begun to others.

The main process gets the signal and its children do the work, so it is told by a byte that they share by fork.
Whoever works for as long as something is due asks it between two pieces of work.
"""

from __future__ import annotations

import mmap

_told = mmap.mmap(-1, 1)


def tell(asked: bool = True) -> None:
    """In the main process; its children know at once."""
    _told[0] = int(asked)


def asked() -> bool:
    return bool(_told[0])
