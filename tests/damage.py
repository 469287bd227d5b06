"""Secrets that no key opens."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import Model

DAMAGED = b"gAAAAAgarbage"


def damage(row: Model, *columns: str, by: bytes = DAMAGED) -> dict[str, Any]:
    """Puts `by` into the columns of the row; what stood there, for `restore`."""
    table, names = row._meta.db_table, ", ".join(columns)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {names} FROM {table} WHERE id = %s", [row.pk])
        before = dict(zip(columns, map(bytes, cursor.fetchone()), strict=True))
    restore(row, dict.fromkeys(columns, by))
    return before


def restore(row: Model, stored: dict[str, Any]) -> None:
    """Puts what is stored into its columns, as the database holds it."""
    places = ", ".join(f"{column} = %s" for column in stored)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {row._meta.db_table} SET {places} WHERE id = %s", [*stored.values(), row.pk])
