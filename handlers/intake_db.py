"""The database as the intake sees it: an answer within seconds, or `Away`.

After one failure nobody asks again until the wake-up thread has found the database back: the others go to the
spool at once (design §2 rule 2). How each database is asked: intake_postgresql.py, intake_sqlite.py.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from handlers import intake_postgresql, intake_sqlite

# Where nobody probes (the thread died), a request does, this long after the failure.
_PROBE_ANYWAY = 30.0
_GONE = (*intake_postgresql.GONE, OperationalError, InterfaceError)

Rows = list[tuple[Any, ...]]
Statement = tuple[str, Sequence[Any]]

_away_since: float | None = None
# How far the database's clock is ahead of this process's (a clock that is an hour off must not show in the
# rows: deadlines are counted from it, and whether a process is saved by now); None: not asked yet.
_ahead: dt.timedelta | None = None


class Away(Exception):
    """The database did not answer; the call belongs in the spool."""


@lru_cache(maxsize=1)
def vendor() -> str:
    """ "postgresql" or "sqlite": asked several times a call, and each look at Django's connection costs."""
    return connection.vendor


def run(sql: str, params: Sequence[Any]) -> Rows:
    """The rows of one statement, committed. Raises Away; a refused statement (data) as DatabaseError."""
    ask = intake_postgresql.run if vendor() == "postgresql" else intake_sqlite.run
    return _guarded(lambda: ask(sql, params))


def run_together(first: Statement, then: Callable[[Rows], Statement | None]) -> Rows:
    """SQLite: `first`, then what `then(rows)` gives, in one transaction. Raises as `run`."""
    return _guarded(lambda: intake_sqlite.run_together(first, then))


def probe() -> bool:
    """Asks the database whether it answers; ends the time of `Away` where it does."""
    global _away_since
    if _away_since is None:
        return True
    try:
        (intake_postgresql.run if vendor() == "postgresql" else intake_sqlite.run)("SELECT 1", ())
    except (psycopg.Error, DatabaseError, InterfaceError):
        # Somebody probes, so no request has to.
        _note_away()
        return False
    _away_since = None
    return True


def is_away() -> bool:
    return _away_since is not None


def now() -> dt.datetime:
    """The database's time as last measured, aware, in UTC; asked for once a process, then by the wake-up thread."""
    if _ahead is None:
        try:
            measure_clock()
        except Away:
            return dt.datetime.now(dt.UTC)
    ahead = _ahead or dt.timedelta()
    return dt.datetime.now(dt.UTC) + ahead + dt.timedelta(seconds=settings.CLOCK_OFFSET_SECONDS)


def measure_clock() -> None:
    """Compares the clocks. Raises Away."""
    global _ahead
    before = dt.datetime.now(dt.UTC)
    if vendor() == "postgresql":
        _ahead = run("SELECT clock_timestamp()", ())[0][0] - before
    else:
        told = run("SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now')", ())[0][0]
        _ahead = dt.datetime.fromisoformat(told).replace(tzinfo=dt.UTC) - before


def forget() -> None:
    """For tests: as in a process that just started."""
    global _away_since, _ahead
    _away_since = _ahead = None
    intake_postgresql.forget()
    intake_sqlite.forget()


def _guarded(ask: Callable[[], Rows]) -> Rows:
    since = _away_since
    if since is not None and time.monotonic() - since < _PROBE_ANYWAY:
        raise Away("known to be away")
    try:
        return ask()
    except _GONE as error:
        _note_away()
        raise Away(type(error).__name__) from None
    except psycopg.DatabaseError as error:
        raise DatabaseError(str(error)) from error


def _note_away() -> None:
    global _away_since
    _away_since = time.monotonic()
