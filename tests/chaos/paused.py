"""Drill 6: a worker paused (SIGSTOP) past its lease comes back (SIGCONT) and overwrites nothing.

`python -m tests.chaos.paused --seed 7`: 50 rounds. Each time one worker is paused at another place of the way,
the clock goes past its leases, another worker finishes the calls, and the paused one goes on where it was. The
robot answers otherwise each time, so what the late worker would write or send shows.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from tests.chaos import lab, report
from tests.chaos.report import Found
from tests.system.processes import until

PLACES = [
    "compute.claimed",
    "compute.started",
    "compute.run",
    "compute.settled",
    "delivery.claimed",
    "delivery.before_send",
    "request.before",
    "request.answered",
    "delivery.answered",
    "delivery.committed",
    "sweep.taken_up",
]


def main() -> int:
    chosen = report.options(__doc__).parse_args()
    rounds = 8 if chosen.short else 50
    return report.close(
        lab.on_each_database("paused worker", chosen, lambda found, folder: _run(found, folder, rounds)),
        chosen,
    )


def _run(found: Found, folder: Path, rounds: int) -> None:
    from tests.handlers.rig import sandbox

    chance = random.Random(found.seed)
    with sandbox(folder) as control:
        made = lab.Lab(folder, control)
        rig = made.rig("alfa", generation="background")
        web = made.inside.fork(lambda: made.inside.answer_for_ever(made.door))
        places: dict[str, int] = {}
        for number in range(rounds):
            place = PLACES[number % len(PLACES)] if number < len(PLACES) else chance.choice(PLACES)
            if _round(made, rig, place, folder / f"marks-{number}", found):
                places[place] = places.get(place, 0) + 1
        last = made.inside.fork(made.inside.work_for_ever)
        made.until_over([rig], found)
        for pid in (last, web):
            made.inside.kill(pid)
        made.count([rig], found)
        _same_as_stored(made, rig, found)
        found.more.update(rounds=rounds, paused=sum(places.values()), places=len(places))
        found.must(sum(places.values()) == rounds, f"only {sum(places.values())} of {rounds} were paused")


def _round(made: lab.Lab, rig: Any, place: str, marks: Path, found: Found) -> bool:
    marks.mkdir()
    first = "compute.claimed" if place == "sweep.taken_up" else ""
    if first:
        # Leases that ran out are what a sweep takes up.
        dying = made.inside.fork(lambda: made.inside.work_for_ever(first, str(marks)))
        _calls(made, rig)
        os.waitpid(dying, 0)
        made.later(25)
    paused = made.inside.fork(lambda: made.inside.work_for_ever(f"{place}:1:stop", str(marks)))
    other = 0
    try:
        if not first:
            _calls(made, rig)
        was = until(lambda: _stopped(paused) or _ended(paused), f"a worker is paused at {place}", 60)
        found.must(was == "stopped", f"the worker died at {place}")
        made.later(65)
        other = made.inside.fork(made.inside.work_for_ever)
        until(lambda: not made.waiting(rig), f"paused at {place}: the other one finishes", 60)
        os.kill(paused, signal.SIGCONT)
        _calls(made, rig)
        until(lambda: not made.waiting(rig), f"paused at {place}: both go on", 60)
        return True
    except AssertionError as error:
        found.wrong.append(f"{str(error)[:300]}: {made.standing()}")
        return False
    finally:
        for pid in filter(None, (paused, other)):
            made.inside.kill(pid)
        made.later(25)


def _calls(made: lab.Lab, rig: Any) -> None:
    for _ in range(3):
        made.control.run(rig.name, rig.client_id, "double", properties={"amount": "1"})


def _stopped(pid: int) -> str:
    found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
    return "stopped" if found == pid and os.WIFSTOPPED(status) else ""


def _ended(pid: int) -> str:
    return "" if Path(f"/proc/{pid}").exists() else "ended"


def _same_as_stored(made: lab.Lab, rig: Any, found: Found) -> None:
    """What the portal's processes went on with is what the hub stored."""
    from handlers.models import InvocationResult

    stored = {
        json.loads(text)["values"]["total"]
        for text in InvocationResult.objects.values_list("result", flat=True)
    }
    got = set()
    after: Any = 0
    while True:
        told = made.control.get(f"portals/{rig.name}/processes", full=1, after=after, limit=500)
        if not told["items"]:
            break
        for process in told["items"]:
            for step in process["steps"]:
                if step.get("values"):
                    got.add(step["values"]["total"])
        if not told["next"]:
            break
        after = told["next"]
    found.must(got and got <= stored, f"{len(got - stored)} processes went on with what is not stored")


if __name__ == "__main__":
    sys.exit(main())
