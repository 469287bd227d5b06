"""Keeps what is ours while long work runs: a thread that renews leases every few seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

import structlog
from django.db import close_old_connections, connection

log = structlog.get_logger(__name__)

EVERY = 5.0


class Keeper:
    """`with Keeper(renew):` calls `renew()` every EVERY seconds in a thread of its own, from EVERY on.

    Work that ends sooner costs a thread and no statement.
    """

    def __init__(self, renew: Callable[[], object]) -> None:
        self._renew = renew
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(timeout=EVERY)

    def _run(self) -> None:
        try:
            while not self._over.wait(EVERY):
                try:
                    self._renew()
                except Exception:
                    # The lease may run out now; the fence keeps that harmless.
                    log.exception("a lease could not be renewed")
                    close_old_connections()
        finally:
            connection.close()
