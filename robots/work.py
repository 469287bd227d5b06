"""What a wake of the queue `push` does: the registrations that are due, portal by portal (design §2, §4)."""

from __future__ import annotations

import logging

from django.db.models import F, Max, Min

from portals import stopping, wake
from portals.clock import db_now
from portals.keeper import kept
from portals.models import Portal
from robots import push_queue
from robots.models import Registration
from robots.push import push_portal
from robots.push_settle import EVERY

log = logging.getLogger(__name__)


def work() -> int:
    """What people ordered, then what is due by itself; the number of portals that were asked."""
    return push_queue.work() + push_due()


def push_due() -> int:
    """Pushes in the background wherever something is due; the number of portals that were asked.

    A portal that another process pushes to is left to it. Each portal is asked once. What people order meanwhile
    goes first: whoever is woken does it, and then goes on here.
    """
    asked: set[int] = set()
    if _next_due(asked) is None or (place := push_queue.take_place(background=True)) is None:
        return 0
    with kept(place) as ours:
        while ours() and not stopping.asked() and (portal := _next_due(asked)) is not None:
            asked.add(portal.pk)
            _push_due(portal)
            if push_queue.claimable().exists():
                wake.wake("push")
                break
    return len(asked)


def _push_due(portal: Portal) -> None:
    try:
        adopt, by = push_queue.adoptions(portal)
        result = push_portal(portal, person=False, adopt=adopt, by=by)
    except Exception:
        # One portal's trouble must not keep the others' robots blocked; its rows stay due, a while later.
        log.exception("a push failed", extra={"portal": portal.pk})
        now = db_now()
        rows = Registration.objects.filter(portal=portal, due_at__lte=now)
        rows.update(due_at=now + EVERY, error_at=now)
        return
    push_queue.note_others(portal, result)
    if result.trouble:
        log.warning("a push waits", extra={"portal": portal.pk, "why": result.trouble})


def _next_due(asked: set[int]) -> Portal | None:
    """The portal that has waited longest, those that met an error last: silent ones must not go before a portal
    whose robots are blocked since its installation. One without the application takes nothing."""
    return (
        Portal.objects.filter(state=Portal.State.INSTALLED, registrations__due_at__lte=db_now())
        .exclude(pk__in=asked)
        .annotate(waits_since=Min("registrations__due_at"), failed_at=Max("registrations__error_at"))
        .order_by(F("failed_at").asc(nulls_first=True), "waits_since")
        .select_related("application")
        .first()
    )
