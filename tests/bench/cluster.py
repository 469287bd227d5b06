"""A PostgreSQL of the bench's own: durable, with pg_stat_statements, and nobody else's load in its figures.

The machine's server is left alone: what it is asked by others would be in the CPU, the WAL and the counts.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.bench import usage
from tests.system import servers
from tests.system.processes import free_port

# What Debian's package has by default, but for the counting and more connections.
_SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "max_connections": "200",
    "shared_buffers": "'128MB'",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_preload_libraries": "'pg_stat_statements'",
    "pg_stat_statements.max": "5000",
    "pg_stat_statements.track_utility": "on",
    "max_wal_size": "'1GB'",
    "log_min_messages": "warning",
}


class Cluster:
    """A running server; `url` without a database's name, `postmaster` its main process."""

    def __init__(self, folder: Path, binaries: Path, as_user: list[str]) -> None:
        self.data, self.binaries, self.as_user = folder / "data", binaries, as_user
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def postmaster(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        lines = [f"{name} = {value}" for name, value in _SETTINGS.items()]
        lines += [f"port = {self.port}", f"unix_socket_directories = '{self.data.parent}'"]
        with (self.data / "postgresql.conf").open("a") as config:
            config.write("\n".join(lines) + "\n")
        log = str(self.data.parent / "server.log")
        self._run("pg_ctl", "-D", str(self.data), "-l", log, "-w", "-t", "60", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop", check=False)

    def cpu(self) -> float:
        """CPU seconds of the server and all its backends, ended ones included."""
        return sum(
            usage.cpu_of(pid, ended=True) for pid in (self.postmaster, *usage.children(self.postmaster))
        )

    def wal(self) -> int:
        """Bytes of WAL written so far."""
        with psycopg.connect(self.url, autocommit=True) as session:
            row = session.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
        return int(row[0]) if row else 0

    def _run(self, name: str, *words: str, check: bool = True) -> None:
        # The server that pg_ctl starts would keep a pipe of ours open for ever.
        said = subprocess.DEVNULL if name == "pg_ctl" else subprocess.PIPE
        done = subprocess.run(
            [*self.as_user, str(self.binaries / name), *words],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd="/",
            text=True,
            timeout=120,
        )
        if check and done.returncode:
            raise RuntimeError(f"{name} ended with {done.returncode}: {done.stdout}")


def missing() -> str:
    """'' where a cluster can be started here, else the reason."""
    if _binaries() is None:
        return "initdb and pg_ctl of PostgreSQL are not on this machine"
    if os.geteuid() == 0 and _user() is None:
        return "PostgreSQL does not run as root, and there is no user postgres with runuser"
    return ""


@contextmanager
def own() -> Iterator[Cluster]:
    """A cluster for as long as it is needed; `servers` finds it in place of the machine's."""
    reason = missing()
    if reason:
        raise RuntimeError(reason)
    binaries, user = _binaries(), _user() if os.geteuid() == 0 else []
    assert binaries is not None and user is not None
    with servers.temporary_folder() as name:
        folder = Path(name)
        if user:
            shutil.chown(folder, "postgres", "postgres")
        cluster = Cluster(folder, binaries, user)
        before = os.environ.get("TEST_DATABASE_URL")
        try:
            cluster.start()
            os.environ["TEST_DATABASE_URL"] = cluster.url
            servers.missing.cache_clear()
            # In the template, so that each hub's database has it.
            for name in ("postgres", "template1"):
                with psycopg.connect(f"{cluster.url.rpartition('/')[0]}/{name}", autocommit=True) as session:
                    session.execute("CREATE EXTENSION pg_stat_statements")
            yield cluster
        finally:
            if before is None:
                os.environ.pop("TEST_DATABASE_URL", None)
            else:
                os.environ["TEST_DATABASE_URL"] = before
            servers.missing.cache_clear()
            cluster.stop()


def _binaries() -> Path | None:
    places = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    found = shutil.which("initdb")
    places += [str(Path(found).resolve().parent)] if found else []
    for place in places:
        if (Path(place) / "initdb").exists() and (Path(place) / "pg_ctl").exists():
            return Path(place)
    return None


def _user() -> list[str] | None:
    import pwd

    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return None
    return ["runuser", "-u", "postgres", "--"] if shutil.which("runuser") else None
