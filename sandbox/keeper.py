"""Keeps the snapshot: restores it at start, writes it while things change and once more at the end."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from sandbox import snapshot
from sandbox.processes import Processes
from sandbox.world import World

SECONDS = 2.0
SHARE = 30.0


class Keeper:
    """A thread that writes at most every two seconds,
    and rarer where writing takes long (a thirtieth of the time)."""

    def __init__(self, world: World, engine: Processes, folder: Path | None) -> None:
        self.world = world
        self.engine = engine
        self.folder = folder
        self._stop = threading.Event()
        self._writing = threading.Lock()

    def restore(self) -> None:
        """The stored state with its timers and its queue; after a kill the queue is lost."""
        state = snapshot.read(self.folder) if self.folder else None
        if state is None:
            return
        self.world.adopt(state)
        with self.world.lock:
            for portal in state.portals.values():
                portal.counters["queued"] = 0
                for process in portal.processes.values():
                    if not process.alive:
                        self.world.books(portal).ended.append(process.id)
                    elif process.step.state == "waiting" and process.step.timeout > 0:
                        self.engine.schedule_timeout(portal, process)
        # A kill from here on must not find again what is sent now.
        self.write()
        with self.world.lock:
            self.engine.calls.send_left()

    def start(self) -> None:
        if self.folder:
            threading.Thread(target=self._run, name="keeper", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()
        self.write(last=True)

    def write(self, last: bool = False) -> float:
        """Writes where something changed; gives the seconds. The last one cuts a running one short, and is written in
        any case."""
        if self.folder is None or not (self.world.dirty or last):
            return 0.0
        started = time.monotonic()
        with self._writing:
            self.world.dirty = False
            text = snapshot.dump(self.world, lambda: not last and self._stop.is_set(), last)
            if not text:
                self.world.dirty = True
                return 0.0
            try:
                snapshot.write(self.folder, text)
            except OSError as error:
                self.world.dirty = True
                sys.stderr.write(f"sandbox: the snapshot could not be written: {error.strerror}\n")
        return time.monotonic() - started

    def _run(self) -> None:
        wait = SECONDS
        while not self._stop.wait(wait):
            wait = max(SECONDS, self.write() * SHARE)
