"""`manage.py rotate_encryption_keys`: every stored secret under the first key of ENCRYPTION_KEYS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db import connection, models

from portals import crypto
from portals.crypto import EncryptedTextField, SecretUnreadable

_CHUNK = 500


class Command(BaseCommand):
    """Exit codes: 0 all done, 1 a secret that no key opens (it is left as it is, the rest is done)."""

    help = (
        "Encrypts every stored secret anew with the first key of ENCRYPTION_KEYS. May be stopped and started"
        " again, and run while the hub works. Afterwards the other keys can be taken out of the list, once every"
        " machine's SPOOL_DIR holds no call and no file in tokens/, which this does not reach."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = 0
        for model, column in encrypted():
            done, bad = self._column(model, column)
            unreadable += bad
            self.stdout.write(f"{model._meta.label}.{column}: {done} changed, {bad} unreadable")
        if unreadable:
            self.stderr.write(
                f"{unreadable} secrets can't be read with any key of ENCRYPTION_KEYS. Add the key that wrote"
                " them and run this again; until then keep the old keys."
            )
            raise SystemExit(1)

    def _column(self, model: type[models.Model], column: str) -> tuple[int, int]:
        """(changed, unreadable) of one column; rows already under the first key are passed over."""
        table, name = connection.ops.quote_name(model._meta.db_table), connection.ops.quote_name(column)
        key = connection.ops.quote_name(_column_of(model, "pk"))
        where = f"{name} IS NOT NULL AND length({name}) > 0"
        done = bad = 0
        last: Any = None
        while True:
            after, params = ("", []) if last is None else (f" AND {key} > %s", [last])
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT {key}, {name} FROM {table} WHERE {where}{after} ORDER BY {key} LIMIT {_CHUNK}",
                    params,
                )
                rows = cursor.fetchall()
            if not rows:
                return done, bad
            for row_key, stored in rows:
                old = bytes(stored)
                if crypto.is_first_keys(old):
                    continue
                try:
                    new = crypto.rotate(old)
                except SecretUnreadable:
                    bad += 1
                    continue
                with connection.cursor() as cursor:
                    # Only where it is still the one that was read: the hub may have written another
                    # meanwhile.
                    cursor.execute(
                        f"UPDATE {table} SET {name} = %s WHERE {key} = %s AND {name} = %s",
                        [new, row_key, old],
                    )
                    done += cursor.rowcount
            last = rows[-1][0]
            if len(rows) == _CHUNK:
                self.stdout.write(f"  {model._meta.label}.{column}: up to {last}, {done} changed")


def encrypted() -> Iterator[tuple[type[models.Model], str]]:
    """(model, column) of everything encrypted."""
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_fields:
            if isinstance(field, EncryptedTextField):
                yield model, _column_of(model, field.name)
    for app, model_name, field_name in crypto.encrypted_columns:
        model = apps.get_model(app, model_name)
        yield model, _column_of(model, field_name)


def _column_of(model: type[models.Model], name: str) -> str:
    field = model._meta.pk if name == "pk" else model._meta.get_field(name)
    column = getattr(field, "column", None)
    if not isinstance(column, str):
        raise LookupError(f"{model._meta.label} has no column {name}.")
    return column
