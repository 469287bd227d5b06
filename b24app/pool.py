"""Celery's children, made to outlive one another's end.

Where a broker has no event loop (the filesystem), children take their work from one pipe, in turn, under a
semaphore that is held while waiting. One that is killed there takes it along, and all others wait for ever
(seen: a kill -9 of one child in three stopped the worker). A lock of the operating system's own ends with
its holder.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from typing import Any

from billiard.pool import Pool
from celery.concurrency import prefork

from b24app import loaded


class OwnedLock:
    """A POSIX record lock on a file without a name: of one process, not inherited, gone with the process."""

    def __init__(self) -> None:
        # Open as long as the pool is; its name is gone at once.
        handle, name = tempfile.mkstemp()
        os.unlink(name)
        self._file = handle

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX if block else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def __enter__(self) -> OwnedLock:
        self.acquire()
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()


class SharedPipePool(Pool):
    """The pool for brokers without an event loop; the others give each child a pipe of its own."""

    def _setup_queues(self) -> None:
        pool: Any = super()  # the stubs know nothing of its inside
        pool._setup_queues()
        pipes: Any = self
        for pipe in (pipes._inqueue, pipes._outqueue):
            pipe._rlock, pipe._wlock = OwnedLock(), OwnedLock()


class TaskPool(prefork.TaskPool):
    """Prefork as ever, but for the pool above and for what its children share."""

    BlockingPool: Any = SharedPipePool

    def on_start(self) -> None:
        loaded.for_good()
        super().on_start()
