"""Alarms that go out: each once per cause until it ends, and its end.

Asked every ten seconds by whichever process has the turn: a thread of each web process (so that a silent sweeper
is noticed by somebody else) and the sweep. What must go out without a database is kept on each machine.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import translation

from b24app import alarm_channels, alarm_words, probe
from b24app.alarm import AGAIN, Kind
from b24app.alarm_book import Book, DatabaseBook, Entry, FileBook
from b24app.alarm_causes import AT_ONCE, EVERYWHERE, OF_THIS_MACHINE, Cause
from b24app.alarm_channels import Message
from portals import lease
from portals.clock import db_now
from portals.wake import wake

log = structlog.get_logger(__name__)

EVERY = 10.0
# A cause that is not seen for as long is over; one that comes and goes is one alarm.
QUIET = dt.timedelta(minutes=1)
TRY_AGAIN = dt.timedelta(minutes=1)
# Longer than any channel takes for a message; whoever tells renews it before each.
_TELLS = 60.0

Questions = list[tuple[Callable[[], Iterator[Cause]], set[str]]]
_started_in = 0


def start() -> None:
    """Starts this process's thread, once."""
    global _started_in
    if _started_in != os.getpid():
        _started_in = os.getpid()
        threading.Thread(target=_check_for_ever, name="alarms", daemon=True).start()


def check() -> None:
    """One pass where it is this process's turn; a part that fails keeps no other from its own."""
    machine = FileBook()
    with machine.turn() as ours:
        if ours:
            settle(machine, OF_THIS_MACHINE, dt.datetime.now(dt.UTC))
    if probe.database.ask() != probe.OK:
        # One that hangs would hold this thread too, and the machine's own alarms with it.
        return
    try:
        held = lease.take("alarms", _TELLS)
        if held is None:
            return
        try:
            book = DatabaseBook()
            now = db_now()
            settle(book, EVERYWHERE, now, lambda: held.renew(_TELLS))
            book.forget_old(now)
        finally:
            # Not given back: the lease is what keeps the others from asking before the time.
            held.renew(EVERY)
    except (DatabaseError, InterfaceError) as error:
        log.warning("alarms can't be looked for now", error=type(error).__name__)


def settle(
    book: Book, questions: Questions, now: dt.datetime, ours: Callable[[], bool] = lambda: True
) -> None:
    """Opens, ends and tells, by what the questions find now; `ours`: whether it is still this process's turn."""
    causes, asked = _ask(questions)
    entries = {(entry.kind, entry.subject): entry for entry in book.current() if entry.ended_at is None}
    over = [entry for entry in book.current() if entry.ended_at is not None]
    graces: dict[tuple[str, str], dt.timedelta] = {}
    for cause in causes:
        key = (str(cause.kind), cause.subject[:200])
        graces[key] = cause.grace
        known = entries.get(key)
        if known is None:
            entries[key] = Entry(*key, cause.params, now, now)
        else:
            # To be told again, and not forgotten: whoever heard of a beginning hears of the end.
            told = dict.fromkeys(known.told, AGAIN) if _is_another_trouble(known, cause) else known.told
            entries[key] = replace(known, params=cause.params, seen_at=now, told=told)
        if cause.kind == Kind.SWEEPER_SILENT:
            # Beat may be dead; a worker that lives sweeps all the same.
            wake("sweep")
    for key, entry in list(entries.items()):
        if key not in graces and entry.kind in asked and now - entry.seen_at > QUIET:
            entries[key] = replace(entry, ended_at=now)
    all_of_them = [*entries.values(), *over]
    book.write(all_of_them)
    for entry in all_of_them:
        grace = graces.get((entry.kind, entry.subject)) if entry.ended_at is None else None
        for _message_sent in _tell(entry, grace, now, ours):
            # At once: what follows may take its time, or end with this process.
            book.note(entry, all_of_them)


