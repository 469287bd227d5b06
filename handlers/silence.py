"""A portal that gives no answer: after a few requests in a row it is asked once a minute, like any in trouble.

A call's own back-off is not enough. Each new call has none yet, and a portal that takes requests and says nothing
holds a sender for over a minute each time.
"""

from __future__ import annotations

import datetime as dt
import itertools

from django.db import connection

from handlers.models import Sending
from portals import trouble
from portals.errors import PortalTrouble, UnknownAnswer
from portals.models import Portal

# As many as a batch that runs too long needs to shrink to one result.
MOST = 3
# For so many requests after one with looks that got no answer, results go without looks.
_APART = 10
# A silence is followed back over so many requests: one in trouble is sent at most four a minute.
_FAR = 200
_TOLD = (Sending.Outcome.ANSWERED, Sending.Outcome.UNKNOWN)
_OUTCOMES = (*_TOLD, Sending.Outcome.TROUBLE)


def note(portal: Portal, sending: Sending, error: UnknownAnswer) -> None:
    """One more request whose answer is not known. Only what carries results counts: a look, or a robot's own call,
    that makes a portal stumble says nothing of it."""
    if not sending.results:
        return
    if portal.trouble != Portal.Trouble.UNREACHABLE:
        sendings = Sending.objects.filter(portal=portal, outcome__in=_OUTCOMES, results__gt=0).order_by("-id")
        last = list(sendings.values_list("outcome", flat=True)[:MOST])
        if last != [Sending.Outcome.UNKNOWN] * MOST:
            return
    trouble.record(portal, PortalTrouble(Portal.Trouble.UNREACHABLE, error.code, error.text))


def looks_go_apart(portal: Portal) -> bool:
    """Whether the last request with looks got no answer: results beside the next ones would count as sent, and as
    silence, for what may be the looks' doing. For a few requests only, or a busy portal would never be looked at."""
    lately = Sending.objects.filter(portal=portal).order_by("-id").values_list("looks", "outcome")[:_APART]
    told = [outcome for looks, outcome in lately if looks and outcome in _TOLD]
    return told[:1] == [Sending.Outcome.UNKNOWN]


def since_before(moment: dt.datetime) -> set[int]:
    """Portals that have results waiting and answered none since before `moment`, each request's answer lost.

    Their trouble need not last: one that answers a small question is well again until the next results are lost. Those
    whose trouble lasts that long are left out: it tells of itself.
    """
    sql = (
        "SELECT p.id FROM portals_portal p WHERE p.state = 'installed' AND p.paused_at IS NULL"
        " AND (p.trouble = '' OR (p.trouble = 'unreachable' AND p.trouble_since > %s))"
        " AND (EXISTS (SELECT 1 FROM handlers_invocation i WHERE i.portal_id = p.id AND i.state = 'ready')"
        # The partial index's own condition beside ours, or SQLite does not use it.
        " OR p.id IN (SELECT i.portal_id FROM handlers_invocation i"
        " WHERE i.state IN ('computing', 'sending') AND i.state = 'sending'))"
        # By the last of them almost all portals are told apart: one look into an index each.
        " AND 'unknown' = (SELECT s.outcome FROM handlers_sending s WHERE s.portal_id = p.id AND s.results > 0"
        " AND s.outcome IN ('answered', 'unknown') ORDER BY s.id DESC LIMIT 1)"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [connection.ops.adapt_datetimefield_value(moment)])
        found = [row[0] for row in cursor.fetchall()]
    return {pk for pk in found if _lost_since_before(pk, moment)}


def _lost_since_before(portal_id: int, moment: dt.datetime) -> bool:
    sendings = Sending.objects.filter(portal=portal_id, outcome__in=_TOLD, results__gt=0).order_by("-id")
    last = sendings.values_list("outcome", "started_at")[:_FAR]
    lost = list(itertools.takewhile(lambda each: each[0] == Sending.Outcome.UNKNOWN, last))
    return len(lost) >= MOST and lost[-1][1] <= moment
