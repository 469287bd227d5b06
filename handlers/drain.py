"""From the spool into the database, by the same acceptance, in order, once (design §2 rule 2).

Each machine drains its own: the web process's wake-up thread as soon as the database answers, and `sweep`
where it finds the folder. A file lock lets one of them work; a crash between acceptance and removal is a call
accepted twice, which acceptance makes one.
"""

from __future__ import annotations

import fcntl
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from handlers import intake_db, known, refusals, spool
from handlers.accept import Refused, accept
from handlers.incoming import Incoming
from handlers.known import KnownPortal
from handlers.offers import offer_tokens
from portals.crypto import token_hash
from portals.failpoint import failpoint
from portals.wake import wake

log = structlog.get_logger(__name__)

_PAGE = 100
_COPY_EVERY = 10.0
_copied_at = 0.0
_copied: tuple[object, ...] = ()
_tried_again = False


def drain() -> int:
    """Accepts what waits; the number of calls that left the spool. Stops where the database goes away."""
    if not spool.exists():
        return 0
    gone = 0
    with _alone() as alone:
        if not alone:
            return 0
        _try_again_once()
        after = 0
        try:
            while page := spool.take(_PAGE, after):
                after = page[-1].id
                gone += _drain_page(page)
        except intake_db.Away:
            pass
    if gone:
        log.info("spool drained", calls=gone)
        wake("compute")
    return gone


def _drain_page(page: list[spool.Spooled]) -> int:
    done: list[int] = []
    try:
        for entry in page:
            if entry.call is None:
                spool.set_aside(entry.id)
                continue
            try:
                if _take_in(entry.call, entry.verified):
                    done.append(entry.id)
            except intake_db.Away:
                raise
            except Exception:
                # Whatever is the matter with it keeps none that stands behind it.
                log.exception("a spooled call can't be stored; it is set aside", row=entry.id)
                spool.set_aside(entry.id)
    finally:
        if done:
            spool.remove(done)
            failpoint("drain.removed")
    return len(done)


def _take_in(call: Incoming, verified: bool) -> bool:
    """Whether it may leave the spool: stored, or told of as refused. Raises Away, and whatever else goes wrong."""
    failpoint("drain.before_accept")
    try:
        accept(call, verified)
    except Refused as refusal:
        if refusal.portal is not None and not _was_offered(refusal.portal, call):
            # As it would have been without the outage: its own tokens may prove it.
            offer_tokens(refusal.portal, call)
        if refusals.claim_is_pending(call):
            return False
        refusals.note(call, refusal.reason, str(refusal), "")
    failpoint("drain.accepted")
    return True


def _was_offered(portal: KnownPortal, call: Incoming) -> bool:
    """Whether its own refresh token was handed to the token server before: it proves nothing a second time."""
    rows = intake_db.run(
        "SELECT 1 FROM portals_spenttoken WHERE application_id = %s AND token_hash = %s",
        (portal.application_id, token_hash(call.tokens.get("refresh_token", ""))),
    )
    return bool(rows)


def _try_again_once() -> None:
    """Each process tries once what others set aside: it may have the key or the release that they lacked."""
    global _tried_again
    if not _tried_again:
        spool.try_again()
        _tried_again = True


def tend() -> None:
    """What the wake-up thread does between messages: finds the database back, drains, keeps the copy fresh."""
    if intake_db.is_away() and not intake_db.probe():
        return
    try:
        if spool.exists():
            drain()
        _copy_portals()
    except intake_db.Away:
        pass
    except (sqlite3.Error, OSError):
        log.exception("the spool can't be reached")


def forget() -> None:
    """For tests: as in a process that just started."""
    global _copied_at, _copied, _tried_again
    _copied_at, _copied, _tried_again = 0.0, (), False


def _copy_portals() -> None:
    """Brings the copy up to date where a portal came, went or changed its token."""
    global _copied_at, _copied
    if _copied_at and time.monotonic() - _copied_at < _COPY_EVERY:
        return
    _copied_at = time.monotonic()
    intake_db.measure_clock()
    known.read_states()
    mark = intake_db.run(
        "SELECT COUNT(*), COALESCE(SUM(installation), 0), COALESCE(MAX(id), 0) FROM portals_portal", ()
    )[0]
    if (mark, spool.path()) == _copied and spool.exists():
        return
    rows = known.everyone()
    spool.remember_portals(rows)
    _copied = (mark, spool.path())


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether this process drains; the lock ends with the process."""
    with (spool.path().parent / "drain.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
