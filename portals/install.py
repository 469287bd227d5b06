"""What becomes of a claim of an installation (contract §3).

Three ways lead in: the frame form, the event ONAPPINSTALL (and ONAPPUPDATE), full OAuth. Each is made a
`Claim`; `receive` has it verified at the token server, or keeps it where that can't be done now.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from portals import pending, verify
from portals.claim import OAUTH, Claim
from portals.errors import Passes
from portals.models import Application, Portal

log = logging.getLogger(__name__)

# Forged forms must not hold more threads of a web process than this (design §2 rule 9).
_slots = threading.BoundedSemaphore(2)
TOKEN_SERVER_SECONDS = 5.0

After = Callable[[Portal], object]


@dataclass(frozen=True)
class Outcome:
    """`result`: installed (trusted now), known (nothing changed), pending (kept, to be verified later),
    refused.

    `portal` is set where the claim was verified or known; `sentence` says why where it was not.
    """

    result: str
    portal: Portal | None = None
    sentence: str = ""


def receive(application: Application, claim: Claim, after: After | None = None) -> Outcome:
    """Verifies a claim now if a slot is free and the token server answers, else keeps it for the sweep.

    `after(portal)` is called where the portal has to be given its robots (again).
    """
    if verify.nothing_to_gain(application, claim):
        return Outcome("known", verify.find(application, claim.member_id))
    if not _slots.acquire(blocking=False):
        return _keep(
            application, claim, Passes("busy", "Other installations are being verified.", retry_after=5.0)
        )
    try:
        done = verify.verify(application, claim, TOKEN_SERVER_SECONDS)
    except verify.Refused as error:
        log.warning("An installation of %s on %s was refused: %s", application.slug, claim.member_id, error)
        return Outcome("refused", sentence=str(error))
    except verify.Later as error:
        return _keep(application, error.claim, error)
    except Passes as error:
        return _keep(application, claim, error)
    finally:
        _slots.release()
    pending.forget(application, claim)
    if done.changed and after is not None:
        after(done.portal)
    return Outcome("installed" if done.changed else "known", done.portal)


def _keep(application: Application, claim: Claim, error: Passes) -> Outcome:
    if claim.way == OAUTH:
        # A code lives 30 s: there is nothing to keep.
        return Outcome("refused", sentence=f"The token server can't be asked now ({error.code}).")
    if not pending.keep(application, claim, error):
        return Outcome("refused", sentence="Too many installations wait to be verified; try again later.")
    log.warning(
        "An installation of %s on %s waits for the token server (%s)",
        application.slug,
        claim.member_id,
        error.code,
    )
    return Outcome("pending")
