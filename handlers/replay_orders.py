"""Replays (releases, acknowledgements) of many calls: ordered, confirmed, worked on in small transactions, cancellable.

Some calls' new runs and the count of how far it is are committed together, so that a process that dies midway
neither leaves one out nor runs one twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import translation

from handlers.models import Invocation, ReplayOrder
from handlers.replay import CannotReplay, acknowledge, release, replay
from portals import lease, stopping, wake
from portals.clock import db_now

# A person decides about so many at a stroke.
MOST = 10_000
# The write lock of SQLite is held for so many at once; calls come in between.
PIECE = 20
_LEASE_SECONDS = 60.0
# A draft that nobody confirmed is thrown away.
_DRAFT_DAYS = 1

DEEDS: dict[str, Callable[[Invocation, str, str], Invocation]] = {
    ReplayOrder.Deed.REPLAY: replay,
    ReplayOrder.Deed.RELEASE: release,
    ReplayOrder.Deed.ACKNOWLEDGE: acknowledge,
}


def draft(deed: str, chosen: QuerySet[Invocation], by: str) -> ReplayOrder:
    """An order of the newest MOST of the chosen calls, not confirmed yet."""
    ids: Iterable[int] = chosen.order_by("-id").values_list("pk", flat=True)[:MOST]
    calls = sorted(ids)
    return ReplayOrder.objects.create(
        deed=deed,
        ordered_by=by[:150],
        ordered_at=db_now(),
        calls=calls,
        total=len(calls),
        language=translation.get_language() or "",
    )


def confirm(order: ReplayOrder, why: str) -> bool:
    """Sets it going; False where it was confirmed before or has ended."""
    drafts = ReplayOrder.objects.filter(pk=order.pk, confirmed_at=None, ended_at=None)
    done = drafts.update(confirmed_at=db_now(), why=why[:500])
    if done:
        wake.wake("replay")
    return bool(done)


def cancel(order: ReplayOrder, by: str) -> bool:
    """What was not decided about stays as it is. False where it had ended."""
    still = ReplayOrder.objects.filter(pk=order.pk, ended_at=None)
    return bool(still.update(ended_at=db_now(), cancelled_by=by[:150]))


def open_orders() -> QuerySet[ReplayOrder]:
    return ReplayOrder.objects.filter(confirmed_at__isnull=False, ended_at__isnull=True).order_by("id")


def work() -> None:
    """What a `replay` wake does: the open orders, one after the other, each by one process at a time."""
    for key in list(open_orders().values_list("pk", flat=True)):
        held = lease.take(f"replay-order:{key}", _LEASE_SECONDS)
        if held is None:
            continue
        try:
            while _piece(key) and held.renew(_LEASE_SECONDS) and not stopping.asked():
                pass
        finally:
            held.release()


def sweep() -> None:
    """Lost wake-ups, orders whose process died, drafts that nobody confirmed."""
    if open_orders().exists():
        wake.wake("replay")
    old = db_now() - dt.timedelta(days=_DRAFT_DAYS)
    ReplayOrder.objects.filter(confirmed_at=None, ordered_at__lt=old).delete()


def _piece(key: int) -> bool:
    """Decides about the next few calls; False where nothing is left."""
    with transaction.atomic():
        order = open_orders().select_for_update().filter(pk=key).first()
        if order is None:
            return False
        ids = order.calls[order.taken : order.taken + PIECE]
        rows = Invocation.whole.select_related("portal", "version", "stored").in_bulk(ids)
        with translation.override(order.language or settings.LANGUAGE_CODE):
            for call in (rows[pk] for pk in ids if pk in rows):
                try:
                    DEEDS[order.deed](call, order.ordered_by, order.why)
                    order.done += 1
                except CannotReplay as error:
                    order.refused[str(error)] = order.refused.get(str(error), 0) + 1
        order.taken += len(ids)
        if order.taken >= order.total:
            order.ended_at = db_now()
        order.save(update_fields=["taken", "done", "refused", "ended_at"])
    # What was woken within the transaction may have looked too early.
    wake.wake("compute")
    wake.wake("deliver")
    return order.ended_at is None
