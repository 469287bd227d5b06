"""Every few seconds: what a lost process, a lost message or the clock has left to do (design §2).

Each piece is safe to do twice at once: rows are taken by compare-and-set.
"""

from __future__ import annotations

import structlog
from django.db import transaction

from handlers import attempts, claims, drain, refusals, waits
from handlers.attempts import Note
from handlers.claims import Settlement
from handlers.models import Invocation
from portals.clock import db_now
from portals.failpoint import failpoint
from portals.wake import wake

log = structlog.get_logger(__name__)

_PAGE = 500
# A row whose process died under it this often is not tried again.
_LOST_MAX = 5


def sweep() -> None:
    """One pass over calls. A part that fails keeps no other from its own; what failed is raised in the end."""
    failed: list[Exception] = []
    for part in (
        drain.tend,
        _take_up_expired,
        waits.end_waits,
        waits.end_uninstalled,
        refusals.trim,
        _wake_what_is_due,
    ):
        try:
            part()
        except Exception as error:
            failed.append(error)
    if failed:
        raise ExceptionGroup("parts of a sweep failed", failed)


def _take_up_expired() -> None:
    """Rows of processes that died: to be computed or sent again, charged only where their own run had begun."""
    while found := claims.expired(_PAGE):
        failpoint("sweep.taken_up")
        done: list[Settlement] = []
        notes: list[Note] = []
        for claim, state, started, tries in found:
            if state == "sending":
                row = Invocation.objects.values("cause", "confirmation", "stored").get(pk=claim.id)
                if row["stored"] is None:
                    # It was to be ended without being computed (waits.py), and there is nothing to send.
                    done.append(Settlement(claim.id, claim.fence, "sending", "received", delay=None))
                    continue
                done.append(
                    Settlement(
                        claim.id,
                        claim.fence,
                        "sending",
                        "ready",
                        row["cause"],
                        sent=True,
                        confirmation="maybe",
                    )
                    if row["confirmation"] != "repeat"
                    else Settlement(
                        claim.id,
                        claim.fence,
                        "sending",
                        "delivered",
                        row["cause"],
                        sent=True,
                        ended=True,
                        confirmation="repeat",
                        confirm_in=1.0,
                    )
                )
                notes.append(
                    Note(claim.id, "send", "sender_lost", "The process that sent it died; it is sent again.")
                )
            elif started:
                last = tries >= _LOST_MAX
                done.append(
                    Settlement(
                        claim.id,
                        claim.fence,
                        "computing",
                        "failed" if last else "received",
                        cause="process_died" if last else "",
                        ended=last,
                        delay=0.0 if last else float(tries),
                    )
                )
                notes.append(Note(claim.id, "compute", "worker_lost", "The worker that computed it died."))
            else:
                done.append(Settlement(claim.id, claim.fence, "computing", "received", delay=None))
        with transaction.atomic():
            ours = claims.settle(done)
            failpoint("sweep.in_commit")
            attempts.write([note for note in notes if note.invocation_id in ours])
        failpoint("sweep.settled")
        log.info("expired leases taken up", rows=len(ours))
        if len(found) < _PAGE:
            return


def _wake_what_is_due() -> None:
    """A message lost with a broker costs what is left until the next sweep."""
    now = db_now()
    due = Invocation.objects.filter(due_at__lte=now)
    if due.filter(state="received").exists():
        wake("compute")
    if due.filter(state="ready").exists() or Invocation.objects.filter(confirm_at__lte=now).exists():
        wake("deliver")
