"""Logs that cannot grow without end: the last N entries and a number for each,
so that a reader can go on from where it was."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any


class Journal:
    """A ring of entries, numbered from 1; the caller holds the world's lock."""

    def __init__(self, size: int = 3000) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=size)
        self.total = 0

    def add(self, entry: dict[str, Any]) -> dict[str, Any]:
        self.total += 1
        entry["seq"] = self.total
        self._entries.append(entry)
        return entry

    def after(self, number: int, limit: int) -> dict[str, Any]:
        """Entries numbered above ``number``, oldest first; ``next`` is what to ask for next."""
        first = self.total - len(self._entries) + 1
        skip = max(0, number + 1 - first)
        items = [dict(entry) for entry in islice(self._entries, skip, skip + limit)]
        return {"items": items, "next": items[-1]["seq"] if items else max(number, 0), "total": self.total}

    def latest(self, limit: int) -> list[dict[str, Any]]:
        """The newest entries, newest first."""
        return [dict(entry) for entry in islice(reversed(self._entries), limit)]
