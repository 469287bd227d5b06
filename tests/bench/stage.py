"""A whole hub beside a sandbox with as many portals as a bench wants, each with its robots, warmed up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.system import life
from tests.system.hub import Hub, running
from tests.system.processes import until
from tests.system.servers import Stack

CATALOG = "tests/bench/catalog.yaml"
# About what a deal's robot is given; with it a form is 1.6 kB.
COMMENT = "a comment of a usual length " * 22


@contextmanager
def staged(stack: Stack, portals: dict[str, dict[str, Any]], **settings: str) -> Iterator[Hub]:
    """`portals`: name -> the sandbox's settings of it."""
    environment = {
        "WORKER_CONCURRENCY": "6",
        "ROBOT_APPS": "demo.demo_robots,tests.bench.slow_robots",
        **settings,
    }
    with running(stack, **environment) as hub:
        hub.start()
        life.make_application(hub)
        for name, more in portals.items():
            life.install(hub, name, "event", **more)
        hub.manage("import_catalog", CATALOG, "--publish")
        hub.manage("push_robots")
        for name in portals:
            burst(hub, name, 1)
        until(lambda: not any(waiting(hub, name) for name in portals), "every portal is warm")
        yield hub


def burst(hub: Hub, name: str, count: int, code: str = "discount", **more: Any) -> None:
    """`count` processes at once, whose robot calls the hub."""
    properties = (
        {"seconds": more.pop("seconds")}
        if code == "sleep"
        else {"amount": "1000.50", "percent": "15", "comment": COMMENT}
    )
    hub.control.post(
        f"portals/{name}/burst",
        client_id=life.CLIENT_ID,
        code=code,
        count=count,
        properties=properties,
        document=life.DEAL,
        **more,
    )


def waiting(hub: Hub, name: str) -> int:
    """Processes that have not gone on, those not called yet included."""
    told = hub.control.stats(name)
    return int(told["waiting"] + told["running"] + told["queued"])


def until_done(hub: Hub, name: str, seconds: float) -> float:
    """Waits for every process of the portal; the moment by the clock of `time.monotonic`."""
    until(lambda: waiting(hub, name) == 0, f"{name}'s processes went on", seconds)
    return time.monotonic()


def total(hub: Hub, names: list[str], figure: str) -> int:
    told = hub.control.get("stats")
    portals = told.get("portals", told)
    return sum(int(portals[name][figure]) for name in names)
