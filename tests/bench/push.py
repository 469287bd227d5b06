"""What a push of many robots to many portals asks, and how long its plan takes.

    python -m tests.bench.push [--quick]

50 robots to 100 portals of the sandbox by `push_robots`: the first push (all are added), one with nothing to do, the
plan alone after all robots were changed (`--dry-run`), and that change pushed. Requests are the portals' own count;
seconds of the plan are the command's, less those of the same command with nothing to plan; memory is the command's
peak.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench import cluster
from tests.bench.record import Found, carry_out, say
from tests.bench.scale import names
from tests.bench.stage import total
from tests.system import life, servers
from tests.system.hub import Hub, running
from tests.system.processes import ROOT
from tests.system.servers import Stack

STACK = Stack("PostgreSQL", "Redis")
BATCH = 50


def catalog(robots: int, title: str) -> str:
    """A file of `robots` robots, each with a few properties."""
    lines = ["application: demo", "robots:"]
    for number in range(robots):
        lines += [
            f"  - code: robot_{number:03}",
            "    kind: robot",
            f"    name: {{en: {title} {number}, ru: Робот {number}}}",
            f"    description: {{en: Does the thing that number {number} does}}",
            "    subscription: wait",
            "    auth_user_id: 1",
            "    document_type: [crm, CCrmDocumentDeal, DEAL]",
            "    properties:",
            *(
                f"      - {{id: field_{place}, type: string, name: {{en: Field {place}, ru: Поле {place}}}}}"
                for place in range(6)
            ),
            "    return_properties:",
            "      - {id: total, type: string, name: {en: Total}}",
            "    compute:",
            "      type: expression",
            "      returns: {total: field_0}",
        ]
    return "\n".join(lines) + "\n"


def command(hub: Hub, *words: str, statuses: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """`manage.py …` as a process of its own: {"seconds", "memory_mb"}; its peak of resident memory."""
    log = Path(hub.folder) / "command.log"
    with log.open("w") as out:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "manage.py", *words], env=hub.environment, cwd=ROOT, stdout=out, stderr=out
        )
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in statuses:
        raise RuntimeError(f"{words} ended with {process.returncode}: {log.read_text()[-2000:]}")
    unit = 1024 if sys.platform.startswith("linux") else 1024 * 1024
    return {"seconds": round(time.monotonic() - began, 2), "memory_mb": round(used.ru_maxrss / unit, 1)}


def step(hub: Hub, portals: list[str], *words: str, statuses: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """The command, and the requests that the portals counted meanwhile."""
    before = total(hub, portals, "requests")
    told = command(hub, "push_robots", *words, statuses=statuses)
    told["requests"] = total(hub, portals, "requests") - before
    return told


def measure_stack(stack: Stack, robots: int, number: int) -> dict[str, Any]:
    portals = names(number)
    with running(stack) as hub:
        # No worker: what is pushed is pushed by the command.
        hub.start_sandbox()
        hub.manage("migrate", "--verbosity", "0")
        hub.start_web()
        life.make_application(hub)
        for name in portals:
            life.install(hub, name, "event", generation="background")
        say(f"push: {number} portals are installed")
        file = Path(hub.folder) / "catalog.yaml"
        empty = command(hub, "push_robots", "--dry-run", "--portal", _member(hub, portals[0]))
        file.write_text(catalog(robots, "Robot"))
        hub.manage("import_catalog", str(file), "--publish")
        figures: dict[str, Any] = {"robots": robots, "portals": number, "one portal, nothing": empty}
        figures["first push"] = step(hub, portals)
        figures["nothing to do"] = step(hub, portals)
        file.write_text(catalog(robots, "Changed"))
        hub.manage("import_catalog", str(file), "--publish")
        figures["plan"] = step(hub, portals, "--dry-run", statuses=(3,))
        figures["a change of all"] = step(hub, portals)
        held = hub.control.robots(portals[-1], life.CLIENT_ID)
        figures["held"] = len(held)
        figures["changed"] = sum(robot["name"]["en"].startswith("Changed") for robot in held.values())
        figures["limit_503"] = total(hub, portals, "limit_503")
    return figures


def _member(hub: Hub, name: str) -> str:
    return str(hub.control.get(f"portals/{name}")["member_id"])


def measure(quick: bool) -> Found:
    found = Found()
    stack = STACK if not servers.lacking(STACK) else servers.STACKS[0]
    robots, number = (5, 2) if quick else (50, 100)
    with ExitStack() as whole:
        if not cluster.missing() and stack.database == "PostgreSQL":
            whole.enter_context(cluster.own())
        figures = measure_stack(stack, robots, number)
    found.figures = {"stack": str(stack), **figures}
    allowed = number * (-(-robots // BATCH) + 1)
    for name in ("first push", "a change of all"):
        asked = figures[name]["requests"]
        found.goal(
            f"{name}: requests to {number} portals, {robots} changes each",
            f"≤ {allowed} (one batch of 50 changes and one list a portal)",
            str(asked),
            asked <= allowed,
        )
    asked = figures["nothing to do"]["requests"]
    found.goal("nothing to do: requests", f"≤ {number}", str(asked), asked <= number)
    seconds = figures["plan"]["seconds"] - figures["one portal, nothing"]["seconds"]
    found.figures["plan_seconds"] = round(seconds, 2)
    found.goal(
        f"the plan for all of them (its {figures['plan']['requests']} requests included)",
        "≤ 2 s",
        f"{seconds:.2f} s",
        seconds <= 2,
    )
    memory = max(figures[name]["memory_mb"] for name in ("first push", "a change of all", "plan"))
    least = figures["one portal, nothing"]["memory_mb"]
    found.goal(
        "memory of the command, at most, beside one with nothing to do",
        "≤ + 50 MB",
        f"{memory:g} MB beside {least:g} MB",
        memory <= least + 50,
    )
    return found


def main() -> int:
    return carry_out("push", __doc__, measure)


if __name__ == "__main__":
    sys.exit(main())
