"""A push's turn on a portal: the lease, and patience with limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _

from portals import errors, lease
from robots.push_settle import Overtaken

# Longer than a request and a pause together; renewed before each request.
LEASE_SECONDS = 180.0
# A person waits this long for limits at each request, and for another push to end; the background does not.
PATIENCE = 60.0
TURN_SECONDS = 900.0

Progress = Callable[[str], None]


class Turn:
    """Held for one push of one portal; give it back with `held.release()`."""

    def __init__(self, held: lease.Held, person: bool, progress: Progress) -> None:
        self.held, self.person, self.progress = held, person, progress

    def patiently(self, request: Callable[[], Any]) -> Any:
        """Renews the lease and asks; for a person waits for limits to pass and asks again.

        Raises Overtaken where another push has the lease, and the RestError family.
        """
        end = time.monotonic() + (PATIENCE if self.person else 0.0)
        while True:
            if not self.held.renew(LEASE_SECONDS):
                raise Overtaken
            try:
                return request()
            except errors.UnknownAnswer:
                raise
            except errors.Passes as error:
                if time.monotonic() + error.retry_after > end:
                    raise
                self.progress(_("The portal limits requests; waiting %d s.") % max(error.retry_after, 1))
                time.sleep(error.retry_after)


def take_turn(portal_id: int, person: bool, progress: Progress) -> Turn | None:
    """The portal's turn; None where another push has it (a person waits for its end first)."""
    end = time.monotonic() + (TURN_SECONDS if person else 0.0)
    told = False
    while (held := lease.take(f"push:{portal_id}", LEASE_SECONDS)) is None:
        if time.monotonic() >= end:
            return None
        if not told:
            progress(_("Another push to this portal is running; waiting for it."))
            told = True
        time.sleep(0.2)
    return Turn(held, person, progress)
