"""The one task, and what each queue's wake does. A table: a queue is a name and a function."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from celery import shared_task

import handlers.compute
import handlers.delivery
import handlers.sweeper

log = structlog.get_logger(__name__)


def sweep() -> None:
    """One pass of every room; a room that fails does not keep the others from theirs."""
    for room in SWEEPS:
        try:
            room()
        except Exception:
            log.exception("a sweep failed", room=room.__module__)


SWEEPS: list[Callable[[], object]] = [handlers.sweeper.sweep]

QUEUES: dict[str, Callable[[], object]] = {
    "compute": handlers.compute.work,
    "deliver": handlers.delivery.work,
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
