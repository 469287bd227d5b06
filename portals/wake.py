"""Wake-ups: a worker is told that there is work, never by the request that brought it (design §2).

`wake("compute")` sets a flag and returns; a daemon thread of this process publishes `b24app.wake` for each
flagged queue, at most one message a queue in 100 ms. A broker that is down or hangs holds up that thread
alone, which backs off and keeps the flags; what is lost with the process the sweep finds.

`idle_hooks` are called by a second thread about every 0.5 s (the spool is drained there), so that a hung
broker does not hold up what waits on disk.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import celery
from django.db import close_old_connections

log = logging.getLogger(__name__)

EVERY = 0.1
_GRAIN = 0.02
IDLE_EVERY = 0.5
# As often as the sweep comes: what is due later it finds in time.
LATER_MAX = 6.0
TASK = "b24app.wake"
# Bounds what piles up while no worker is there. Far longer than a clock is wrong by: expiry is told and read by
# two machines' clocks, and a wake-up that one takes for old would not wake.
EXPIRES = 7200
_LONGEST_PAUSE = 5.0
_SOCKET_SECONDS = 2
_COMPLAIN_EVERY = 60.0

# Callables without arguments, run about every IDLE_EVERY seconds in each process that has woken or called
# start().
idle_hooks: list[Callable[[], object]] = []

_flags: set[str] = set()
# (moment of time.monotonic, queue): at most LATER_MAX / _GRAIN a queue.
_later: set[tuple[float, str]] = set()
_ring = threading.Event()
_started_in = 0
_starting = threading.Lock()


def wake(queue: str) -> None:
    """Asks for a message to `queue` ("compute", "deliver", "confirm", "push"). Costs microseconds, never
    waits.
    """
    _flags.add(queue)
    if not _ring.is_set():
        _ring.set()
    if _started_in != os.getpid():
        start()


def wake_later(queue: str, seconds: float) -> None:
    """The same in `seconds`, for a row that is due sooner than the sweep would find it; later ones are its."""
    if seconds > LATER_MAX:
        return
    # Moments of one queue that are this close are one; a message they share as far as EVERY has it.
    _later.add((math.ceil((time.monotonic() + seconds) / _GRAIN) * _GRAIN, queue))
    _ring.set()
    if _started_in != os.getpid():
        start()


def start() -> None:
    """Starts this process's threads, once; after a fork the child starts its own."""
    global _started_in
    with _starting:
        if _started_in == os.getpid():
            return
        _started_in = os.getpid()
        threading.Thread(target=_publish_for_ever, name="wake-publisher", daemon=True).start()
        threading.Thread(target=_idle_for_ever, name="wake-idle", daemon=True).start()


def _after_fork() -> None:
    """The threads stay with the parent, and so do its flags; a lock held there must not be held here."""
    global _started_in, _ring, _starting
    _started_in = 0
    _flags.clear()
    _later.clear()
    _ring = threading.Event()
    _starting = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


class _Publisher:
    """One broker connection with bounded sockets, dropped after any failure."""

    def __init__(self) -> None:
        self.connection: Any = None
        self.producer: Any = None

    def send(self, queue: str) -> None:
        app = celery.current_app
        if self.producer is None:
            self.connection = bounded_connection(app)
            self.producer = app.amqp.Producer(self.connection, auto_declare=False)
        app.send_task(TASK, [queue], producer=self.producer, retry=False, ignore_result=True, expires=EXPIRES)

    def drop(self) -> None:
        connection, self.connection, self.producer = self.connection, None, None
        if connection is not None:
            try:
                connection.collapse()
            except Exception:
                log.debug("A broken broker connection did not close cleanly.", exc_info=True)


def bounded_connection(app: Any) -> Any:
    """A connection to the broker on which nothing waits longer than a few seconds."""
    options = dict(app.conf.broker_transport_options or {})
    broker = app.connection_for_write().transport.driver_type
    if broker == "redis":
        options.update(socket_timeout=_SOCKET_SECONDS, socket_connect_timeout=_SOCKET_SECONDS)
        options.update(retry_on_timeout=False, max_retries=0)
    elif broker == "amqp":
        options.update(read_timeout=_SOCKET_SECONDS, write_timeout=_SOCKET_SECONDS)
    return app.connection_for_write(connect_timeout=_SOCKET_SECONDS, transport_options=options)


def _publish_for_ever() -> None:
    publisher = _Publisher()
    sent: dict[str, float] = {}
    pause = 0.0
    complained = -_COMPLAIN_EVERY
    while True:
        _ring.wait(_until_next())
        _ring.clear()
        _flag_what_is_due()
        for queue in list(_flags):
            rest = sent.get(queue, -EVERY) + EVERY - time.monotonic()
            if rest > 0:
                time.sleep(rest)
            # Taken before it is sent: what is flagged from here on asks for another message.
            _flags.discard(queue)
            try:
                publisher.send(queue)
            except Exception as error:
                _flags.add(queue)
                publisher.drop()
                pause = min(max(pause * 2, 0.25), _LONGEST_PAUSE)
                if time.monotonic() - complained >= _COMPLAIN_EVERY:
                    complained = time.monotonic()
                    log.warning(
                        "The broker takes no wake-ups (%s); the sweep finds the work.", type(error).__name__
                    )
                time.sleep(pause)
                _ring.set()
                break
            sent[queue] = time.monotonic()
            pause = 0.0


def _until_next() -> float | None:
    """Seconds until the next of `_later`; None where there is none."""
    return max(0.0, min(_later.copy())[0] - time.monotonic()) if _later else None


def _flag_what_is_due() -> None:
    now = time.monotonic()
    for entry in _later.copy():
        if entry[0] <= now:
            _later.discard(entry)
            _flags.add(entry[1])


def _idle_for_ever() -> None:
    while True:
        time.sleep(IDLE_EVERY)
        for hook in list(idle_hooks):
            try:
                close_old_connections()
                hook()
            except Exception:
                log.exception("An idle hook failed; it is tried again.")
        close_old_connections()
