"""The spool: where a call waits while the database is away (design §2 rule 2).

One SQLite file a machine under `SPOOL_DIR`, written with fsync before the answer, encrypted, bounded. Beside
the calls lies a small copy of whom we know (application, member_id, keyed hash of the application token), so
that a process started during an outage can tell a portal's call from a stranger's. A call that matches it is
kept as verified; one that does not proves nothing, since the copy may be old, and is kept in a bounded share.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from django.conf import settings

from handlers.incoming import Incoming
from portals.crypto import SecretUnreadable, decrypt, encrypt, keyed_hashes
from portals.failpoint import failpoint

log = structlog.get_logger(__name__)

UNVERIFIED_FORM_MAX = 256 * 1024
# Of the unverified share, what one claimed portal may take.
_MEMBER_SHARE = 0.25
_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT, received REAL NOT NULL, member TEXT NOT NULL, verified INTEGER NOT NULL,
    bad INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL, call BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS unverified ON calls (member, size) WHERE verified = 0;
CREATE TABLE IF NOT EXISTS held (verified INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO held VALUES (0, 0), (1, 0);
CREATE TRIGGER IF NOT EXISTS came AFTER INSERT ON calls BEGIN
    UPDATE held SET bytes = bytes + NEW.size WHERE verified = NEW.verified; END;
CREATE TRIGGER IF NOT EXISTS went AFTER DELETE ON calls BEGIN
    UPDATE held SET bytes = bytes - OLD.size WHERE verified = OLD.verified; END;
CREATE TABLE IF NOT EXISTS portals (
    slug TEXT NOT NULL, member TEXT NOT NULL, token BLOB NOT NULL, former BLOB NOT NULL, former_until REAL,
    PRIMARY KEY (slug, member));
"""


class SpoolFull(Exception):
    """The call can't be kept: the share it belongs to is full, or the disk is."""


@dataclass
class _Slot:
    """A call that waits for its write, done by whichever thread writes next."""

    call: Incoming
    blob: bytes
    error: BaseException | None = None
    done: bool = False
    verified: bool = False


@dataclass(frozen=True)
class Spooled:
    """A row as it lies there; `call` is None where no key opens it, or what is inside is no call."""

    id: int
    verified: bool
    call: Incoming | None


@dataclass(frozen=True)
class Held:
    """What the spool holds now; `oldest` of those not set aside in unix seconds, None where there is none."""

    calls: int
    bytes: int
    bad: int
    oldest: float | None


_waiting: list[_Slot] = []
_waiting_lock = threading.Lock()
_write_lock = threading.Lock()
# When a write last failed in this process, by the monotonic clock, and the type of its error.
NEVER = (-math.inf, "")
_failed: tuple[float, str] = NEVER
_LATELY = 600.0
os.register_at_fork(after_in_child=lambda: globals().update(_waiting=[], _write_lock=threading.Lock()))


def path() -> Path:
    return Path(settings.SPOOL_DIR) / "spool.sqlite3"


