"""What becomes of a call that could be read: a row, or the spool, or a refusal. Never a wait."""

from __future__ import annotations

import structlog
from django.db import DatabaseError

from handlers import intake_db, known, refusals, spool
from handlers.accept import Refused, accept
from handlers.incoming import Incoming
from handlers.offers import offer_tokens
from portals.crypto import SecretUnreadable
from portals.failpoint import failpoint
from portals.wake import wake

log = structlog.get_logger(__name__)


def take(call: Incoming, address: str) -> None:
    """Returns once the call is on disk. Raises Refused, spool.SpoolFull."""
    failpoint("accept.before")
    try:
        accepted = accept(call)
    except Refused as refusal:
        if refusal.portal is not None:
            offer_tokens(refusal.portal, call)
        if not _kept_for_pending(call):
            refusals.note(call, refusal.reason, str(refusal), address)
            raise
        return
    except intake_db.Away:
        spool.put(call)
        # Starts the thread that finds the database back.
        wake("compute")
        return
    except (DatabaseError, SecretUnreadable):
        # The database answers and refuses the row, or no key opens the portal's token: ours to look at, never the
        # portal's to lose.
        log.exception("a call can't be stored; it is spooled", member_id=call.member_id)
        spool.put(call)
        return
    failpoint("accept.committed")
    wake("compute")
    if call.tokens and known.needs_token(accepted.portal):
        offer_tokens(accepted.portal, call)


def _kept_for_pending(call: Incoming) -> bool:
    """A call whose installation still waits for the token server is kept, unverified, till that is known."""
    try:
        if not refusals.claim_is_pending(call):
            return False
    except intake_db.Away:
        pass
    spool.put(call)
    # Starts the thread that drains it.
    wake("compute")
    return True
