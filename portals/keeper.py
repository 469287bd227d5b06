"""Keeps what is ours while long work runs: a thread that renews leases every few seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

import structlog
from django.db import connections

from portals.lease import Held

log = structlog.get_logger(__name__)

EVERY = 5.0
# A place outlives by so much a child that was killed.
PLACE_SECONDS = 20.0


class Keeper:
    """`with Keeper(renew):` calls `renew()` every EVERY seconds in a thread of its own, from EVERY on.

    Work that ends sooner costs a thread and no statement. `late()` is called once, where the work still runs
    `after` seconds from its beginning.
    """

    def __init__(
        self, renew: Callable[[], object], late: Callable[[], object] | None = None, after: float = 0.0
    ) -> None:
        self._renew, self._late, self._after = renew, late, after
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
        if self._late is not None and not self._over.wait(self._after):
            self._call(self._late, "what has not begun could not be given back")
        while not self._over.wait(EVERY):
            # The lease may run out now; the fence keeps that harmless.
            self._call(self._renew, "a lease could not be renewed")

    def _call(self, what: Callable[[], object], failed: str) -> None:
        try:
            what()
        except Exception:
            log.exception(failed)
        finally:
            # A child at long work has two of these threads, and PostgreSQL few connections. Only one that was made:
            # to ask for it makes it, and what Django makes of it is garbage in a circle.
            for used in connections.all(initialized_only=True):
                used.close()


@contextmanager
def kept(place: Held) -> Iterator[Callable[[], bool]]:
    """Keeps the place through work of any length and gives it back in the end; tells whether it is still ours.

    The place counts a child, so it lasts as long as the child is at work, whatever that waits for.
    """
    lost = threading.Event()

    def renew() -> None:
        if not place.renew(PLACE_SECONDS):
            lost.set()

    try:
        with Keeper(renew):
            yield lambda: not lost.is_set()
    finally:
        place.release()