def open_alarms() -> list[dict[str, Any]]:
    """For the first page: {kind, subject, title, text, to_do, since}, the oldest first.

    Of other machines only what the database knows. Raises DatabaseError where there is none.
    """
    found = [entry for book in (DatabaseBook(), FileBook()) for entry in book.current()]
    return [
        {
            "kind": entry.kind,
            "subject": entry.subject,
            "title": alarm_words.title(entry.kind),
            "text": alarm_words.sentence(entry.kind, entry.params),
            "to_do": alarm_words.to_do(entry.kind, entry.params),
            "since": entry.opened_at,
        }
        for entry in sorted(found, key=lambda entry: entry.opened_at)
        if entry.ended_at is None and entry.matters
    ]


def counts(with_database: bool = True) -> dict[str, int]:
    """Open alarms by kind, every kind named; those of this machine alone where the database is away."""
    found = dict.fromkeys(Kind.values, 0)
    books: list[Book] = [FileBook(), DatabaseBook()] if with_database else [FileBook()]
    for book in books:
        try:
            for entry in book.current():
                found[entry.kind] = found.get(entry.kind, 0) + (entry.ended_at is None)
        except (DatabaseError, InterfaceError):
            continue
    return found


def _ask(questions: Questions) -> tuple[list[Cause], set[str]]:
    """The causes found, and the kinds that could be asked for."""
    causes: list[Cause] = []
    asked: set[str] = set()
    for question, kinds in questions:
        try:
            causes += list(question())
            asked |= kinds
        except Exception:
            log.exception("an alarm's question failed", question=question.__name__)
    return causes, asked


def _is_another_trouble(known: Entry, cause: Cause) -> bool:
    """The portal's trouble gave way to one that a person must see to: whoever was told of the first waits for it."""
    trouble = cause.params.get("trouble")
    return trouble in AT_ONCE and trouble != known.params.get("trouble")


def _tell(
    entry: Entry, grace: dt.timedelta | None, now: dt.datetime, ours: Callable[[], bool]
) -> Iterator[None]:
    """Tells every channel what it does not know yet, and comes back after each with what has changed on the entry;
    `grace` None: not seen just now."""
    state = "open" if entry.ended_at is None else "ended"
    if entry.next_try_at is not None and entry.next_try_at > now:
        return
    if state == "open" and (grace is None or now - entry.opened_at < grace):
        return
    channels = alarm_channels.configured()
    # Whoever was not told of its beginning is not told of its end.
    untold = [
        name for name in channels if entry.told.get(name) != state and (state == "open" or name in entry.told)
    ]
    if entry.next_try_at is not None and not untold:
        entry.next_try_at = None
        yield
    failed = False
    for name in untold:
        if not ours():
            return
        try:
            channels[name].send(_message(entry, state))
            entry.told = {**entry.told, name: state}
        except Exception as error:
            # Their texts may hold an address with a secret in it.
            log.warning("an alarm was not told", channel=name, kind=entry.kind, error=type(error).__name__)
            failed = True
        entry.next_try_at = now + TRY_AGAIN if failed else None
        yield
    if state == "open" and "open" not in entry.told.values() and not channels:
        entry.told = {**entry.told, "log": "open"}
        log.error("alarm", kind=entry.kind, subject=entry.subject, **_loggable(entry))
        yield
    if state == "ended" and entry.told.get("log", "ended") != "ended":
        entry.told = {**entry.told, "log": "ended"}
        log.info("alarm over", kind=entry.kind, subject=entry.subject)
        yield


def _loggable(entry: Entry) -> dict[str, Any]:
    return {f"its_{name}": value for name, value in entry.params.items()}


def _message(entry: Entry, state: str) -> Message:
    with translation.override(settings.LANGUAGE_CODE):
        return Message(
            entry.kind,
            entry.subject,
            state,
            alarm_words.title(entry.kind),
            alarm_words.sentence(entry.kind, entry.params),
            alarm_words.to_do(entry.kind, entry.params),
            entry.opened_at,
            entry.ended_at,
            f"{settings.PUBLIC_URL}/admin/",
        )


def _check_for_ever() -> None:
    while True:
        time.sleep(EVERY)
        try:
            close_old_connections()
            check()
        except Exception:
            log.exception("a look for alarms failed; the next comes")
        close_old_connections()
