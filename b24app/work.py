"""The one task, and what each queue's wake does. A table: a queue is a name and a function."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from celery import shared_task
from django.db import DatabaseError, InterfaceError, OperationalError

import handlers.compute
import handlers.delivery
import handlers.replay_orders
import handlers.sweeper
import portals.sweep
import robots.sweep
import robots.work
from b24app import alarms
from b24app.alarm import FailingSweep
from portals import lease
from portals.clock import db_now
from robots.push import want_all

log = structlog.get_logger(__name__)

# A room swept this recently is not swept again: two beats, or messages that piled up, cost a look each.
_REST_SECONDS = 1.0
# A pass that takes longer (a dead portal is asked) does not keep the next one waiting for ever.
_SWEEP_SECONDS = 60.0

SWEEPS: dict[str, Callable[[], object]] = {
    "handlers": handlers.sweeper.sweep,
    "replays": handlers.replay_orders.sweep,
    "robots": robots.sweep.sweep,
    "portals": lambda: portals.sweep.sweep(after=want_all),
    "alarms": alarms.check,
}


def sweep(asked: bool = False) -> list[str]:
    """One pass of every room, and the rooms that failed; one that is being swept elsewhere, or fails, keeps no other.

    `asked`: somebody wants it now (`manage.py sweep`), so that a room just swept is swept again.
    """
    failed: list[str] = []
    for room, work in SWEEPS.items():
        held = lease.take(f"sweep:{room}", _SWEEP_SECONDS)
        if held is None and asked:
            held = _after_rest(room)
        if held is None:
            continue
        try:
            work()
        except Exception as error:
            log.exception("a sweep failed", room=room)
            failed.append(room)
            _note_failure(room, error)
        else:
            FailingSweep.objects.filter(room=room).delete()
        finally:
            held.renew(_REST_SECONDS)
    return failed


def _note_failure(room: str, error: Exception) -> None:
    """Since when it has failed is what an alarm goes by: the lease is renewed by a pass that failed, too."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    with suppress(DatabaseError, InterfaceError):
        since = {"since": db_now(), "error": type(error).__name__[:100]}
        FailingSweep.objects.get_or_create(room=room, defaults=since)


def _after_rest(room: str) -> lease.Held | None:
    """The room's turn, if nobody sweeps it but the rest after a pass keeps it."""
    end = time.monotonic() + _REST_SECONDS + 1.0
    while (held := lease.take(f"sweep:{room}", _SWEEP_SECONDS)) is None and time.monotonic() < end:
        time.sleep(0.1)
    return held


QUEUES: dict[str, Callable[[], object]] = {
    "compute": handlers.compute.work,
    "deliver": handlers.delivery.work,
    "push": robots.work.work,
    "replay": handlers.replay_orders.work,
    "sweep": sweep,
}


@shared_task(name="b24app.wake", ignore_result=True)
def wake(queue: str) -> None:
    """Looks for work of one queue in the database; an unknown name is somebody's rubbish and does nothing."""
    work = QUEUES.get(queue) if isinstance(queue, str) else None
    if work is None:
        log.warning("unknown queue")
        return
    try:
        work()
    except (OperationalError, InterfaceError) as error:
        # A line, not a traceback, however many wake-ups come while it lasts; what was held goes on by its lease.
        log.warning("the database went away", queue=queue, error=type(error).__name__)
