"""Drill 9: RabbitMQ away, black-holed and emptied, its connections cut, and a portal that is a black hole.

`python -m tests.chaos.network --seed 7`: calls come all the while. The intake answers 200, the worker goes on after
each, nothing is lost, one portal's silence costs another nothing, and SIGTERM ends each process in time whatever
the wire does. The server is everybody's: what goes wrong is a proxy before it, and queues of the drill's own.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kombu import Connection

from tests.chaos import report
from tests.chaos.proxy import Proxy
from tests.chaos.report import Found
from tests.system import life, servers
from tests.system.hub import Hub
from tests.system.processes import until
from tests.system.servers import Stack

STACK = Stack("PostgreSQL", "RabbitMQ")
PORTALS = ["alfa", "beta"]
END_SECONDS = 120.0
# A worker waits two seconds longer at each attempt to connect; the sweep of another would not wait for it.
GOES_ON_SECONDS = 30.0


def main() -> int:
    chosen = report.options(__doc__).parse_args()
    return report.close(_all(chosen), chosen)


def _all(chosen: Any) -> Iterator[Found]:
    if reason := servers.lacking(STACK):
        print(f"{STACK}: left out, {reason}")
        if servers.in_ci():
            yield Found("network", str(STACK), chosen.seed, wrong=[reason])
        return
    yield report.timed(Found("network", str(STACK), chosen.seed), lambda found: _run(found, chosen))


def _run(found: Found, chosen: Any) -> None:
    with ExitStack() as whole:
        folder = Path(whole.enter_context(servers.temporary_folder()))
        part = whole.enter_context(servers.own_part(STACK, folder))
        broker = urlsplit(part["CELERY_BROKER_URL"])
        proxy = Proxy(broker.hostname or "127.0.0.1", broker.port or 5672)
        whole.callback(proxy.refuse)
        account = f"{broker.username}:{broker.password}@" if broker.username else ""
        through = broker._replace(netloc=f"{account}127.0.0.1:{proxy.port}").geturl()
        hub = Hub(STACK, folder, {**part, "CELERY_BROKER_URL": through})
        whole.callback(hub.end)
        try:
            hub.start()
            life.make_application(hub)
            for name in PORTALS:
                life.install(hub, name, "event", generation="background")
            life.publish_and_push(hub)
            _Drill(hub, proxy, part, found, chosen.short).steps()
        except BaseException:
            print(hub.tails())
            raise


class _Drill:
    def __init__(self, hub: Hub, proxy: Proxy, part: dict[str, str], found: Found, short: bool) -> None:
        self.hub, self.proxy, self.part, self.found, self.short = hub, proxy, part, found, short
        self.sent = dict.fromkeys(PORTALS, 0)
        self.goes_on: dict[str, float] = {}
        self.stops: dict[str, float] = {}
        found.more.update({"goes on after s": self.goes_on, "ends after s": self.stops})

    def steps(self) -> None:
        away = 1.0 if self.short else 20.0
        self._phase("broker away and emptied", away, self._away_and_emptied, self.proxy.carry)
        self._phase("broker hung", away, self.proxy.hang, self.proxy.carry)
        if not self.short:
            # Longer than two of RabbitMQ's heartbeats: it closes what it hears nothing of.
            self._phase("broker hung for long", 30.0, self.proxy.hang, self.proxy.carry)
            self._phase("broker cut", away / 2, self._cut, self.proxy.carry)
            self._stop("worker", "idle after cuts")
            self._call("beta", 800, 200.0)
            until(lambda: self._called("beta") >= self.sent["beta"], "beta calls", 30)
            self._stop("worker", "much waits")
            self._until_over(END_SECONDS)
            self._portal_hung(away)
        self.proxy.hang()
        for name in ["worker"] if self.short else ["worker", "beat", "web"]:
            self._stop(name, "broker hung")
        self.proxy.carry()
        if not self.short:
            self.proxy.refuse()
            self._stop("worker", "broker away")
            self.proxy.carry()
        self._call("alfa", 10, 20.0)
        self._until_over(END_SECONDS)
        self._judge()

    def _phase(self, name: str, lasting: float, end: Callable[[], None], begin: Callable[[], None]) -> None:
        rate = 20.0
        self._call("alfa", int(rate * (lasting + 2)), rate)
        until(lambda: self._called("alfa") > self.sent["alfa"] - rate * (lasting + 1), "calls come", 30)
        end()
        # How long the broker is away is what this drill is about.
        threading.Event().wait(lasting)
        begin()
        until(lambda: self._called("alfa") >= self.sent["alfa"], f"{name}: all were called", 60)
        began = time.monotonic()
        self._until_over(END_SECONDS)
        # What comes now is computed by who hears of it, not by a sweep that somebody had missed.
        self._call("alfa", 5, 20.0)
        self._until_over(END_SECONDS)
        self.goes_on[name] = round(time.monotonic() - began, 1)
        self.found.must(
            self.goes_on[name] <= GOES_ON_SECONDS, f"{name}: the worker went on after {self.goes_on[name]} s"
        )
        print(f"  {name} for {lasting:.0f} s: went on after {self.goes_on[name]} s", flush=True)

    def _away_and_emptied(self) -> None:
        """A server whose disk is new: no queue, no exchange, no message."""
        self.proxy.refuse()
        with Connection(self.part["CELERY_BROKER_URL"]) as connection:
            channel: Any = connection.default_channel
            channel.queue_purge(self.part["CELERY_QUEUE"])
            channel.queue_delete(self.part["CELERY_QUEUE"])
            channel.exchange_delete(self.part["CELERY_QUEUE"])

    def _cut(self) -> None:
        for _ in range(3):
            made = self.proxy.made
            self.proxy.drop()
            until(lambda n=made: self.proxy.made > n, "somebody connects again", 60)

    def _portal_hung(self, lasting: float) -> None:
        """alfa takes requests and never answers; what beta's robots compute arrives all the while."""
        self.hub.control.post("portals/alfa/faults", kind="silence", probability=1.0, seconds=60)
        self._call("alfa", 20, 20.0)
        until(lambda: self._called("alfa") >= self.sent["alfa"], "alfa calls", 30)
        slowest = 0.0
        end = time.monotonic() + lasting
        while time.monotonic() < end:
            began = time.monotonic()
            life.arrives(self.hub, "beta", "phone", number="8 (495) 123-45-67")
            self.sent["beta"] += 1
            slowest = max(slowest, time.monotonic() - began)
        self.found.more["portal hung: another's slowest result, s"] = round(slowest, 1)
        self.found.must(slowest < 10, f"another portal's result took {slowest:.1f} s")
        told = self.hub.control.session.delete(
            f"{self.hub.control.base}/control/portals/alfa/faults", timeout=30
        )
        assert told.ok, told.text
        began = time.monotonic()
        self._until_over(END_SECONDS)
        self.goes_on["portal hung"] = round(time.monotonic() - began, 1)

    def _stop(self, name: str, when: str) -> None:
        """SIGTERM, as for a deploy; `stop` fails after STOP_SECONDS. Then it is started again."""
        began = time.monotonic()
        try:
            getattr(self.hub, name).stop()
        except AssertionError as error:
            self.found.wrong.append(f"{when}: {str(error)[:1500]}")
            getattr(self.hub, name).kill()
        self.stops[f"{name}, {when}"] = round(time.monotonic() - began, 1)
        print(f"  {name} ended after {self.stops[f'{name}, {when}']} s ({when})", flush=True)
        if name == "worker":
            self.hub.start_worker()
        elif name == "beat":
            self.hub.start_beat()
        else:
            self.hub.start_web()

    def _call(self, name: str, count: int, per_second: float) -> None:
        self.hub.control.post(
            f"portals/{name}/burst",
            client_id=life.CLIENT_ID,
            code="split_list",
            properties={"text": "{n}, b, {n}", "separator": ","},
            count=count,
            per_second=per_second,
        )
        self.sent[name] += count

    def _called(self, name: str) -> int:
        stats = self.hub.control.stats(name)
        return int(stats["handler_ok"]) + int(stats["handler_failed"])

    def _waiting(self) -> list[str]:
        return [
            process["id"]
            for name in PORTALS
            for process in self.hub.control.get(f"portals/{name}/processes", state="waiting", limit=1000)[
                "items"
            ]
            if process["handler_status"] == 200
        ]

    def _until_over(self, seconds: float) -> None:
        until(
            lambda: all(self._called(name) >= self.sent[name] for name in PORTALS), "all were called", seconds
        )
        until(lambda: not self._waiting(), "no accepted call's process waits", seconds)

    def _judge(self) -> None:
        found = self.found
        found.ended = life.until_all_ended(self.hub, END_SECONDS)
        stats = [self.hub.control.stats(name) for name in PORTALS]
        found.sent = sum(int(told["handler_calls"]) for told in stats)
        found.accepted = sum(int(told["handler_ok"]) for told in stats)
        found.lost, found.doubled = len(self._waiting()), sum(int(told["doubled"]) for told in stats)
        found.confirmed = int(
            self.hub.rows("SELECT count(*) FROM handlers_invocation WHERE confirmed_at IS NOT NULL")[0][0]
        )
        failed = found.sent - found.accepted
        found.must(not failed, f"{failed} calls were answered otherwise than 200")


if __name__ == "__main__":
    sys.exit(main())
