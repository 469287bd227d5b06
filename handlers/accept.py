"""Acceptance: one call, one row, committed before the answer (design §2).

An insert-select on the portal's `installation`: what the intake remembers of a portal is a hint, the number in
the database decides. One token has one row of run 1; a repeat only raises its `repeats`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.utils import timezone

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


_COLUMNS = (
    "portal_id, token_hash, run, robot_code, version_id, workflow_id, document_id, document_type, waits, state,"
    " cause, due_at, deadline, owner, fence, tries, sends, repeats, called_at, received_at, ended_at,"
    " confirmation, seen_listed, revision"
)
_VALUES = (
    "SELECT p.id, %s, 1, %s, {version}, %s, %s, %s, %s, %s, %s, {due}, {deadline}, '', 0, 0, 0, 0, {called},"
    " {received}, {ended}, '', {false}, '' FROM portals_portal p"
    " WHERE p.id = %s AND p.installation = %s AND p.state = 'installed'{former}"
)
_CONFLICT = (
    " ON CONFLICT (portal_id, token_hash, run)"
    " DO UPDATE SET repeats = handlers_invocation.repeats + 1 RETURNING id, repeats"
)
_BODY = "INSERT INTO handlers_invocationbody (invocation_id, event_token, call, result, lines)"


@lru_cache(maxsize=8)
def _statements(vendor: str, former: bool, ended: bool) -> tuple[str, str]:
    """(the row's statement, the body's) for a vendor; on PostgreSQL the first does both and the second is ''."""
    postgresql = vendor == "postgresql"
    still = f" AND p.former_until > {now_sql(vendor)}" if former else ""
    stamp = "%s::timestamptz" if postgresql else "%s"
    insert = (
        f"INSERT INTO handlers_invocation ({_COLUMNS}) "
        + _VALUES.format(
            version="%s::bigint" if postgresql else "%s",
            due=now_sql(vendor),
            deadline=stamp,
            called=stamp,
            received=stamp,
            ended=now_sql(vendor) if ended else "NULL",
            false="false" if postgresql else "0",
            former=still,
        )
        + _CONFLICT
    )
    if postgresql:
        return (
            f"WITH i AS ({insert}), b AS ({_BODY} SELECT i.id, %s, %s, '', '' FROM i WHERE i.repeats = 0)"
            " SELECT id, repeats FROM i",
            "",
        )
    return insert, f"{_BODY} VALUES (%s, %s, %s, '', '')"


def accept(call: Incoming) -> Accepted:
    """The call's row, new or found again. Raises Refused, intake_db.Away, django.db.DatabaseError (data)."""
    for fresh in (False, True):
        portal = known.portal(call.slug, call.member_id, fresh)
        token = portal.which(call.application_token) if portal is not None else ""
        if portal is None or not token or not portal.installed:
            if fresh:
                raise _refusal(portal, call)
            continue
        rows = _insert(call, portal, former=token == "former")
        if rows:
            return Accepted(rows[0][0], rows[0][1], portal)
    raise _refusal(known.portal(call.slug, call.member_id), call)


def _insert(call: Incoming, portal: KnownPortal, former: bool) -> list[tuple[Any, ...]]:
    version_id = _version(call, portal)
    ended = version_id is None
    row, body = _statements(intake_db.vendor(), former, ended)
    params = (
        call.token_hash,
        call.code,
        version_id,
        call.workflow_id,
        call.document_id[-1] if call.document_id else "",
        "|".join(call.document_type),
        call.waits,
        "failed" if ended else "received",
        "code_unknown" if ended else "",
        _stamp(call.deadline),
        _stamp(call.called_at),
        _stamp(call.received_at),
        portal.id,
        portal.installation,
    )
    sealed, text = encrypt(call.event_token.encode()), call.body_text()
    if not body:
        return intake_db.run(row, (*params, sealed, text))
    return intake_db.run_together(
        (row, params), lambda rows: (body, (rows[0][0], sealed, text)) if rows and rows[0][1] == 0 else None
    )


def _version(call: Incoming, portal: KnownPortal) -> int | None:
    """The version that computes the call: the one its address names, else the one last pushed there, else the
    latest published; None where the code has none."""
    if call.version_hint is not None:
        named = known.version(call.version_hint)
        if named is not None and (named.application_id, named.code) == (portal.application_id, call.code):
            return call.version_hint
    rows = intake_db.run(
        "SELECT COALESCE("
        " (SELECT g.pushed_version_id FROM robots_registration g JOIN robots_robot r ON r.id = g.robot_id"
        "  WHERE g.portal_id = %s AND r.application_id = %s AND r.code = %s),"
        " (SELECT v.id FROM robots_robotversion v JOIN robots_robot r ON r.id = v.robot_id"
        "  WHERE r.application_id = %s AND v.code = %s ORDER BY v.number DESC LIMIT 1))",
        (portal.id, portal.application_id, call.code, portal.application_id, call.code),
    )
    return rows[0][0] if rows else None


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
    return Refused("token_wrong", "auth[application_token] is not this portal's.")


def _stamp(value: dt.datetime | None) -> str | None:
    """As Django writes it on either database: UTC, without a zone on SQLite."""
    if value is None:
        return None
    utc = timezone.make_naive(value, dt.UTC)
    return utc.isoformat(" ", "microseconds") + ("+00" if intake_db.vendor() == "postgresql" else "")
