"""SQLite as the intake uses it: one connection a process, and one commit for all calls that wait for it.

A commit costs an fsync and the file's only write lock, so calls that come while one is being written are written
together: whoever holds the lock writes for all that wait, in the order of their coming. A group of which one
is refused is written again call by call, so that a bad row harms nobody else (durability is the same: each
caller returns after the commit that holds its row). Where no transaction begins, the file is locked or gone for
everybody who waits: they fail together, since one after another the last would outlast the portal's patience.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import DatabaseError, OperationalError

from portals.failpoint import failpoint

# A file that is locked for longer is as good as away; a call may meet it twice, and a portal waits 10 s.
PATIENCE = 2.0
# Calls of one commit; web threads are fewer, so this bounds what a mistake could make of it.
GROUP = 64

Rows = list[tuple[Any, ...]]
Statement = tuple[str, Sequence[Any]]


@dataclass
class _Job:
    """A statement and what follows it in the same transaction (`then(rows)` gives a statement or None)."""

    first: Statement
    then: Callable[[Rows], Statement | None]
    rows: Rows = field(default_factory=list)
    error: BaseException | None = None
    done: bool = False


class _NotBegun(Exception):
    """No transaction could begin; its cause says why."""


_waiting: list[_Job] = []
_waiting_lock = threading.Lock()
_turn = threading.Lock()
_connection: sqlite3.Connection | None = None
_connected_to = ""


def _after_fork() -> None:
    """A connection of the parent must not be touched, nor a lock that one of its threads holds."""
    global _waiting_lock, _turn, _connection
    _waiting.clear()
    _waiting_lock, _turn, _connection = threading.Lock(), threading.Lock(), None


os.register_at_fork(after_in_child=_after_fork)


def run(sql: str, params: Sequence[Any]) -> Rows:
    """The rows of one statement, committed. Raises Django's OperationalError, DatabaseError."""
    return run_together((sql, params), lambda _rows: None)


def run_together(first: Statement, then: Callable[[Rows], Statement | None]) -> Rows:
    """`first`, then what `then(rows)` gives, in one IMMEDIATE transaction; the rows of `first`."""
    job = _Job(first, then)
    with _waiting_lock:
        _waiting.append(job)
    with _turn:
        while not job.done:
            with _waiting_lock:
                group = _waiting[:GROUP]
                del _waiting[:GROUP]
            _write(group)
    if isinstance(job.error, sqlite3.OperationalError | sqlite3.InterfaceError):
        raise OperationalError(str(job.error)) from job.error
    if job.error is not None:
        raise DatabaseError(str(job.error)) from job.error
    return job.rows


def forget() -> None:
    """Closes this process's connection; the next statement makes another."""
    global _connection
    with _turn:
        if _connection is not None:
            _connection.close()
        _connection = None


def _write(group: list[_Job]) -> bool:
    """Ends each job of it: its rows committed, or its error told. False where no transaction could begin."""
    try:
        _transaction(group)
    except _NotBegun as error:
        with _waiting_lock:
            everybody = group + _waiting
            _waiting.clear()
        _end(everybody, error.__cause__)
        return False
    except Exception as error:
        if len(group) == 1:
            _end(group, error)
        else:
            _write_singly(group)
        return True
    except BaseException as error:
        _end(group, error)
        raise
    _end(group)
    return True


def _write_singly(group: list[_Job]) -> None:
    for place, job in enumerate(group):
        if not _write([job]):
            _end(group[place:], job.error)
            return


def _end(group: list[_Job], error: BaseException | None = None) -> None:
    for job in group:
        job.error, job.done = error, True


def _transaction(group: list[_Job]) -> None:
    database = _begin()
    try:
        for job in group:
            job.rows = database.execute(*_own(job.first)).fetchall()
            failpoint("accept.between")
            second = job.then(job.rows)
            if second is not None:
                database.execute(*_own(second))
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _begin() -> sqlite3.Connection:
    """Waits for the file's write lock for PATIENCE. Raises _NotBegun."""
    try:
        database = _open()
        database.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        raise _NotBegun from error
    return database


def _own(statement: Statement) -> tuple[str, Sequence[Any]]:
    """Django's placeholders as SQLite's."""
    sql, params = statement
    return sql.replace("%s", "?").replace("%%", "%"), params


def _open() -> sqlite3.Connection:
    global _connection, _connected_to
    path = str(settings.DATABASES["default"]["NAME"])
    if _connection is None or _connected_to != path:
        made = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("PRAGMA synchronous=FULL")
        made.execute("PRAGMA foreign_keys=ON")
        _connection, _connected_to = made, path
    return _connection
