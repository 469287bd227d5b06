"""Every refresh token that was ever handed to a token server: its second use can lose a portal (contract §2).

Written before the request goes out, so one whose answer never came counts as spent too. Forms come again: a
person reloads a page, an event is repeated or late. What comes again is answered from what stands here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.db.models import F

from portals import lease
from portals.clock import db_now
from portals.crypto import token_hash
from portals.models import SpentToken

# A form's token dies by itself after as long.
KEEP = dt.timedelta(days=180)
# Those of our own renewals nobody else has seen; a call in a portal's queue is minutes old, not days.
KEEP_OWN = dt.timedelta(days=7)
# Anybody may post forms; of those that were refused the newest are remembered.
MOST_REFUSED = 100_000
_TRIM_EVERY = 3600.0


def begin(application_id: int, member_id: str, token: str, keep: dt.timedelta = KEEP) -> bool:
    """To be committed before the token is used; False where it was used before, by whomever."""
    now = db_now()
    _row, made = SpentToken.objects.get_or_create(
        application_id=application_id,
        token_hash=token_hash(token),
        defaults={"member_id": member_id, "spent_at": now, "forget_at": now + keep},
    )
    return made


def take_back(application_id: int, token: str) -> None:
    """The token server was not reached, or did not take it: it may be used again."""
    SpentToken.objects.filter(
        application_id=application_id, token_hash=token_hash(token), proved=None
    ).delete()


def settle(application_id: int, hashes: Iterable[bytes], proved: bool) -> None:
    """What the token server said of it, once everything that follows from that is written."""
    SpentToken.objects.filter(application_id=application_id, token_hash__in=list(hashes)).update(
        proved=proved
    )


def is_proved(application_id: int, member_id: str, token: str) -> bool:
    """Whether it was used, and the token server confirmed it as this portal's."""
    return SpentToken.objects.filter(
        application_id=application_id, member_id=member_id, token_hash=token_hash(token), proved=True
    ).exists()


def is_unanswered(application_id: int, member_id: str, token: str) -> bool:
    """Whether a claim of this portal used it and nobody knows how that ended: whoever did has died over it, since
    others are kept off by the claim's lease. Those of our own renewals, kept for a shorter time, are not meant."""
    return SpentToken.objects.filter(
        application_id=application_id,
        member_id=member_id,
        token_hash=token_hash(token),
        proved=None,
        forget_at__gt=F("spent_at") + KEEP_OWN,
    ).exists()


def trim() -> int:
    """Forgets dead tokens and the oldest of many refused ones, once an hour; the number removed."""
    if lease.take("spent-tokens", _TRIM_EVERY) is None:
        return 0
    removed = SpentToken.objects.filter(forget_at__lt=db_now()).delete()[0]
    refused = SpentToken.objects.filter(proved=False)
    surplus = refused.order_by("-pk").values_list("pk", flat=True)[MOST_REFUSED : MOST_REFUSED + 1]
    for newest in list(surplus):
        removed += refused.filter(pk__lte=newest).delete()[0]
    return removed
