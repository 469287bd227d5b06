"""SQLite as the intake uses it: one connection a process, and one commit for all calls that wait for it.

A commit costs an fsync, the file's only write lock and a dozen pages that the next call changes again, so calls
that come close together are written together: the first of them leads, waits a moment for the others where there
were others before (`_gather`), and writes for all, in the order of their coming. Eight in one commit cost a third
of the CPU and an eighth of the fsyncs of eight alone; a lonely call is written at once. A group of which one
is refused is written again call by call, so that a bad row harms nobody else (durability is the same: each
caller returns after the commit that holds its row). Where no transaction begins, the file is locked or gone for
everybody who waits: they fail together, since one after another the last would outlast the portal's patience.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import DatabaseError, OperationalError

from portals.failpoint import failpoint

# A file that is locked for longer is as good as away; a call may meet it twice, and a portal waits 10 s.
PATIENCE = 2.0
# Calls of one commit; web threads are fewer, so this bounds what a mistake could make of it.
GROUP = 64
# Seconds a leader waits for one more to come, and for all of them at most. It waits for as many as last time, so it
# seldom waits in vain; a shorter gap ends while the others' forms are still read, and groups fall apart.
GAP = 0.004
LONGEST = 0.01

Rows = list[tuple[Any, ...]]
Statement = tuple[str, Sequence[Any]]


def _held() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass
class _Job:
    """A statement and what follows it in the same transaction (`then(rows)` gives a statement or None).

    `told` is given free once: when it is done, or when it is its turn to lead.
    """

    first: Statement
    then: Callable[[Rows], Statement | None]
    rows: Rows = field(default_factory=list)
    error: BaseException | None = None
    done: bool = False
    told: threading.Lock = field(default_factory=_held)


class _NotBegun(Exception):
    """No transaction could begin; its cause says why."""


_waiting: list[_Job] = []
_waiting_lock = threading.Lock()
# Whether somebody leads (then whoever comes only waits), and who of those waits for company.
_led = False
_gathering: _Job | None = None
# How many the last group was: as many are expected again.
_expected = 1
_turn = threading.Lock()
_connection: sqlite3.Connection | None = None
_connected_to = ""


def _after_fork() -> None:
    """A connection of the parent must not be touched, nor a lock that one of its threads holds."""
    global _waiting_lock, _turn, _connection, _led, _gathering, _expected
    _waiting.clear()
    _waiting_lock, _turn, _connection = threading.Lock(), threading.Lock(), None
    _led, _gathering, _expected = False, None, 1


os.register_at_fork(after_in_child=_after_fork)


def run(sql: str, params: Sequence[Any]) -> Rows:
    """The rows of one statement, committed. Raises Django's OperationalError, DatabaseError."""
    return run_together((sql, params), lambda _rows: None)


def run_together(first: Statement, then: Callable[[Rows], Statement | None]) -> Rows:
    """`first`, then what `then(rows)` gives, in one IMMEDIATE transaction; the rows of `first`."""
    global _led, _gathering
    job = _Job(first, then)
    with _waiting_lock:
        _waiting.append(job)
        leads, _led = not _led, True
        if _gathering is not None and len(_waiting) >= _expected:
            _gathering.told.release()
            _gathering = None
    if not leads:
        job.told.acquire()
    if not job.done:
        _lead(job)
    if isinstance(job.error, sqlite3.OperationalError | sqlite3.InterfaceError):
        raise OperationalError(str(job.error)) from job.error
    if job.error is not None:
        raise DatabaseError(str(job.error)) from job.error
    return job.rows


def _lead(job: _Job) -> None:
    """Writes for all that wait, `job` among them, and hands over to the first of those that came meanwhile."""
    global _led, _expected
    group: list[_Job] = []
    try:
        if _expected > 1 or len(_waiting) > 1:
            _gather(job)
        with _waiting_lock:
            group = _waiting[:GROUP]
            del _waiting[:GROUP]
        _expected = len(group)
        with _turn:
            _write(group)
    except BaseException as error:
        _end([each for each in group if not each.done], error)
        raise
    finally:
        with _waiting_lock:
            following = _waiting[0] if _waiting else None
            _led = following is not None
        if following is not None:
            following.told.release()


def _gather(leader: _Job) -> None:
    """Waits until as many are there as last time, or nobody comes any more."""
    global _gathering
    end = time.monotonic() + LONGEST
    with _waiting_lock:
        seen = len(_waiting)
        if seen >= _expected:
            return
        _gathering = leader
    while not leader.told.acquire(timeout=GAP):
        with _waiting_lock:
            if _gathering is not None and (len(_waiting) == seen or time.monotonic() > end):
                _gathering = None
                return
            seen = len(_waiting)


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
            _end(group[place + 1 :], job.error)
            return


def _end(group: list[_Job], error: BaseException | None = None) -> None:
    for job in group:
        job.error, job.done = error, True
        job.told.release()


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
    return _sqlites(statement[0]), statement[1]


@lru_cache(maxsize=64)
def _sqlites(sql: str) -> str:
    """Django's placeholders as SQLite's."""
    return sql.replace("%s", "?").replace("%%", "%")


def _open() -> sqlite3.Connection:
    global _connection, _connected_to
    path = str(settings.DATABASES["default"]["NAME"])
    if _connection is None or _connected_to != path:
        made = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("PRAGMA synchronous=FULL")
        made.execute("PRAGMA foreign_keys=ON")
        # Else every hundredth commit or so copies the log's pages into the file while its calls wait. Others that
        # write (the worker) still do after 1,000 pages; alone, a call's pages are copied a quarter as often.
        made.execute("PRAGMA wal_autocheckpoint=4000")
        _connection, _connected_to = made, path
    return _connection
