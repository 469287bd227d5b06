"""Claim, settle, renew, expire: the only place that writes a call's state, lease, owner and fence.

Every write is a compare-and-set. A claim raises the row's fence; whoever settles names the fence he was given, so
one that was overtaken (killed, paused past its lease) writes nothing. All times are the database's.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection, transaction

from portals.clock import after_sql, now_sql
from portals.failpoint import failpoint

_HOST = socket.gethostname()[:40]
# A claimed row nobody renews is taken up again after this many seconds.
LEASE = 20.0
# Nothing is put off for longer, in seconds.
_LONGEST = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A row that is ours until somebody raises its fence."""

    id: int
    fence: int


@dataclass(slots=True)
class Settlement:
    """How a claimed row goes on: from state `was` to `state`.

    `delay` seconds until it is due (None: as it was, for a row that has not begun and keeps its place); `ended`,
    `computed`, `sent`, `confirmed`, `released` stamp the time, `seen` that the portal listed the process;
    `uncharged` takes back what `start` charged: the try says nothing of the call or its robot;
    `confirm_in` seconds until a look or repeat is owed (None: none); `result` and `lines` are stored where none is
    yet: a token has one result for ever.
    """

    id: int
    fence: int
    was: str
    state: str
    cause: str = ""
    delay: float | None = 0.0
    uncharged: bool = False
    computed: bool = False
    sent: bool = False
    ended: bool = False
    confirmed: bool = False
    released: bool = False
    seen: bool = False
    confirmation: str = ""
    confirm_in: float | None = None
    revision: str | None = None
    result: str | None = None
    lines: str | None = None

    def __post_init__(self) -> None:
        """A date that a portal or a robot makes up must stay one that can be read."""
        if self.delay is not None:
            self.delay = min(self.delay, _LONGEST)
        if self.confirm_in is not None:
            self.confirm_in = min(self.confirm_in, _LONGEST)


# Columns of the one JSON parameter that carries all settlements, with their PostgreSQL types.
_RECORD = {
    "id": "bigint", "fence": "int", "was": "text", "state": "text", "cause": "text", "delay": "float8",
    "uncharged": "boolean", "computed": "boolean", "sent": "boolean", "ended": "boolean", "confirmed": "boolean",
    "released": "boolean", "seen": "boolean", "confirmation": "text", "confirm_in": "float8", "revision": "text",
    "result": "text", "lines": "text",
}  # fmt: skip
_RESULT = {"id": "bigint", "result": "text", "lines": "text"}
_ROW = "handlers_invocation"


def _records(columns: dict[str, str]) -> str:
    """SQL of a table `v` made of one JSON list of objects."""
    if connection.vendor == "postgresql":
        return f"json_to_recordset(%s::json) AS v({', '.join(f'{c} {t}' for c, t in columns.items())})"
    fields = ", ".join(f"json_extract(value, '$.{column}') AS {column}" for column in columns)
    return f"(SELECT {fields} FROM json_each(%s)) AS v"


def claim(wanted: str, params: list[Any], state: str, most: int, sending: int | None = None) -> list[Claim]:
    """Takes the first `most` rows that `wanted` (SQL: WHERE … ORDER BY …) finds into `state`. They come by their
    number: no database returns what it updates in an order of ours, and the caller knows what is urgent to it."""
    vendor = connection.vendor
    skip = " FOR UPDATE SKIP LOCKED" if vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_ROW} SET state = %s, owner = %s, fence = fence + 1, lease_until = {after_sql(vendor, '%s')},"
            " sending_id = COALESCE(%s, sending_id),"
            " started_at = CASE WHEN state = 'received' THEN NULL ELSE started_at END"
            f" WHERE id IN (SELECT id FROM {_ROW} WHERE {wanted} LIMIT %s{skip}) RETURNING id, fence",
            [state, f"{_HOST}:{os.getpid()}", LEASE, sending, *params, most],
        )
        return [Claim(*row) for row in sorted(cursor.fetchall())]


def start(row: Claim) -> bool:
    """Marks the row as the one its runner holds, and charges the try; False where it is no longer ours.

    PostgreSQL need not wait for the disk: a mark that is lost with the whole server charges nobody.
    """
    soon = ""
    if connection.vendor == "postgresql":
        soon = " AND set_config('synchronous_commit', 'off', true) IS NOT NULL"
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_ROW} SET started_at = {now_sql(connection.vendor)}, tries = tries + 1"
            f" WHERE id = %s AND fence = %s AND state = 'computing'{soon}",
            [row.id, row.fence],
        )
        return bool(cursor.rowcount == 1)


