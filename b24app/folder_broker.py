"""The filesystem broker without its races: a message is there whole or not at all.

kombu's own transport opens a message's file and then writes it, so that a worker may take it away empty; the
worker then ends for good on what it can't decode (seen twice in one run). Here files are written beside and
renamed, what can't be decoded is dropped (a wake-up lost costs the seconds until the next sweep), and nothing
leaves the broker's folders.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any, cast

from kombu.transport import filesystem

log = logging.getLogger(__name__)


class Channel(filesystem.Channel):
    """Same folders and names as kombu's, so either reads what the other wrote."""

    def _put(  # type: ignore[override]  # the two classes above name the message differently
        self, queue: str, message: Any, **_kwargs: Any
    ) -> None:
        name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        _write(Path(self.data_folder_out) / name, message)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        """The oldest message of the queue. Raises Empty."""
        folder, taken = Path(self.data_folder_in), Path(self.processed_folder)
        taken.mkdir(parents=True, exist_ok=True)
        for name in sorted(os.listdir(folder)):
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            mine = taken / name
            try:
                (folder / name).rename(mine)
            except FileNotFoundError:
                # Another worker was quicker.
                continue
            text = mine.read_bytes()
            mine.unlink(missing_ok=True)
            try:
                return json.loads(text)
            except ValueError:
                log.warning("A broken message was dropped.")
        raise Empty

    def get_table(self, exchange: str) -> list[Any]:
        try:
            rows = json.loads(self._file_of(exchange).read_bytes())
        except (FileNotFoundError, ValueError):
            return []
        return [filesystem.exchange_queue_t(*row) for row in rows]

    def _queue_bind(
        self, exchange: str | None, routing_key: str | None, pattern: str | None, queue: str | None
    ) -> None:
        wanted = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._alone():
            table = self.get_table(exchange or "")
            if wanted not in table:
                _write(self._file_of(exchange or ""), [wanted, *table])

    def _file_of(self, exchange: str) -> Path:
        """Where kombu keeps an exchange's bindings; it refuses a name that would lead elsewhere."""
        file: Path = cast("Any", self)._exchange_file(exchange)
        return file

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One binder at a time, among processes; the lock ends with its holder."""
        folder = Path(self.control_folder)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "bind.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Transport(filesystem.Transport):
    Channel = Channel


def _write(path: Path, content: Any) -> None:
    """All of it under its name, or nothing. A name that begins with a dot is nobody's message."""
    beside = path.with_name(f".{uuid.uuid4().hex}.part")
    beside.write_text(json.dumps(content))
    beside.rename(path)
