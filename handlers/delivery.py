"""Who is sent to now: one sender an account, accounts in turn, as much as each account's bucket takes.

An account is a `member_id`: two applications on one portal share its bucket and its processes, and results of one
process never travel in two requests at once (contract §4, §7). What one request is: sending.py.
"""

from __future__ import annotations

import random
import time

from django.db import connection

from handlers import slots, waits
from handlers.sending import LEASE, send_one
from portals import bucket, lease, stopping, trouble
from portals.clock import after_sql, now_sql
from portals.keeper import kept
from portals.models import Portal
from portals.wake import wake

# A child that finds all buckets empty waits this long at a time, and this long in all, before it leaves.
_NAP, _NAPS = 0.5, 20.0
# While the bucket is scarce, a batch is filled for at most this long.
_FILL_SECONDS = 1.0
# However many calls a portal in trouble makes, it is not asked more often than this.
_TROUBLE_REST = 5.0


def work() -> None:
    """What a `deliver` wake does: accounts in turn while any takes something, in a place of this worker."""
    place = slots.take_delivering()
    if place is None:
        return
    waited = 0.0
    with kept(place) as ours:
        while ours() and not stopping.asked():
            soonest = _round()
            if soonest is None or waited > _NAPS:
                return
            if soonest > 0:
                nap = min(soonest, _NAP)
                waited += nap
                time.sleep(nap)
            else:
                waited = 0.0


def deliver_now(portal: Portal) -> None:
    """One request to this portal's account by whoever has just computed for it; the rest is `work`'s.

    A call of its own shows that a portal in trouble lives: it is asked again at once, or as soon as it has had its
    seconds of rest.
    """
    rest = trouble.seconds_until_asked(portal) - (trouble.EVERY - _TROUBLE_REST)
    if rest > 0:
        trouble.ask_in(portal.pk, rest)
    else:
        trouble.ask_now(portal.pk)
    found = _with_work(portal.member_id)
    if (found and _serve(found) != 0.0) or (found and _with_work(portal.member_id)):
        wake("deliver")


def _round() -> float | None:
    """Serves each account once: 0.0 where something went out, else seconds until it is worth while, None: idle."""
    accounts: dict[str, list[Portal]] = {}
    for portal in _with_work():
        accounts.setdefault(portal.member_id, []).append(portal)
    soonest: float | None = None
    for portals in accounts.values():
        if stopping.asked():
            break
        wait = _serve(portals)
        if wait is not None:
            soonest = wait if soonest is None else min(soonest, wait)
    return _next_due() if soonest is None else soonest


def _next_due() -> float | None:
    """Seconds until the next result is due, where that is sooner than a sweep would find it; else None."""
    soon = after_sql(connection.vendor, "%s")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM portals_portal p WHERE p.state = 'installed' AND p.paused_at IS NULL AND p.trouble = ''"
            " AND EXISTS (SELECT 1 FROM handlers_invocation i WHERE i.portal_id = p.id AND i.state = 'ready'"
            f" AND i.due_at > {now_sql(connection.vendor)} AND i.due_at <= {soon}) LIMIT 1",
            [2 * _NAP],
        )
        return _NAP / 2 if cursor.fetchone() else None


def _with_work(member_id: str | None = None) -> list[Portal]:
    """Portals that may be spoken to and have a result, a repeat or a look due."""
    now = now_sql(connection.vendor)
    one = "AND p.member_id = %s" if member_id else ""
    sql = (
        "SELECT p.* FROM portals_portal p WHERE p.state = 'installed' AND p.paused_at IS NULL"
        f" AND (p.trouble = '' OR p.ask_again_at IS NULL OR p.ask_again_at <= {now}) {one} AND ("
        "EXISTS (SELECT 1 FROM handlers_invocation i WHERE i.portal_id = p.id AND i.state = 'ready'"
        f" AND i.due_at <= {now})"
        " OR EXISTS (SELECT 1 FROM handlers_invocation i WHERE i.portal_id = p.id"
        f" AND i.confirm_at <= {now}))"
    )
    return list(Portal.objects.raw(sql, [member_id] if member_id else []))


def _serve(portals: list[Portal]) -> float | None:
    """One request to one account: 0.0 sent, None where nothing may go or another sends, else seconds to wait."""
    member_id = portals[0].member_id
    held = lease.take(f"send:{member_id}", LEASE)
    if held is None:
        return None
    try:
        calm = _is_calm(member_id)
        soonest: float | None = None
        # Two applications on one portal take turns.
        for portal in random.sample(portals, len(portals)):
            waits.end_waits(portal.pk)
            wait = _too_early(portal, calm)
            if wait == 0.0:
                wait = bucket.take(member_id)
                if wait == 0.0 and send_one(portal, held, calm):
                    return 0.0
            if wait:
                soonest = wait if soonest is None else min(soonest, wait)
        return soonest
    finally:
        held.release()


def _too_early(portal: Portal, calm: bool) -> float | None:
    """0.0 where a request is worth it now, else seconds until it may be; None: nothing is due.

    While the bucket is scarce a batch is filled, for as long as rows of this portal are still being computed and
    none has waited for long; looks and quiet repeats alone wait until it is calm (contract §7).
    """
    now = now_sql(connection.vendor)
    rows = "SELECT 1 FROM handlers_invocation WHERE portal_id = %s AND"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT (SELECT COUNT(*) FROM ({rows} state = 'ready' AND due_at <= {now} LIMIT %s) AS ready),"
            f" EXISTS ({rows} state = 'ready' AND due_at <= {after_sql(connection.vendor, '%s')}),"
            f" EXISTS ({rows} state = 'received' AND due_at <= {now}),"
            # Asked for in the index's order: how many of a log's rows are due the planner guesses to be a third, and
            # reads it from end to end in the hope of meeting one soon.
            f" ({rows} confirm_at <= {now} ORDER BY confirm_at LIMIT 1) IS NOT NULL",
            [portal.pk, portal.batch_size, portal.pk, -_FILL_SECONDS, portal.pk, portal.pk],
        )
        ready, waited, more, owed = cursor.fetchone()
    if ready:
        return 0.0 if calm or ready >= portal.batch_size or waited or not more else _FILL_SECONDS / 4
    if owed:
        return 0.0 if calm else _NAP
    return None


def _is_calm(member_id: str) -> bool:
    """Whether the account's bucket is at least half empty: looks and repeats may have requests of their own."""
    state = bucket.snapshot(member_id)
    return state.blocked_for <= 0 and state.level <= state.capacity / 2
