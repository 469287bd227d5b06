"""Acceptance: one call, one row, committed before the answer (design §2).

An insert-select on the portal's `installation`: what the intake remembers of a portal is a hint, the number in
the database decides. One token has one row of run 1; a repeat only raises its `repeats`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from handlers import intake_db, known
from handlers.incoming import Incoming
from handlers.known import KnownPortal
from portals.clock import now_sql
from portals.crypto import encrypt


class Refused(Exception):
    """The call proves nothing: `reason` is one of a short list, the message a sentence."""

    def __init__(
        self, reason: str, sentence: str, status: int = 403, portal: KnownPortal | None = None
    ) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.status = status
        self.portal = portal


@dataclass(frozen=True, slots=True)
class Accepted:
    id: int
    repeats: int
    portal: KnownPortal


# The version that computes the call where its address names none: the one last pushed there, else the latest.
_VERSION_SOUGHT = (
    "COALESCE((SELECT g.pushed_version_id FROM robots_registration g JOIN robots_robot r ON r.id = g.robot_id"
    " WHERE g.portal_id = p.id AND r.application_id = p.application_id AND r.code = %s),"
    " (SELECT v.id FROM robots_robotversion v JOIN robots_robot r ON r.id = v.robot_id"
    " WHERE r.application_id = p.application_id AND v.code = %s ORDER BY v.number DESC LIMIT 1))"
)
# What came, once for each token: written, or found again and counted.
_CALL = (
    "INSERT INTO handlers_receivedcall (portal_id, token_hash, run, robot_code, version_id, workflow_id, document_id,"
    " document_type, waits, called_at, received_at, repeats, event_token, call)"
    " SELECT p.id, %s, 1, %s, {version}, %s, %s, %s, %s, {stamp}, {stamp}, 0, %s, %s"
    " FROM portals_portal p WHERE p.id = %s{still}"
    " ON CONFLICT (portal_id, token_hash, run)"
    " DO UPDATE SET repeats = handlers_receivedcall.repeats + 1 RETURNING "
)
# What becomes of it. A call whose code nobody published is kept as failed, in the same statement.
_ROW = (
    "INSERT INTO handlers_invocation (id, portal_id, robot_code, state, cause, ended_at, due_at, deadline, owner,"
    " fence, tries, sends, confirmation, seen_listed, revision)"
    " SELECT c.id, c.portal_id, c.robot_code,"
    " CASE WHEN c.version_id IS NULL THEN 'failed' ELSE 'received' END,"
    " CASE WHEN c.version_id IS NULL THEN 'code_unknown' ELSE '' END,"
    " CASE WHEN c.version_id IS NULL THEN {now} END, {now}, {stamp}, '', 0, 0, 0, '', {false}, ''"
    " FROM {calls} c WHERE "
)


# By what the call was proved -> what must still hold as its row is written. The former token is judged by when the
# call came, and nothing is asked of a call that was proved, and answered 200, before it was spooled: whatever
# became of the portal since, it ends in a state of its own.
_STILL = {
    "present": " AND p.installation = %s AND p.state = 'installed'",
    "former": " AND p.installation = %s AND p.state = 'installed' AND p.former_until > {stamp}",
    "receipt": "",
}


@lru_cache(maxsize=16)
def _statements(vendor: str, named: bool, proof: str) -> tuple[str, str]:
    """(what came, what becomes of it) as a vendor's statements; on PostgreSQL the first does both, the second is ''."""
    postgresql = vendor == "postgresql"
    words = {
        "now": now_sql(vendor),
        "stamp": "%s::timestamptz" if postgresql else "%s",
        "false": "false" if postgresql else "0",
        "version": ("%s::bigint" if postgresql else "%s") if named else _VERSION_SOUGHT,
    }
    words["still"] = _STILL[proof].format(**words)
    call = _CALL.format(**words)
    if postgresql:
        row = _ROW.format(calls="came", **words)
        return (
            f"WITH came AS ({call}id, repeats, portal_id, robot_code, version_id),"
            f" becomes AS ({row}c.repeats = 0) SELECT id, repeats FROM came",
            "",
        )
    return f"{call}id, repeats", f"{_ROW.format(calls='handlers_receivedcall', **words)}c.id = %s"


def accept(call: Incoming, verified: bool = False) -> Accepted:
    """The call's row, new or found again; `verified`: it was proved when it came, and spooled.

    Raises Refused, intake_db.Away, django.db.DatabaseError (data).
    """
    for fresh in (False, True):
        portal = known.portal(call.slug, call.member_id, fresh)
        proof = "receipt" if verified else _proof(portal, call)
        if portal is None or not proof:
            if fresh:
                raise _refusal(portal, call)
            continue
        rows = _insert(call, portal, proof)
        if rows:
            return Accepted(rows[0][0], rows[0][1], portal)
    raise _refusal(known.portal(call.slug, call.member_id), call)


def _proof(portal: KnownPortal | None, call: Incoming) -> str:
    """By what the call is an installed portal's: its 'present' application token, the 'former' one, '' by none."""
    return portal.which(call.application_token) if portal is not None and portal.installed else ""


def _insert(call: Incoming, portal: KnownPortal, proof: str) -> list[tuple[Any, ...]]:
    named = _named_version(call, portal)
    called_at = call.called_at(known.clock_ahead(portal))
    came, row = _statements(intake_db.vendor(), named is not None, proof)
    deadline, received_at = _stamp(call.deadline(called_at)), _stamp(call.received_at)
    still = {"present": (portal.installation,), "former": (portal.installation, received_at), "receipt": ()}
    params = (
        call.token_hash,
        call.code,
        *((named,) if named is not None else (call.code, call.code)),
        call.workflow_id,
        call.document_id[-1] if call.document_id else "",
        "|".join(call.document_type),
        call.waits,
        _stamp(called_at),
        received_at,
        encrypt(call.event_token.encode()),
        call.body_text(),
        portal.id,
        *still[proof],
    )
    if not row:
        return intake_db.run(came, (*params, deadline))
    return intake_db.run_together(
        (came, params), lambda rows: (row, (deadline, rows[0][0])) if rows and rows[0][1] == 0 else None
    )


def _named_version(call: Incoming, portal: KnownPortal) -> int | None:
    """The version in the call's address where it is one of this application's robot with this code, else None."""
    if call.version_hint is None:
        return None
    named = known.version(call.version_hint)
    if named is None or (named.application_id, named.code) != (portal.application_id, call.code):
        return None
    return call.version_hint


def _refusal(portal: KnownPortal | None, call: Incoming) -> Refused:
    if portal is None:
        if not known.application_exists(call.slug):
            return Refused("application_unknown", "There is no such application here.", 404)
        return Refused("portal_unknown", "This portal has not installed the application here.")
    if not portal.installed:
        return Refused("uninstalled", "The application was uninstalled on this portal.")
    if not portal.token:
        # Connected by full OAuth, which brings no application token: a call's own tokens may prove it.
        return Refused(
            "token_unknown", "This portal's application token is not known here yet.", portal=portal
        )
    return Refused(
        "token_wrong",
        "auth[application_token] is not this portal's.",
        # It may be the one that an employee's update told of: a call's own tokens may prove it likewise.
        portal=portal if portal.untaken else None,
    )


def _stamp(value: dt.datetime | None) -> dt.datetime | str | None:
    """UTC as each database takes it in a raw statement: SQLite has text without a zone."""
    if value is None or intake_db.vendor() == "postgresql":
        return value
    return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
