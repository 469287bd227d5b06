"""A portal that gives no answer: after a few requests in a row it is asked once a minute, like any in trouble.

A call's own back-off is not enough. Each new call has none yet, and a portal that takes requests and says nothing
holds a sender for over a minute each time.
"""

from __future__ import annotations

from handlers.models import Sending
from portals import trouble
from portals.errors import PortalTrouble, UnknownAnswer
from portals.models import Portal

# As many as a batch that runs too long needs to shrink to one result.
MOST = 3
# For so many requests after one with looks that got no answer, results go without looks.
_APART = 10
_OUTCOMES = (Sending.Outcome.ANSWERED, Sending.Outcome.UNKNOWN, Sending.Outcome.TROUBLE)


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
    told = [
        outcome
        for looks, outcome in lately
        if looks and outcome in (Sending.Outcome.ANSWERED, Sending.Outcome.UNKNOWN)
    ]
    return told[:1] == [Sending.Outcome.UNKNOWN]
