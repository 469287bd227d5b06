"""Leases: the right to do one thing for a while, in database time (design §2 rule 6).

A lease is a row, not a lock: nothing is held open while its owner talks to the outside. Each taking raises
the row's fence and stamps an owner of its own, so what an overtaken owner still writes can be told and
refused.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass

from django.db import connection

from portals.clock import after_sql, now_sql

_HOST = socket.gethostname()[:40]


@dataclass(frozen=True)
class Held:
    """A lease as taken. It stays valid after `until` as long as nobody else has taken it."""

    name: str
    owner: str
    fence: int

    def renew(self, seconds: float) -> bool:
        """Moves the end to `seconds` from now; False where somebody else has it."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE portals_lease SET until = {after_sql(connection.vendor, '%s')}"
                " WHERE name = %s AND owner = %s AND fence = %s",
                [float(seconds), self.name, self.owner, self.fence],
            )
            return cursor.rowcount == 1

    def release(self) -> None:
        """Gives it back; does nothing where somebody else has it."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE portals_lease SET until = {now_sql(connection.vendor)}, owner = ''"
                " WHERE name = %s AND owner = %s AND fence = %s",
                [self.name, self.owner, self.fence],
            )


def take(name: str, seconds: float) -> Held | None:
    """The lease, or None where another has it. One statement; must not be called in a transaction."""
    if connection.in_atomic_block:
        raise RuntimeError("A lease is taken outside of any transaction, or others would not see it.")
    owner = f"{_HOST}:{os.getpid()}:{uuid.uuid4().hex[:16]}"
    vendor = connection.vendor
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO portals_lease (name, owner, fence, until)"
            f" VALUES (%s, %s, 1, {after_sql(vendor, '%s')})"
            " ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, fence = portals_lease.fence + 1,"
            " until = excluded.until"
            f" WHERE portals_lease.until <= {now_sql(vendor)} RETURNING fence",
            [name, owner, float(seconds)],
        )
        rows = cursor.fetchall()
    return Held(name, owner, rows[0][0]) if rows else None


def is_taken(name: str) -> bool:
    """Whether anybody has it now."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT 1 FROM portals_lease WHERE name = %s AND until > {now_sql(connection.vendor)}", [name]
        )
        return cursor.fetchone() is not None


def holds(held: Held) -> bool:
    """Whether nobody else has taken it since. In a transaction nobody can until that ends."""
    lock = " FOR SHARE" if connection.in_atomic_block and connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT 1 FROM portals_lease WHERE name = %s AND owner = %s AND fence = %s{lock}",
            [held.name, held.owner, held.fence],
        )
        return cursor.fetchone() is not None
