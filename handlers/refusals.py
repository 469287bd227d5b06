"""Calls that proved nothing: a bounded log of them, so that "Bitrix24 says it called you" has an answer."""

from __future__ import annotations

import threading
import time

import structlog

from handlers import intake_db
from handlers.incoming import Incoming
from portals.clock import now_sql
from portals.crypto import keyed_hashes

log = structlog.get_logger(__name__)

# Rows kept, and rows written a minute by one process: a flood of rubbish must cost nothing.
KEPT = 10_000
_PER_MINUTE = 60
_lock = threading.Lock()
_minute = (0, 0)


def note(call: Incoming | None, reason: str, address: str, slug: str = "") -> None:
    """One line of the log; dropped where this process wrote enough of them this minute."""
    global _minute
    with _lock:
        now = int(time.monotonic() // 60)
        count = _minute[1] + 1 if _minute[0] == now else 1
        _minute = (now, count)
    if count > _PER_MINUTE:
        return
    values = (
        address[:45],
        (call.slug if call else slug)[:50],
        call.member_id[:64] if call else "",
        call.auth.get("domain", "")[:255] if call else "",
        call.code[:128] if call else "",
        reason[:40],
    )
    try:
        intake_db.run(
            "INSERT INTO handlers_refusedcall (at, address, application, member_id, domain, robot_code, reason)"
            f" VALUES ({now_sql(intake_db.vendor())}, %s, %s, %s, %s, %s, %s)",
            values,
        )
    except intake_db.Away:
        log.warning("call refused", reason=reason, member_id=values[2], address=values[0])


def forget() -> None:
    """For tests: as in a process that just started."""
    global _minute
    _minute = (0, 0)


def claim_is_pending(call: Incoming) -> bool:
    """Whether a form that waits for the token server brought this application token (§3). Raises Away."""
    rows = intake_db.run(
        "SELECT p.application_token_hash FROM portals_pendinginstallation p"
        " JOIN portals_application a ON a.id = p.application_id WHERE a.slug = %s AND p.member_id = %s",
        (call.slug, call.member_id),
    )
    shown = keyed_hashes(call.application_token)
    return any(bytes(row[0]) in shown for row in rows)


def trim() -> int:
    """Keeps the newest KEPT rows; the number removed."""
    rows = intake_db.run(
        "DELETE FROM handlers_refusedcall WHERE id <= (SELECT COALESCE(MAX(id), 0) - %s FROM handlers_refusedcall)"
        " RETURNING id",
        (KEPT,),
    )
    return len(rows)
