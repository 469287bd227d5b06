"""Pausing a portal: its calls are taken in and computed, nothing is sent until it is resumed."""

from __future__ import annotations

from collections.abc import Iterable

from portals.clock import db_now
from portals.models import Portal


def pause(portals: Iterable[Portal]) -> int:
    """Holds what these portals are owed; how many were not paused before."""
    ids = [portal.pk for portal in portals]
    return Portal.objects.filter(pk__in=ids, paused_at=None).update(paused_at=db_now())


def resume(portals: Iterable[Portal]) -> int:
    """Lets them have it again, at once; how many were paused."""
    from portals.wake import wake

    ids = [portal.pk for portal in portals]
    resumed = Portal.objects.filter(pk__in=ids).exclude(paused_at=None).update(paused_at=None)
    if resumed:
        wake("deliver")
    return resumed
