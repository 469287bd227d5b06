"""What becomes of a claim of an installation (contract §3).

Three ways lead in: the frame form, the event ONAPPINSTALL (and ONAPPUPDATE), full OAuth. Each is made a
`Claim`; `receive` has it verified at the token server, or keeps it where that can't be done now.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection
from django.utils.translation import gettext as _

from portals import pending, verify
from portals.claim import OAUTH, Claim
from portals.errors import Passes
from portals.exchange import Refused
from portals.models import Application, Portal

log = logging.getLogger(__name__)

# Forged forms must not hold more threads of a web process than this (design §2 rule 9).
_slots = threading.BoundedSemaphore(2)
TOKEN_SERVER_SECONDS = 5.0
# How long the token server may take all the same, and when the sweep looks at a claim that was this slow.
_EXCHANGE_SECONDS = 30.0
_SLOW_SECONDS = 60.0

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
    attempt = _Attempt(application, claim, after)
    # A person who waits for a code's exchange (it lives 30 s) may wait for its end.
    if not attempt.ended_within(None if claim.way == OAUTH else TOKEN_SERVER_SECONDS):
        slow = Passes("slow", "The token server has not answered yet.", retry_after=_SLOW_SECONDS)
        return _keep(application, claim, slow)
    if isinstance(attempt.error, Refused):
        why = pending.in_english(attempt.error)
        log.warning("An installation of %s on %s was refused: %s", application.slug, claim.member_id, why)
        if claim.way != OAUTH:
            pending.refused(application, claim, why)
        return Outcome("refused", sentence=str(attempt.error))
    if isinstance(attempt.error, verify.Later):
        return _keep(application, attempt.error.claim, attempt.error)
    if isinstance(attempt.error, Passes):
        return _keep(application, claim, attempt.error)
    if attempt.done is None:
        raise attempt.error or RuntimeError("A verification ended without an outcome.")
    return Outcome("installed" if attempt.done.changed else "known", attempt.done.portal)


class _Attempt:
    """A verification in a thread of its own, which holds its slot until it ends.

    An exchange spends the claim's refresh token, so it is never given up half way: who asked is answered after
    a few seconds, and the token server's answer is taken whenever it comes.
    """

    def __init__(self, application: Application, claim: Claim, after: After | None) -> None:
        self.done: verify.Verified | None = None
        self.error: Exception | None = None
        self._ended = threading.Event()
        work = functools.partial(self._run, application, claim, after)
        threading.Thread(target=work, name="verify-installation", daemon=True).start()

    def ended_within(self, seconds: float | None) -> bool:
        return self._ended.wait(seconds)

    def _run(self, application: Application, claim: Claim, after: After | None) -> None:
        try:
            self.done = verify.verify(application, claim, _EXCHANGE_SECONDS)
            pending.forget(application, claim)
            if self.done.changed and after is not None:
                after(self.done.portal)
        except Exception as error:
            self.error = error
            if not isinstance(error, Refused | Passes):
                log.exception("A verification failed.")
        finally:
            connection.close()
            _slots.release()
            self._ended.set()


def _keep(application: Application, claim: Claim, error: Passes) -> Outcome:
    if claim.way == OAUTH:
        # A code lives 30 s: there is nothing to keep.
        return Outcome(
            "refused", sentence=_("The token server can't be asked now (%(code)s).") % {"code": error.code}
        )
    if not pending.keep(application, claim, error):
        return Outcome("refused", sentence=_("Too many installations wait to be verified; try again later."))
    log.warning(
        "An installation of %s on %s waits for the token server (%s)",
        application.slug,
        claim.member_id,
        error.code,
    )
    return Outcome("pending")
