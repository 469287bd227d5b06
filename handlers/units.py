"""A unit: claimed rows of one portal and one robot, and what becomes of each; written together, soon.

Bounded in number and time, so that neither a burst nor a slow robot delays another portal's call by more than one
unit. Where one row runs long, what has not begun is given back meanwhile, each at its former place: another child may
take it.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from django.db import transaction

from handlers import attempts, claims
from handlers.attempts import Note
from handlers.claims import Claim, Settlement
from handlers.computed import Row
from handlers.due import wake_when_due
from handlers.models import Invocation
from portals.failpoint import failpoint
from portals.wake import wake

ROWS = 50
SECONDS = 0.5
# One that still runs begins no other row: what is left of it would wait for nothing.
RUNS_LONG = 2 * SECONDS
# Results are written together, at the latest this long after the first of them.
_FLUSH_SECONDS = 0.2
_FLUSH_ROWS = 25


class Unit:
    """Claimed rows, taken one by one for SECONDS in the order in which they came due, and what became of them."""

    def __init__(self, rows: list[Claim]) -> None:
        self.loaded = load(rows)
        known = [claim for claim in rows if claim.id in self.loaded]
        known.sort(key=lambda claim: (self.loaded[claim.id].invocation.due_at, claim.id))
        self.any_ready = False
        self._left = deque(known)
        self._begun = False
        self._done: list[Settlement] = []
        self._notes: list[Note] = []
        self._flushed = time.monotonic()
        # The thread that computes and the one that looks whether it runs long exclude each other: a row that
        # was begun is never given back.
        self._lock = threading.Lock()

    def rows(self) -> Iterator[Claim]:
        """Each row to be begun, the first in any case; at the end all are settled or given back."""
        began = time.monotonic()
        first = True
        while first or time.monotonic() - began <= SECONDS:
            first = False
            with self._lock:
                if not self._left:
                    break
                claim = self._left.popleft()
                self._begun = True
            yield claim
        self.close()

    def close(self) -> None:
        """What is done is written, and what has not begun given back."""
        with self._lock:
            self._write()
            self._give_back()

    def settle(self, settlement: Settlement, notes: list[Note]) -> None:
        """Written with others, soon."""
        with self._lock:
            self._done.append(settlement)
            self._notes += notes
            self.any_ready = self.any_ready or settlement.state == "ready"
            if len(self._done) >= _FLUSH_ROWS or time.monotonic() - self._flushed > _FLUSH_SECONDS:
                self._write()

    def runs_long(self) -> None:
        """For another thread: results are written, and what has not begun is for anybody, though a row still runs."""
        with self._lock:
            self._write()
            # On a machine too slow to begin one, the rows would go round for ever.
            given_back = self._begun and self._give_back()
            ready = self.any_ready
        if given_back:
            wake("compute")
        if ready:
            wake("deliver")

    def _write(self) -> None:
        _flush(self._done, self._notes)
        self._flushed = time.monotonic()

    def _give_back(self) -> bool:
        """Not charged, each at its former place."""
        claims.settle(
            [Settlement(claim.id, claim.fence, "computing", "received", delay=None) for claim in self._left]
        )
        given_back = bool(self._left)
        self._left.clear()
        return given_back


def _flush(done: list[Settlement], notes: list[Note]) -> None:
    """What became of rows and why, in one transaction: no call ends without its cause being told."""
    with transaction.atomic():
        ours = claims.settle(done)
        failpoint("compute.in_commit")
        attempts.write([note for note in notes if note.invocation_id in ours])
    failpoint("compute.settled")
    wake_when_due(done)
    done.clear()
    notes.clear()


def load(rows: list[Claim]) -> dict[int, Row]:
    found = Invocation.whole.filter(pk__in=[row.id for row in rows])
    return {invocation.pk: Row(invocation, _came(invocation)) for invocation in found}


def _came(invocation: Invocation) -> dict[str, Any] | None:
    """What came in, decoded; None where it is damaged: its row ends alone, and keeps no other of the unit."""
    try:
        call = json.loads(invocation.call)
    except (ValueError, RecursionError):
        return None
    return call if isinstance(call, dict) else None
