"""A PostgreSQL and a Redis of a drill's own, to be stopped, frozen, emptied and filled without harm to others."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import redis

from tests.system.processes import free_port, until

START_SECONDS = 60.0


def postgresql_bin() -> Path | None:
    """Where initdb lives: Debian keeps it off the PATH."""
    for found in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True):
        return found.parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def missing() -> str:
    """'' where both can be started here, else what is not there."""
    if postgresql_bin() is None:
        return "initdb does not answer: PostgreSQL's server programs are not installed"
    if shutil.which("redis-server") is None:
        return "redis-server does not answer: it is not installed"
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        return "runuser does not answer, and PostgreSQL does not run as root"
    return ""


class Postgres:
    """A cluster in `folder` on a free port, trusted on loopback, with fsync as in life."""

    def __init__(self, folder: Path) -> None:
        found = postgresql_bin()
        assert found is not None
        self.bin, self.folder, self.port = found, folder, free_port()
        self.data = folder / "data"
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/hub"
        self._frozen: list[int] = []

    def make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "-D", str(self.data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nmax_connections = 200\n"
                f"unix_socket_directories = '{self.folder}'\nshared_buffers = 32MB\nmax_wal_size = 64MB\n"
                "min_wal_size = 32MB\nlogging_collector = off\n"
            )
        self.start()
        with psycopg.connect(self.url.rpartition("/")[0] + "/postgres", autocommit=True) as session:
            session.execute("CREATE DATABASE hub")

    def start(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "60", "-l", str(self.folder / "log"), "start")

    def stop(self, how: str = "immediate") -> None:
        """`immediate` is a crash: whatever was open is lost and recovered from the log at the start."""
        # A frozen one never hears that it is to stop.
        self.thaw()
        self._run("pg_ctl", "-D", str(self.data), "-w", "-m", how, "stop", check=False)

    def freeze(self) -> None:
        """SIGSTOP to all of it: sockets stay open, and nothing answers."""
        # The main process first: from then on it starts no further ones, though those that are may end.
        for find in (self._main, self._children):
            for pid in find():
                try:
                    os.kill(pid, signal.SIGSTOP)
                except ProcessLookupError:
                    continue
                self._frozen.append(pid)

    def thaw(self) -> None:
        for pid in self._frozen:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue
        self._frozen = []

    def alive(self) -> bool:
        try:
            os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), 0)
        except (OSError, ValueError, IndexError):
            return False
        return True

    def bring_back(self) -> None:
        """Full in the middle of its log it ends, or is about to: somebody starts it again once it did."""

        def asked() -> bool:
            if self.answers():
                return True
            if not self.alive():
                self.start()
            return False

        until(asked, "the database is back", 120)

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=1).close()
        except psycopg.Error:
            return False
        return True

    def _main(self) -> list[int]:
        return [int((self.data / "postmaster.pid").read_text().split()[0])]

    def _children(self) -> list[int]:
        told = subprocess.run(["pgrep", "-P", str(self._main()[0])], capture_output=True, text=True).stdout
        return [int(pid) for pid in told.split()]

    def _run(self, program: str, *words: str, check: bool = True) -> None:
        command = [str(self.bin / program), *words]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if check and done.returncode:
            raise AssertionError(f"{program} ended with {done.returncode}: {done.stderr[-500:]}")


class Redis:
    """A server that keeps nothing: stopped is emptied."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                "redis-server",
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                str(self.folder),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        until(self.answers, "Redis answers", START_SECONDS)

    def answers(self) -> bool:
        try:
            return bool(redis.Redis(port=self.port, socket_timeout=1).ping())
        except redis.RedisError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def own(folder: Path, size_mb: int = 0) -> Iterator[tuple[Postgres, Redis]]:
    """Both, running; PostgreSQL on a disk of `size_mb` of its own where it is to be filled (needs root)."""
    with ExitStack() as whole:
        place = folder / "postgresql"
        if size_mb:
            whole.enter_context(small_disk(place, size_mb))
        folder.chmod(0o755)
        database, broker = Postgres(place), Redis(folder)
        whole.callback(broker.stop)
        whole.callback(database.stop)
        database.make()
        broker.start()
        yield database, broker


@contextmanager
def small_disk(place: Path, size_mb: int) -> Iterator[Path]:
    """A tmpfs of its own, so that it can be full without anybody else's being so."""
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(place)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise NoDisk(done.stderr.strip())
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


class NoDisk(Exception):
    """No disk of our own can be mounted here (that needs root)."""


def fill(place: Path) -> Path:
    """Writes until the disk is full; the file that fills it."""
    file = place / "filling"
    # Unbuffered: what a buffer still holds would be written, and fail, once more at the end.
    with file.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(65536))
        except OSError:
            pass
    return file
