"""The one task, and what each queue's wake does. A table: a queue is a name and a function."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from celery import shared_task

import handlers.compute
import handlers.delivery
import handlers.sweeper
import portals.sweep
import robots.sweep
import robots.work
from portals import lease
from robots.push import want_all

log = structlog.get_logger(__name__)

# A pass that takes longer (a dead portal is asked) does not keep the next one waiting for ever.
_SWEEP_SECONDS = 60.0

SWEEPS: dict[str, Callable[[], object]] = {
    "handlers": handlers.sweeper.sweep,
    "robots": robots.sweep.sweep,
    "portals": lambda: portals.sweep.sweep(after=want_all),
}


def sweep() -> None:
    """One pass of every room; a room that is being swept elsewhere, or fails, does not keep the others."""
    for room, work in SWEEPS.items():
        held = lease.take(f"sweep:{room}", _SWEEP_SECONDS)
        if held is None:
            continue
        try:
            work()
        except Exception:
            log.exception("a sweep failed", room=room)
        finally:
            held.release()


QUEUES: dict[str, Callable[[], object]] = {
    "compute": handlers.compute.work,
    "deliver": handlers.delivery.work,
    "push": robots.work.push_due,
    "sweep": sweep,
}


@shared_task(name="b24app.wake", ignore_result=True)
def wake(queue: str) -> None:
    """Looks for work of one queue in the database; an unknown name is somebody's rubbish and does nothing."""
    work = QUEUES.get(queue) if isinstance(queue, str) else None
    if work is None:
        log.warning("unknown queue")
        return
    work()
