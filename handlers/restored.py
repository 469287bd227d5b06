"""What a restored database can't know: whether a call that was under way has been answered since the backup.

Its result may have been computed and sent, and computed anew it may be another: two different results for one
token (contract §7). So such a call waits for a person, who looks at the process first.
"""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from handlers import attempts, claims
from handlers.attempts import Note
from handlers.claims import Settlement
from handlers.models import Attempt, Cause, Invocation, ReplayOrder, State
from portals.clock import db_now, now_sql

_PAGE = 500
# In the place of whoever cancelled an order, on its page.
_BY = "backup_restored"


def end_orders() -> int:
    """Replays of many that were open, and drafts: what an order did after the backup it would do once more, and calls
    that were answered since would be computed again; how many."""
    return ReplayOrder.objects.filter(ended_at=None).update(ended_at=db_now(), cancelled_by=_BY)


def put_aside() -> int:
    """Calls without a result whose process may still wait: to `failed`, by a cause of its own; how many.

    What has a result sends that one again, which is harmless. What nobody waits for is computed again, as after any
    crash; what waited until a time that is past ends by itself.
    """
    wanted = (
        f"state IN ('received', 'computing') AND (deadline IS NULL OR deadline > {now_sql(connection.vendor)})"
        " AND id IN (SELECT id FROM handlers_receivedcall WHERE waits)"
        # Not NOT IN: beside many results PostgreSQL reads them all anew for each call.
        " AND NOT EXISTS (SELECT 1 FROM handlers_invocationresult WHERE invocation_id = handlers_invocation.id)"
        " ORDER BY id"
    )
    done = 0
    while found := claims.claim(wanted, [], "computing", _PAGE):
        aside = [Settlement(c.id, c.fence, "computing", "failed", Cause.RESTORED, ended=True) for c in found]
        done += len(claims.settle(aside))
    return done


def remark_failed() -> int:
    """Calls that had failed before the backup: they may have been released or replayed since, which their story says
    before a person does it again; how many."""
    done = 0
    known = Attempt.objects.filter(code=Cause.RESTORED, invocation=OuterRef("pk"))
    unsure = (
        Invocation.objects.filter(
            Q(deadline=None) | Q(deadline__gt=db_now()),
            state=State.FAILED,
            waits=True,
            followed_at=None,
            stored=None,
        )
        .exclude(cause=Cause.RESTORED)
        .exclude(Exists(known))
        .order_by("pk")
    )
    while ids := list(unsure.values_list("pk", flat=True)[:_PAGE]):
        with transaction.atomic():
            attempts.write([Note(pk, "accept", Cause.RESTORED) for pk in ids])
        done += len(ids)
    return done
