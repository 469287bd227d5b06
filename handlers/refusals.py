"""Calls that proved nothing: a bounded log of them, so that "Bitrix24 says it called you" has an answer."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import structlog

from handlers import intake_db
from handlers.incoming import Incoming
from portals.clock import now_sql
from portals.crypto import keyed_hashes
from portals.php_form import FormTooBig, parse
from portals.scrub import scrub

log = structlog.get_logger(__name__)

# Rows kept, and rows written a minute by one process: a flood of rubbish must cost nothing.
KEPT = 10_000
_PER_MINUTE = 60
# What is read of a body that is no call, from its two ends: a portal writes `auth` last.
_END = 32 * 1024
_SENTENCE = 300
_lock = threading.Lock()
_minute = (0, 0)


@dataclass(frozen=True, slots=True)
class Claimed:
    """Whom a call said to be from: shown to people, never trusted, and never a token."""

    slug: str = ""
    member_id: str = ""
    domain: str = ""
    code: str = ""


def claimed(slug: str, form: dict[str, Any] | None) -> Claimed:
    """What a form says, read leniently: '' for whatever it lacks or has in another shape."""
    form = form or {}
    auth = form.get("auth")
    auth = auth if isinstance(auth, dict) else {}
    return Claimed(slug, _word(auth, "member_id", 64), _word(auth, "domain", 255), _word(form, "code", 128))


def glimpse(body: bytes) -> dict[str, Any]:
    """What can be read as a form of both ends of a body that is none, or too large a one."""
    ends = body if len(body) <= 2 * _END else body[:_END] + b"&" + body[-_END:]
    try:
        return parse(ends)
    except FormTooBig:
        return {}


def _word(form: dict[str, Any], name: str, longest: int) -> str:
    value = form.get(name)
    if not isinstance(value, str):
        return ""
    # Cut after it is scrubbed, or a cut token would no longer look like one.
    return scrub(value[: 8 * longest])[:longest]


def note(call: Incoming | Claimed, reason: str, sentence: str, address: str) -> None:
    """One line of the log; dropped where this process wrote enough of them this minute."""
    global _minute
    with _lock:
        now = int(time.monotonic() // 60)
        count = _minute[1] + 1 if _minute[0] == now else 1
        _minute = (now, count)
    if count > _PER_MINUTE:
        return
    domain = call.auth.get("domain", "") if isinstance(call, Incoming) else call.domain
    values = (
        address[:45],
        call.slug[:50],
        call.member_id[:64],
        domain[:255],
        call.code[:128],
        reason[:40],
        scrub(sentence)[:_SENTENCE],
    )
    try:
        intake_db.run(
            "INSERT INTO handlers_refusedcall"
            " (at, address, application, member_id, domain, robot_code, reason, sentence)"
            f" VALUES ({now_sql(intake_db.vendor())}, %s, %s, %s, %s, %s, %s, %s)",
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
        " JOIN portals_application a ON a.id = p.application_id WHERE a.slug = %s AND p.member_id = %s"
        " AND p.state = 'waiting'",
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
