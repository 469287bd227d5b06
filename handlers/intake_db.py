"""The database as the intake sees it: an answer within two seconds, or `Away`.

On PostgreSQL each thread keeps one connection of its own beside Django's: prepared statements, and every wait
bounded on our side too, since a server that is stopped keeps its sockets and a statement timeout then never
comes. After one failure nobody asks again until the wake-up thread has found the database back: the others go
to the spool at once (design §2 rule 2).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from functools import lru_cache
from typing import Any, cast

import psycopg
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from psycopg.rows import tuple_row

from portals.failpoint import failpoint

PATIENCE = 2.0
# Where nobody probes (the thread died), a request does, this long after the failure.
_PROBE_ANYWAY = 30.0

# Down, full, read-only, too slow: all of them pass, and none is the call's fault.
_GONE = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)

_local = threading.local()
_away_since: float | None = None


class Away(Exception):
    """The database did not answer; the call belongs in the spool."""


class _Bounded(psycopg.Connection[Any]):
    """A connection none of whose waits outlasts PATIENCE."""

    def wait(self, gen: Generator[Any, Any, Any], interval: float = 0.1) -> Any:
        return super().wait(_until(gen, time.monotonic() + PATIENCE), interval)


def _until(gen: Generator[Any, Any, Any], end: float) -> Generator[Any, Any, Any]:
    """`gen`, given up with OperationalError once `end` passes while nothing is ready."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > end:
                raise psycopg.OperationalError("the database did not answer in time")
            wanted = gen.send(ready)
    except StopIteration as stop:
        return stop.value


@lru_cache(maxsize=1)
def vendor() -> str:
    """"postgresql" or "sqlite": asked several times a call, and each look at Django's connection costs."""
    return connection.vendor


def run(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of one statement, committed. Raises Away; a refused statement (data) as DatabaseError."""
    _refuse_while_away()
    try:
        return _run_postgresql(sql, params) if vendor() == "postgresql" else _run_sqlite(sql, params)
    except (*_GONE, OperationalError, InterfaceError) as error:
        _note_away()
        raise Away(type(error).__name__) from None
    except psycopg.DatabaseError as error:
        raise DatabaseError(str(error)) from error


def run_together(first: tuple[str, Sequence[Any]], then: Any) -> list[tuple[Any, ...]]:
    """SQLite: `first`, then what `then(rows)` gives ((sql, params) or None), in one IMMEDIATE transaction."""
    _refuse_while_away()
    try:
        with transaction.atomic():
            rows = _run_sqlite(*first)
            failpoint("accept.between")
            second = then(rows)
            if second is not None:
                with connection.cursor() as cursor:
                    cursor.execute(*second)
        return rows
    except (OperationalError, InterfaceError) as error:
        _note_away()
        raise Away(type(error).__name__) from None


def probe() -> bool:
    """Asks the database whether it answers; ends the time of `Away` where it does."""
    global _away_since
    if _away_since is None:
        return True
    try:
        if vendor() == "postgresql":
            _run_postgresql("SELECT 1", ())
        else:
            _run_sqlite("SELECT 1", ())
    except (psycopg.Error, DatabaseError, InterfaceError):
        # Somebody probes, so no request has to.
        _note_away()
        return False
    _away_since = None
    return True


def is_away() -> bool:
    return _away_since is not None


def forget() -> None:
    """For tests: as in a process that just started."""
    global _away_since
    _away_since = None
    own = _connection_of_thread()
    if own is not None:
        own.close()
    _local.connection = None


def _refuse_while_away() -> None:
    since = _away_since
    if since is not None and time.monotonic() - since < _PROBE_ANYWAY:
        raise Away("known to be away")


def _note_away() -> None:
    global _away_since
    _away_since = time.monotonic()


def _run_postgresql(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    fresh = _connection_of_thread() is None
    for last in (fresh, True):
        own = _connection_of_thread() or _connect()
        try:
            with own.cursor(row_factory=tuple_row) as cursor:
                cursor.execute(sql, params, prepare=True)
                return cast("list[tuple[Any, ...]]", cursor.fetchall()) if cursor.description else []
        except _GONE as error:
            own.close()
            _local.connection = None
            # A connection that the server closed while it lay idle is no sign of a dead database: once more.
            if last or "in time" in str(error):
                raise
    raise AssertionError("the second try returns or raises")


def _connection_of_thread() -> _Bounded | None:
    own: _Bounded | None = getattr(_local, "connection", None)
    return own if own is not None and not own.closed else None


def _connect() -> _Bounded:
    params = connection.get_connection_params()  # type: ignore[attr-defined]  # every back end has it
    options = {
        key: value
        for key, value in params.items()
        if key not in ("cursor_factory", "context", "prepare_threshold", "server_side_binding", "assume_role")
    }
    own = _Bounded.connect(
        **options, autocommit=True, options=f"-c statement_timeout={int(PATIENCE * 1000)} -c timezone=UTC"
    )
    _local.connection = own
    return own


def _run_sqlite(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []
