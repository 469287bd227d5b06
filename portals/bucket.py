"""The leaky bucket of one portal account, shared by every process and application of ours (contract §4).

One row a `member_id`, changed by single conditional statements in database time and in no other transaction:
whoever gets the row counted goes, whoever does not is told how long to wait. It stays a hair below the
portal's own 50 and 2/s, since a request may travel longer than the one before it. A box has no such limit,
and is spared all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection

from portals.clock import after_sql, now_sql
from portals.models import Bucket

# What the portal may count differently: one request of its burst, and a hundredth of its rate.
_SPARE = 1.0
_SLOWER = 0.99
# Tokens that only a person's push may take; of a small bucket a tenth.
RESERVED = 2.0
_FIRST_BLOCK, _LONGEST_BLOCK = 1.0, 60.0
# A block this soon after the last one is twice as long.
_SOON = 60.0
# SQLite's clock has whole milliseconds: both ends of a wait are rounded by up to one.
_TICK = 0.002


@dataclass(frozen=True)
class Snapshot:
    """A bucket as it stands: requests counted now, its limits, seconds it is blocked for, times limited, and
    methods over their operating time with the seconds they are blocked for."""

    level: float = 0.0
    capacity: float = 50.0
    rate: float = 2.0
    blocked_for: float = 0.0
    limited: int = 0
    methods: dict[str, float] = field(default_factory=dict)


def take(member_id: str, *, cost: float = 1, person: bool = False) -> float:
    """0.0 where the request may go (it is counted); else the seconds until asking again is worth while.

    Never sleeps. Raises RuntimeError inside a transaction, whose row lock would hold up every process.
    """
    _outside()
    vendor = connection.vendor
    limit = _limit(vendor)
    limits: list[Any] = [settings.BUCKET_BURST, RESERVED if not person else 0.0, settings.BUCKET_BURST]
    drained = [settings.BUCKET_RATE]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE portals_bucket SET level = {_level(vendor)} + %s, level_at = {now_sql(vendor)},"
            " version = version + 1 WHERE member_id = %s"
            f" AND (blocked_until IS NULL OR blocked_until <= {now_sql(vendor)})"
            f" AND {_level(vendor)} + %s <= {limit}",
            [*drained, cost, member_id, *drained, cost, *limits],
        )
        if cursor.rowcount:
            return 0.0
        cursor.execute(
            f"SELECT {_level(vendor)} + %s - {limit}, {_seconds_to(vendor, 'blocked_until')},"
            " COALESCE(rate, %s) FROM portals_bucket WHERE member_id = %s",
            [*drained, cost, *limits, settings.BUCKET_RATE, member_id],
        )
        row = cursor.fetchone()
    if row is None:
        _make(member_id)
        return take(member_id, cost=cost, person=person)
    over, blocked, rate = row
    return max(over / (rate * _SLOWER) + _TICK, blocked or 0.0, 0.01)


def report_limited(member_id: str, seconds: float | None = None) -> None:
    """The portal said 503: its bucket is full. Nothing goes for `seconds` (1 s, doubled while it goes on)."""
    _outside()
    _make(member_id)
    vendor = connection.vendor
    ago = f"-({_seconds_to(vendor, 'blocked_until')})"
    most, least = _most_least(vendor)
    longer = (
        f"CASE WHEN blocked_until IS NOT NULL AND {ago} < {_SOON}"
        f" THEN {least}({_LONGEST_BLOCK}, {most}(blocked_seconds * 2, %s)) ELSE %s END"
    )
    first = _FIRST_BLOCK if seconds is None else float(seconds)
    with connection.cursor() as cursor:
        # Answers to requests that were under way together are one event: a block that still runs stays.
        cursor.execute(
            f"UPDATE portals_bucket SET level = COALESCE(capacity, %s), level_at = {now_sql(vendor)},"
            f" blocked_until = {after_sql(vendor, f'({longer})')}, blocked_seconds = {longer},"
            " limited = limited + 1, version = version + 1 WHERE member_id = %s"
            f" AND (blocked_until IS NULL OR blocked_until <= {now_sql(vendor)})",
            [float(settings.BUCKET_BURST), first, first, first, first, member_id],
        )


def snapshot(member_id: str) -> Snapshot:
    """What an admin page shows; an account never called has an empty bucket."""
    vendor = connection.vendor
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_level(vendor)}, {_seconds_to(vendor, 'blocked_until')}, {_seconds_now(vendor)}"
            " FROM portals_bucket WHERE member_id = %s",
            [settings.BUCKET_RATE, member_id],
        )
        row = cursor.fetchone()
    bucket = Bucket.objects.filter(member_id=member_id).first()
    if row is None or bucket is None:
        return Snapshot(0.0, float(settings.BUCKET_BURST), float(settings.BUCKET_RATE))
    blocked = {
        key: known["blocked_until"] - row[2]
        for key, known in bucket.operating.items()
        if (known.get("blocked_until") or 0) > row[2]
    }
    return Snapshot(
        row[0],
        settings.BUCKET_BURST if bucket.capacity is None else bucket.capacity,
        settings.BUCKET_RATE if bucket.rate is None else bucket.rate,
        max(row[1] or 0.0, 0.0),
        bucket.limited,
        blocked,
    )


def _make(member_id: str) -> None:
    columns = "member_id, level, level_at, blocked_seconds, operating, limited, version"
    values = f"%s, 0, {now_sql(connection.vendor)}, 0, '{{}}', 0, 0"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO portals_bucket ({columns}) VALUES ({values}) ON CONFLICT (member_id) DO NOTHING",
            [member_id],
        )


def _most_least(vendor: str) -> tuple[str, str]:
    return ("GREATEST", "LEAST") if vendor == "postgresql" else ("MAX", "MIN")


def _outside() -> None:
    if connection.in_atomic_block:
        raise RuntimeError(
            "The bucket is asked outside of any transaction, or every process would wait for it."
        )


def _seconds_now(vendor: str) -> str:
    """The database's time as Unix seconds."""
    if vendor == "postgresql":
        return f"EXTRACT(EPOCH FROM {now_sql(vendor)})::float8"
    return f"((julianday({now_sql(vendor)}) - 2440587.5) * 86400.0)"


def _seconds_to(vendor: str, column: str) -> str:
    """Seconds from now to a stored time (negative once past, NULL where there is none)."""
    if vendor == "postgresql":
        return f"EXTRACT(EPOCH FROM ({column} - {now_sql(vendor)}))::float8"
    return f"((julianday({column}) - julianday({now_sql(vendor)})) * 86400.0)"


def _level(vendor: str) -> str:
    """The level drained until now. Takes one parameter: the default rate."""
    most, _least = _most_least(vendor)
    passed = f"{most}(0.0, -{_seconds_to(vendor, 'level_at')})"
    return f"{most}(0.0, level - COALESCE(rate, %s) * {_SLOWER} * {passed})"


def _limit(vendor: str) -> str:
    """The level a request may fill. Parameters: default burst, tokens kept back, default burst."""
    most, least = _most_least(vendor)
    return f"{most}(1.0, COALESCE(capacity, %s) - {_SPARE} - {least}(%s, 0.1 * COALESCE(capacity, %s)))"
