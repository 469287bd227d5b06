"""Where open alarms are written down: in the database, and what concerns one machine in a file of its own."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings

from b24app.alarm import Alarm

# Ended alarms are kept for people to read.
KEEP = dt.timedelta(days=90)


@dataclass
class Entry:
    """An alarm as the book has it; `key` is the book's own."""

    kind: str
    subject: str
    params: dict[str, Any]
    opened_at: dt.datetime
    seen_at: dt.datetime
    ended_at: dt.datetime | None = None
    told: dict[str, str] = field(default_factory=dict)
    next_try_at: dt.datetime | None = None
    key: int = 0

    @property
    def matters(self) -> bool:
        """It lasted longer than what is usual, and was told, or is tried to be."""
        return bool(self.told) or self.next_try_at is not None


class Book(Protocol):
    def current(self) -> list[Entry]:
        """Open ones, and ended ones whose end is not told on every channel that told their beginning."""
        ...

    def write(self, entries: list[Entry]) -> None:
        """Those that are new or have changed."""
        ...

    def note(self, entry: Entry, entries: list[Entry]) -> None:
        """One that has changed since, of those that were written."""
        ...


class DatabaseBook:
    """Seen and told by whichever process holds the turn."""

    def current(self) -> list[Entry]:
        open_ones = list(Alarm.objects.filter(ended_at=None))
        ended = [
            alarm
            for alarm in Alarm.objects.exclude(ended_at=None).order_by("-ended_at")[:200]
            if _owes_its_end(alarm.told)
        ]
        return [_entry(alarm) for alarm in open_ones + ended]

    def write(self, entries: list[Entry]) -> None:
        for entry in entries:
            values = {name: value for name, value in asdict(entry).items() if name != "key"}
            if entry.key:
                Alarm.objects.filter(pk=entry.key).update(**values)
            else:
                entry.key = Alarm.objects.create(**values).pk

    def note(self, entry: Entry, entries: list[Entry]) -> None:
        self.write([entry])

    def forget_old(self, now: dt.datetime) -> None:
        Alarm.objects.filter(ended_at__lt=now - KEEP).delete()


def _owes_its_end(told: dict[str, str]) -> bool:
    """Whether a channel that was told of its beginning was not told of its end."""
    return any(state != "ended" for state in told.values())


def _entry(alarm: Alarm) -> Entry:
    return Entry(
        alarm.kind,
        alarm.subject,
        dict(alarm.params),
        alarm.opened_at,
        alarm.seen_at,
        alarm.ended_at,
        dict(alarm.told),
        alarm.next_try_at,
        alarm.pk,
    )


class FileBook:
    """`SPOOL_DIR/alarms.json`, for what must be told without a database. Where the disk takes nothing this
    process remembers for itself."""

    # None: the file has it all.
    _remembered: list[Entry] | None = None

    def current(self) -> list[Entry]:
        if self._remembered is not None:
            # What could not be written is newer than the file.
            return list(self._remembered)
        try:
            found = json.loads(self._path().read_text())
            return [_from_json(entry) for entry in found]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def write(self, entries: list[Entry]) -> None:
        """All of them, those that are over left out: the file is small and written whole."""
        kept = [entry for entry in entries if entry.ended_at is None or _owes_its_end(entry.told)]
        type(self)._remembered = kept
        path = self._path()
        if not kept and not path.exists():
            type(self)._remembered = None
            return
        fresh = path.with_suffix(f".{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_text(json.dumps([asdict(entry) for entry in kept], default=dt.datetime.isoformat))
            fresh.replace(path)
        except OSError:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            return
        type(self)._remembered = None

    def note(self, entry: Entry, entries: list[Entry]) -> None:
        self.write(entries)

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Whether this process has the machine's turn; the lock ends with the process."""
        try:
            self._path().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = (self._path().parent / "alarms.lock").open("w")
        except OSError:
            # No disk: better told by each process than by none.
            yield True
            return
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _path(self) -> Path:
        return Path(settings.SPOOL_DIR) / "alarms.json"


def _from_json(told: dict[str, Any]) -> Entry:
    for name in ("opened_at", "seen_at", "ended_at", "next_try_at"):
        told[name] = dt.datetime.fromisoformat(told[name]) if told.get(name) else None
    return Entry(**told)
