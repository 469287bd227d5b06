"""Drill 2: the database and the broker stopped, frozen, emptied, full, while calls go on coming.

`python -m tests.chaos.outage --seed 7`: the intake must answer 200 whatever is broken, and what it took must
come out once. The servers are the drill's own.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests

from tests.chaos import own_servers, report
from tests.chaos.own_servers import NoDisk, Postgres, Redis
from tests.chaos.report import Found
from tests.system import life, servers
from tests.system.hub import Hub
from tests.system.processes import Process, free_port, until
from tests.system.servers import Stack

PORTAL = "alfa"
END_SECONDS = 240.0


def main() -> int:
    parser = report.options(__doc__)
    parser.add_argument("--only", choices=["stopped", "full"], help="one of the two parts")
    chosen = parser.parse_args()
    if reason := own_servers.missing():
        print(f"outage: left out, {reason}")
        return 1 if servers.in_ci() else 0
    return report.close(_all(chosen), chosen)


def _all(chosen: Any) -> Iterator[Found]:
    if chosen.short and chosen.only is None:
        try:
            # One hub for both.
            yield report.timed(Found("outage", "own PostgreSQL+Redis", chosen.seed), _Both(chosen).run)
        except NoDisk as error:
            print(f"full disk: left out, {error}")
            yield report.timed(Found("outage", "own PostgreSQL+Redis", chosen.seed), _Stopped(chosen).run)
        return
    if chosen.only in (None, "stopped"):
        yield report.timed(Found("outage", "own PostgreSQL+Redis", chosen.seed), _Stopped(chosen).run)
    if chosen.only in (None, "full"):
        try:
            yield report.timed(Found("full disk", "own PostgreSQL+Redis", chosen.seed), _Full(chosen).run)
        except NoDisk as error:
            print(f"full disk: left out, {error}")


class _Drill:
    size_mb = 0

    def __init__(self, chosen: Any) -> None:
        self.chosen = chosen
        self.database: Postgres
        self.broker: Redis

    def run(self, found: Found) -> None:
        with ExitStack() as whole:
            folder = Path(whole.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
            self.folder = folder
            self.database, self.broker = whole.enter_context(own_servers.own(folder, self.size_mb))
            part = {
                "DATABASE_URL": self.database.url,
                "CELERY_BROKER_URL": self.broker.url,
                "CELERY_QUEUE": "drill",
            }
            self.hub = Hub(Stack("PostgreSQL", "Redis"), folder, part, **self.settings(folder, whole))
            whole.callback(self.hub.end)
            try:
                self.hub.start()
                life.make_application(self.hub)
                life.install(self.hub, PORTAL, "event", generation="background")
                life.publish_and_push(self.hub)
                # The copy of whom we know is on the disk within ten seconds of the web process's first call.
                life.arrives(self.hub, PORTAL, "phone", number="8 (495) 123-45-67")
                until(lambda: self._copied(folder), "the spool knows the portal", 30)
                self.steps(found)
                self._judge(found)
            except BaseException:
                print(self.hub.tails())
                raise

    def settings(self, folder: Path, whole: ExitStack) -> dict[str, str]:
        return {}

    def steps(self, found: Found) -> None:
        raise NotImplementedError

    def _copied(self, folder: Path) -> bool:
        import sqlite3

        file = folder / "spool" / "spool.sqlite3"
        if not file.exists():
            return False
        with sqlite3.connect(file, timeout=20) as spool:
            return bool(spool.execute("SELECT count(*) FROM portals").fetchone()[0])

    def burst(self, count: int, per_second: float) -> None:
        self.hub.control.post(
            f"portals/{PORTAL}/burst",
            client_id=life.CLIENT_ID,
            code="split_list",
            properties={"text": "{n}, b, {n}", "separator": ","},
            count=count,
            per_second=per_second,
        )

    def called(self) -> int:
        stats = self.hub.control.stats(PORTAL)
        return int(stats["handler_ok"]) + int(stats["handler_failed"])

    def until_called(self, count: int, seconds: float = END_SECONDS) -> None:
        until(lambda: self.called() >= count, f"{count} calls were made", seconds)

    def times(self) -> list[float]:
        """Milliseconds until each handler call was answered."""
        found: list[float] = []
        after = 0
        while True:
            told = self.hub.control.get(f"portals/{PORTAL}/calls", after=after, limit=1000)
            if not told["items"]:
                return sorted(found)
            found += [item["ms"] for item in told["items"] if item["kind"] == "handler"]
            after = told["next"] or told["items"][-1]["seq"]

    def waiting(self) -> list[str]:
        told = self.hub.control.get(f"portals/{PORTAL}/processes", state="waiting", limit=1000)
        return [process["id"] for process in told["items"] if process["handler_status"] == 200]

    def _judge(self, found: Found) -> None:
        until(self.database.answers, "the database answers", 60)
        until(lambda: self._spooled() == 0, "the spool is drained", END_SECONDS)
        try:
            until(lambda: not self.waiting(), "no accepted call's process waits any more", END_SECONDS)
        except AssertionError as error:
            found.wrong.append(str(error))
        found.ended = life.until_all_ended(self.hub, END_SECONDS)
        stats = self.hub.control.stats(PORTAL)
        found.sent = int(stats["handler_calls"])
        found.accepted = int(stats["handler_ok"])
        found.lost, found.doubled = len(self.waiting()), int(stats["doubled"])
        times = self.times()
        if times:
            found.more["answered in ms"] = {
                "median": times[len(times) // 2],
                "p99": times[int(len(times) * 0.99) - 1],
                "slowest": times[-1],
            }
        rows, repeats = self.hub.rows(
            "SELECT count(*), coalesce(sum(repeats), 0) FROM handlers_receivedcall"
        )[0]
        found.must(rows >= found.accepted, f"{found.accepted} calls were accepted and {rows} are kept")
        found.confirmed = int(
            self.hub.rows("SELECT count(*) FROM handlers_invocation WHERE confirmed_at IS NOT NULL")[0][0]
        )
        found.more["accepted twice"] = int(repeats)

    def _spooled(self) -> int:
        import sqlite3

        with sqlite3.connect(self.folder / "spool" / "spool.sqlite3", timeout=20) as spool:
            return int(spool.execute("SELECT count(*) FROM calls WHERE bad = 0").fetchone()[0])


class _Stopped(_Drill):
    def steps(self, found: Found) -> None:
        short = self.chosen.short
        # Seconds away; calls a second. The others follow in what is left of five minutes.
        pieces: list[tuple[str, float, float, Any, Any]] = [
            ("database stopped", 60.0, 100.0, self._stop_database, self._start_database),
            ("database frozen", 10.0, 50.0, self.database.freeze, self.database.thaw),
            ("broker emptied", 30.0, 40.0, self.broker.stop, self.broker.start),
            ("broker frozen", 10.0, 40.0, self.broker.freeze, self.broker.thaw),
            ("both stopped", 10.0, 50.0, self._stop_both, self._start_both),
        ]
        if short:
            pieces = [
                (name, 3.0 if lasting > 30 else lasting / 20, 25.0, *rest)
                for name, lasting, _rate, *rest in pieces
            ]
        spooled = 0
        for name, lasting, per_second, end, begin in pieces:
            before, count = self.called(), int(per_second * (lasting + 2))
            self.burst(count, per_second)
            self.until_called(before + int(per_second))
            end()
            began = time.monotonic()
            self.until_called(before + int(per_second * (1 + lasting / 2)))
            if name == "database stopped":
                self._a_process_started_meanwhile(found)
            spooled = max(spooled, self._spooled())
            # How long an outage lasts is what this drill is about.
            threading.Event().wait(max(0.0, lasting - (time.monotonic() - began)))
            begin()
            self.until_called(before + count)
            until(lambda: self._spooled() == 0, f"{name}: the spool is drained", END_SECONDS)
            print(f"  {name} for {lasting:.0f} s: drained, {time.monotonic() - began:.0f} s", flush=True)
        stats = self.hub.control.stats(PORTAL)
        found.must(
            not stats["handler_failed"], f"{stats['handler_failed']} calls were answered otherwise than 200"
        )
        found.must(spooled, "nothing was ever spooled")
        found.more["seconds away"] = {name: lasting for name, lasting, *_rest in pieces}
        found.more["most spooled"] = spooled

    def _stop_database(self) -> None:
        self.database.stop("immediate")

    def _start_database(self) -> None:
        self.database.start()

    def _stop_both(self) -> None:
        self.database.stop("immediate")
        self.broker.stop()

    def _start_both(self) -> None:
        self.database.start()
        self.broker.start()

    def _a_process_started_meanwhile(self, found: Found) -> None:
        """It knows nobody but by the copy on the disk, and keeps a portal's call as verified all the same."""
        port = free_port()
        command = [*self.hub.web.command[:-1], f"127.0.0.1:{port}"]
        second = Process("web2", command, self.hub.environment, self.folder).start()
        try:

            def alive() -> bool:
                try:
                    return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
                except requests.RequestException:
                    return False

            second.until_answers(alive, "a web process starts without a database")
            ready = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code
            found.must(ready == 503, f"readyz says {ready} without a database")
            token = self.hub.control.post(f"portals/{PORTAL}/app", client_id=life.CLIENT_ID)
            form = {
                "code": "phone",
                "event_token": "of-nobody|x|y",
                "use_subscription": "N",
                "workflow_id": "drill",
                "auth[member_id]": self.hub.control.get(f"portals/{PORTAL}")["member_id"],
                "auth[application_token]": token["application_token"],
                "properties[number]": "8 (495) 123-45-67",
            }
            answer = requests.post(f"http://127.0.0.1:{port}/b24/{life.SLUG}/handler/", data=form, timeout=10)
            found.must(answer.status_code == 200, f"started meanwhile, it answers {answer.status_code}")
            import sqlite3

            with sqlite3.connect(self.folder / "spool" / "spool.sqlite3", timeout=20) as spool:
                verified = spool.execute("SELECT verified FROM calls ORDER BY id DESC LIMIT 50").fetchall()
            found.must((0,) not in verified, "a known portal's call was kept as unverified")
        finally:
            second.end()