def settle(settlements: list[Settlement]) -> set[int]:
    """Writes them all in one transaction (the caller's, where there is one); ids of those that were still ours.
    Results are stored once only."""
    if not settlements:
        return set()
    vendor = connection.vendor
    now = now_sql(vendor)
    data = json.dumps([asdict(settlement) for settlement in settlements], ensure_ascii=False)
    row = (
        f"UPDATE {_ROW} SET state = v.state, cause = v.cause, lease_until = NULL, owner = '',"
        f" due_at = COALESCE({after_sql(vendor, 'v.delay')}, {_ROW}.due_at),"
        " tries = tries - CASE WHEN v.uncharged THEN 1 ELSE 0 END,"
        f" computed_at = CASE WHEN v.computed THEN {now} ELSE computed_at END,"
        f" sent_at = CASE WHEN v.sent THEN {now} ELSE sent_at END,"
        " sends = sends + CASE WHEN v.sent THEN 1 ELSE 0 END,"
        f" ended_at = CASE WHEN v.ended THEN COALESCE(ended_at, {now}) ELSE NULL END,"
        f" confirmed_at = CASE WHEN v.confirmed THEN {now} ELSE confirmed_at END,"
        f" released_at = CASE WHEN v.released THEN {now} ELSE released_at END,"
        f" confirmation = v.confirmation, confirm_at = {after_sql(vendor, 'v.confirm_in')},"
        " seen_listed = (seen_listed OR v.seen), revision = COALESCE(v.revision, handlers_invocation.revision)"
        f" FROM {_records(_RECORD)} WHERE {_ROW}.id = v.id AND {_ROW}.fence = v.fence AND {_ROW}.state = v.was"
        f" RETURNING {_ROW}.id"
    )
    # Whoever comes second leaves the first one's; the row that was just written is ours alone until the commit.
    result = (
        "INSERT INTO handlers_invocationresult (invocation_id, result, lines)"
        f" SELECT v.id, v.result, COALESCE(v.lines, '') FROM {_records(_RESULT)}"
        " WHERE NOT EXISTS (SELECT 1 FROM handlers_invocationresult r WHERE r.invocation_id = v.id)"
    )
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(row, [data])
        ours = {found[0] for found in cursor.fetchall()}
        kept = [asdict(s) for s in settlements if s.result is not None and s.id in ours]
        if kept:
            failpoint("settle.between")
            cursor.execute(result, [json.dumps(kept, ensure_ascii=False)])
    return ours


def follow(row_id: int) -> bool:
    """Marks a run that is over as followed by another, once; False where it is open or was followed before.

    Whoever read it before writes nothing to it any more, and whether the result arrived is found out by the later
    run. That a followed run is never under way again is a rule of the database (`invocation_followed_is_over`).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_ROW} SET followed_at = {now_sql(connection.vendor)}, fence = fence + 1, confirm_at = NULL"
            " WHERE id = %s AND followed_at IS NULL"
            " AND state NOT IN ('received', 'computing', 'ready', 'sending')",
            [row_id],
        )
        return bool(cursor.rowcount == 1)


def renew(rows: list[Claim]) -> int:
    """Keeps claimed rows ours for another LEASE; how many. One that is just being written is left: whoever waits for
    nobody is no part of a deadlock with the settling of the same rows, and it needs no lease any more."""
    vendor = connection.vendor
    skip = " FOR UPDATE OF h SKIP LOCKED" if vendor == "postgresql" else ""
    data = json.dumps([asdict(row) for row in rows])
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_ROW} SET lease_until = {after_sql(vendor, '%s')} WHERE id IN"
            f" (SELECT h.id FROM {_ROW} h JOIN {_records({'id': 'bigint', 'fence': 'int'})} ON h.id = v.id"
            f" AND h.fence = v.fence WHERE h.lease_until IS NOT NULL{skip})",
            [LEASE, data],
        )
        return int(cursor.rowcount)


def expired(most: int = 500) -> list[tuple[Claim, str, bool, int]]:
    """Rows whose lease ran out, taken under a new fence: (claim, state, whether it had started, tries)."""
    vendor = connection.vendor
    skip = " FOR UPDATE SKIP LOCKED" if vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_ROW} SET fence = fence + 1, lease_until = {after_sql(vendor, '%s')} WHERE id IN"
            f" (SELECT id FROM {_ROW} WHERE state IN ('computing', 'sending') AND lease_until < {now_sql(vendor)}"
            f" ORDER BY lease_until LIMIT %s{skip}) RETURNING id, fence, state, started_at, tries",
            [LEASE, most],
        )
        return [(Claim(row[0], row[1]), row[2], row[3] is not None, row[4]) for row in cursor.fetchall()]
