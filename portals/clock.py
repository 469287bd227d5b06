"""The one clock that decides: the database's.

Leases, retries and deadlines are written by one process and read by another, perhaps on a machine whose clock
is an hour off; so they are all in database time.
"""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import connection


def db_now() -> dt.datetime:
    """The database's time, aware, in UTC, moved by `CLOCK_OFFSET_SECONDS` (a hook of tests)."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT clock_timestamp()")
            now = cursor.fetchone()[0]
        else:
            cursor.execute("SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now')")
            now = dt.datetime.fromisoformat(cursor.fetchone()[0]).replace(tzinfo=dt.UTC)
    return now + dt.timedelta(seconds=settings.CLOCK_OFFSET_SECONDS)


def now_sql(vendor: str) -> str:
    """The database's time as an SQL expression, in the form Django stores."""
    return after_sql(vendor, "0")


def after_sql(vendor: str, seconds: str) -> str:
    """SQL for `seconds` (an SQL expression) after now; NULL where `seconds` is NULL."""
    offset = int(settings.CLOCK_OFFSET_SECONDS)
    if vendor == "postgresql":
        return f"(clock_timestamp() + ({seconds} + {offset}) * interval '1 second')"
    return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', ({seconds} + {offset}) || ' seconds')"
