"""What a wake of the queue `push` does: the registrations that are due, portal by portal (design §2, §4)."""

from __future__ import annotations

import logging

from django.db.models import Min

from portals import stopping
from portals.clock import db_now
from portals.models import Portal
from robots import push_queue
from robots.push import push_portal

log = logging.getLogger(__name__)


def work() -> int:
    """What people ordered, then what is due by itself; the number of portals that were asked."""
    return push_queue.work() + push_due()


def push_due() -> int:
    """Pushes in the background wherever something is due; the number of portals that were asked.

    A portal that another process pushes to is left to it. Each portal is asked once.
    """
    asked: set[int] = set()
    while not stopping.asked() and (portal := _next_due(asked)) is not None:
        asked.add(portal.pk)
        try:
            result = push_portal(portal, person=False)
        except Exception:
            # One portal's trouble must not keep the others' robots blocked; the rows stay due.
            log.exception("a push failed", extra={"portal": portal.pk})
            continue
        push_queue.note_others(portal, result)
        if result.trouble:
            log.warning("a push waits", extra={"portal": portal.pk, "why": result.trouble})
    return len(asked)


def _next_due(asked: set[int]) -> Portal | None:
    """The portal that has waited longest; a portal without the application takes nothing."""
    return (
        Portal.objects.filter(state=Portal.State.INSTALLED, registrations__due_at__lte=db_now())
        .exclude(pk__in=asked)
        .annotate(waits_since=Min("registrations__due_at"))
        .order_by("waits_since")
        .select_related("application")
        .first()
    )