def exists() -> bool:
    return path().exists()


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    """The spool's file, made (folder 0700) where it is missing; committed at the end or rolled back."""
    file = path()
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.parent.chmod(0o700)
    with closing(sqlite3.connect(file, timeout=5, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        # Its log stays small. As large as the file (SQLite's custom) it filled a small disk together with it, and
        # where neither can grow no call can leave (seen in the drill `outage`, on a disk of twice SPOOL_MAX_MB).
        database.execute("PRAGMA wal_autocheckpoint=100")
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'portals'").fetchone():
            database.executescript(_SCHEMA)
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def put(call: Incoming) -> bool:
    """Keeps the call, on disk when this returns; True where it is verified. Raises SpoolFull.

    Threads that wait for the same fsync share it: whoever holds the lock writes for all that wait.
    """
    slot = _Slot(call, encrypt(call.dump()))
    with _waiting_lock:
        _waiting.append(slot)
    with _write_lock:
        if not slot.done:
            with _waiting_lock:
                slots, _waiting[:] = list(_waiting), []
            _write(slots)
    if slot.error is not None:
        raise SpoolFull(str(slot.error)) from slot.error
    return slot.verified


def _write(slots: list[_Slot]) -> None:
    """All that wait, in one commit. Whatever becomes of it is every slot's: one that is not told would be answered 200
    with nothing on disk."""
    global _failed
    failed: BaseException | None = None
    try:
        with _database() as database:
            for slot in slots:
                _write_one(database, slot)
            failpoint("spool.before_commit")
        failpoint("spool.committed")
    except BaseException as error:
        failed = error
        if not isinstance(error, Exception):
            raise
    finally:
        if failed is not None:
            _failed = (time.monotonic(), type(failed).__name__)
        for slot in slots:
            slot.error = slot.error or failed
            slot.done = True


def failed_lately() -> str:
    """The error for which this process last stored no call, where that is not long ago; else ''. Not that a share was
    full: that is what a share is for."""
    at, error = _failed
    return error if time.monotonic() - at < _LATELY else ""


def _write_one(database: sqlite3.Connection, slot: _Slot) -> None:
    call, size = slot.call, len(slot.blob)
    slot.verified = _matches(database, call)
    held = dict(database.execute("SELECT verified, bytes FROM held"))
    room = settings.SPOOL_MAX_MB * 1024 * 1024
    if slot.verified:
        full = sum(held.values()) + size > room
    else:
        share = room // 10
        (of_member,) = database.execute(
            "SELECT COALESCE(SUM(size), 0) FROM calls WHERE verified = 0 AND member = ?", (call.member_id,)
        ).fetchone()
        full = (
            size > UNVERIFIED_FORM_MAX * 2
            or held[0] + size > share
            or of_member + size > share * _MEMBER_SHARE
            or sum(held.values()) + size > room
        )
    if full:
        slot.error = SpoolFull("the spool is full")
        return
    database.execute(
        "INSERT INTO calls (received, member, verified, size, call) VALUES (?, ?, ?, ?, ?)",
        (call.received_at.timestamp(), call.member_id, slot.verified, size, slot.blob),
    )


def _matches(database: sqlite3.Connection, call: Incoming) -> bool:
    row = database.execute(
        "SELECT token, former, former_until FROM portals WHERE slug = ? AND member = ?",
        (call.slug, call.member_id),
    ).fetchone()
    if row is None:
        return False
    shown = keyed_hashes(call.application_token)
    return row[0] in shown or (row[1] in shown and (row[2] or 0) > call.received_at.timestamp())


def remember_portals(rows: list[tuple[str, str, bytes, bytes, dt.datetime | None]]) -> None:
    """Replaces the copy of whom we know: (slug, member_id, hash, former hash, former until)."""
    with _database() as database:
        database.execute("DELETE FROM portals")
        database.executemany(
            "INSERT OR REPLACE INTO portals VALUES (?, ?, ?, ?, ?)",
            [
                (slug, member, token, former, until and until.timestamp())
                for slug, member, token, former, until in rows
            ],
        )


def take(most: int, after: int = 0) -> list[Spooled]:
    """The oldest calls after row `after`, in order, left where they are."""
    with _database() as database:
        rows = database.execute(
            "SELECT id, verified, call FROM calls WHERE id > ? AND bad = 0 ORDER BY id LIMIT ?", (after, most)
        ).fetchall()
    return [Spooled(row[0], bool(row[1]), _opened(row[0], row[2])) for row in rows]


def _opened(row: int, blob: bytes) -> Incoming | None:
    try:
        return Incoming.load(decrypt(blob))
    except (SecretUnreadable, ValueError, TypeError, LookupError, AttributeError) as error:
        log.error("a spooled call can't be read", row=row, error=type(error).__name__)
        return None


def remove(ids: list[int]) -> None:
    with _database() as database:
        database.executemany("DELETE FROM calls WHERE id = ?", [(row,) for row in ids])


def set_aside(row: int) -> None:
    """A call that can't be read or stored as it is: kept for a person, no longer tried by this process."""
    with _database() as database:
        database.execute("UPDATE calls SET bad = 1 WHERE id = ?", (row,))


def try_again() -> None:
    """Calls that were set aside are tried once more: their key may be back, or a new release can store them."""
    with _database() as database:
        database.execute("UPDATE calls SET bad = 0 WHERE bad = 1")


def held() -> Held:
    """What waits here; nothing where there never was a spool."""
    if not exists():
        return Held(0, 0, 0, None)
    with _database() as database:
        calls, size, bad, oldest = database.execute(
            "SELECT COUNT(*), COALESCE(SUM(size), 0), COALESCE(SUM(bad), 0),"
            " MIN(CASE WHEN bad = 0 THEN received END) FROM calls"
        ).fetchone()
    return Held(calls, size, bad, oldest)
