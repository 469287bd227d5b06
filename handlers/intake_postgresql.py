"""PostgreSQL as the intake uses it: one connection a thread beside Django's, and no wait without an end.

Statements are prepared, each is its own transaction, and every wait is bounded on our side too: a server that is
stopped keeps its sockets, and a statement timeout then never comes.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, cast

import psycopg
from django.db import connection

PATIENCE = 2.0

# Down, full, read-only, too slow: all of them pass, and none is the call's fault.
GONE = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)

_local = threading.local()
# What Django's own connections are made with and ours are not.
_DJANGOS = ("cursor_factory", "context", "prepare_threshold", "server_side_binding", "assume_role", "options")


class _Bounded(psycopg.Connection[Any]):
    """A connection none of whose waits outlasts PATIENCE."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, PATIENCE if timeout is None else timeout)
        except psycopg.errors._WaitTimeout:
            raise psycopg.OperationalError("the database did not answer in time") from None


def run(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of one statement, committed. Raises psycopg's errors."""
    fresh = _of_thread() is None
    for last in (fresh, True):
        own = _of_thread() or _connect()
        try:
            cursor = own.execute(sql, params, prepare=True)
            return cast("list[tuple[Any, ...]]", cursor.fetchall()) if cursor.description else []
        except GONE as error:
            forget()
            # A connection that the server closed while it lay idle is no sign of a dead database: once more.
            if last or "in time" in str(error):
                raise
    raise AssertionError("the second try returns or raises")


def forget() -> None:
    """Closes this thread's connection; the next statement makes another."""
    own = _of_thread()
    if own is not None:
        own.close()
    _local.connection = None


def _of_thread() -> _Bounded | None:
    own: _Bounded | None = getattr(_local, "connection", None)
    return own if own is not None and not own.closed else None


def _connect() -> _Bounded:
    params = connection.get_connection_params()
    options = {key: value for key, value in params.items() if key not in _DJANGOS}
    own = _Bounded.connect(
        **options, autocommit=True, options=f"-c statement_timeout={int(PATIENCE * 1000)} -c timezone=UTC"
    )
    _local.connection = own
    return own
