"""The sandbox's own clock, which tests may put forward, and the timers that follow it."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Clock:
    """Now, plus an offset that the control API moves: locks, timeouts, codes and tokens all read this."""

    def __init__(self) -> None:
        self.offset = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._wake = threading.Condition()
        self._stopped = False

    def now(self) -> float:
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Moves the clock; whatever became due by it runs at once."""
        with self._wake:
            self.offset += seconds
            self._wake.notify_all()

    def set_offset(self, seconds: float) -> None:
        self.advance(seconds - self.offset)

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Runs ``action`` in the timer thread once the clock reaches ``when``."""
        with self._wake:
            heapq.heappush(self._heap, (when, next(self._serial), action))
            self._wake.notify_all()

    def forget(self) -> None:
        """Drops every timer: the world they belonged to is gone."""
        with self._wake:
            self._heap.clear()

    def start(self) -> None:
        threading.Thread(target=self._run, name="clock", daemon=True).start()

    def stop(self) -> None:
        with self._wake:
            self._stopped = True
            self._wake.notify_all()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._stopped and (not self._heap or self._heap[0][0] > self.now()):
                    wait = self._heap[0][0] - self.now() if self._heap else None
                    self._wake.wait(wait if wait is None else min(max(wait, 0.0), 3600.0))
                if self._stopped:
                    return
                action = heapq.heappop(self._heap)[2]
            action()