class _Full(_Drill):
    """The database's disk is full; then the spool's too."""

    size_mb = 220

    def settings(self, folder: Path, whole: ExitStack) -> dict[str, str]:
        self.spool_disk = whole.enter_context(own_servers.small_disk(folder / "spool", 8))
        return {"SPOOL_MAX_MB": "4"}

    def steps(self, found: Found) -> None:
        count = 60 if self.chosen.short else 1500
        per_second = 25.0 if self.chosen.short else 100.0
        before = self.called()
        filled = own_servers.fill(self.folder / "postgresql")
        self.burst(count, per_second)
        self.until_called(before + count)
        stats = self.hub.control.stats(PORTAL)
        found.must(
            not stats["handler_failed"],
            f"database full: {stats['handler_failed']} calls were answered otherwise than 200",
        )
        # What former rows left free in its files takes calls for a while.
        spooled = self._until(lambda answer: self._spooled())
        found.must(spooled, "database full: nothing was spooled")
        found.more["most spooled"] = spooled
        filled_too = own_servers.fill(self.spool_disk)
        self._until(lambda answer: answer.status_code != 200)
        answer = self._call()
        found.must(answer.status_code == 503, f"both full: answered {answer.status_code}, not 503")
        found.must(answer.headers.get("Retry-After"), "both full: no Retry-After")
        filled_too.unlink()
        filled.unlink()
        self.database.bring_back()
        until(lambda: self._spooled() == 0, "the spool is drained", END_SECONDS)
        found.must(self._call().status_code == 200, "room again: the next call is not taken")

    def _until(self, wanted: Callable[[requests.Response], Any]) -> Any:
        """Calls on until one is answered as wanted, at most as many as ten times the room that may be left."""
        for _ in range(200):
            if found := wanted(self._call()):
                return found
        return 0

    def _call(self) -> requests.Response:
        token = self.hub.control.post(f"portals/{PORTAL}/app", client_id=life.CLIENT_ID)
        form = {
            "code": "phone",
            "event_token": f"of-nobody|{time.monotonic_ns()}",
            "use_subscription": "N",
            "auth[member_id]": self.hub.control.get(f"portals/{PORTAL}")["member_id"],
            "auth[application_token]": token["application_token"],
            # Random: what is written can't be made smaller than it is.
            "properties[number]": "8 (495) 123-45-67" + secrets.token_hex(10_000),
        }
        return requests.post(f"{self.hub.url}/b24/{life.SLUG}/handler/", data=form, timeout=15)


class _Both(_Full):
    def steps(self, found: Found) -> None:
        _Stopped.steps(self, found)  # type: ignore[arg-type]  # a part of it, on the same hub
        super().steps(found)

    _stop_database, _start_database = _Stopped._stop_database, _Stopped._start_database
    _stop_both, _start_both = _Stopped._stop_both, _Stopped._start_both
    _a_process_started_meanwhile = _Stopped._a_process_started_meanwhile


if __name__ == "__main__":
    sys.exit(main())
