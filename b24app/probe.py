"""Questions whose answer may never come: asked in a thread of their own, given up after a while.

A stopped PostgreSQL or Redis keeps its connections open and says nothing; no timeout of a library covers
every way of that. So whoever asks waits at most `patience`, and while one thread hangs no second one starts.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections

OK = "ok"
NO_ANSWER = "no answer"
# What anybody may ask as often as he likes is asked of the database once in this time.
KEEP_SECONDS = 1.0


class Probe:
    """Answers `OK` or a word on what is wrong; never the text of an error, which may hold an address."""

    def __init__(self, question: Callable[[], None], patience: float) -> None:
        self._question = question
        self._patience = patience
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._answer = NO_ANSWER
        self._answered_at = float("-inf")

    def ask(self) -> str:
        """At most KEEP_SECONDS old; waits `patience` seconds at most."""
        with self._lock:
            if time.monotonic() - self._answered_at < KEEP_SECONDS:
                return self._answer
            if self._asking is None or not self._asking.is_alive():
                self._asking = threading.Thread(target=self._run, name="probe", daemon=True)
                self._asking.start()
            asking = self._asking
        asking.join(self._patience)
        if asking.is_alive():
            return NO_ANSWER
        return self._answer

    def _run(self) -> None:
        try:
            self._question()
            answer = OK
        except Exception as error:
            answer = f"away ({type(error).__name__})"
        finally:
            connections.close_all()
        self._answer, self._answered_at = answer, time.monotonic()


def _ask_database() -> None:
    with connections["default"].cursor() as cursor:
        # A table of ours: a database that was never migrated is not ready either.
        cursor.execute("SELECT 1 FROM portals_lease LIMIT 1")
        cursor.fetchall()


def _ask_broker() -> None:
    from b24app.celery import app

    if settings.CELERY_BROKER_URL.startswith("filesystem:"):
        folder = Path(app.conf.broker_transport_options["data_folder_out"])
        if not folder.is_dir() or shutil.disk_usage(folder).free == 0:
            raise OSError
        return
    with app.connection_for_write(connect_timeout=2) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)
        # Redis is spoken to only when something is asked of it.
        channel: Any = connection.default_channel
        channel.close()


database = Probe(_ask_database, patience=3.0)
broker = Probe(_ask_broker, patience=3.0)
