"""Drill 3: portals that refuse, drop, keep silent and lock; a token server that is down; both generations.

`python -m tests.chaos.hostile --seed 7`: one call in ten meets 503, one a connection dropped before, one dropped
after it took effect, one in twenty silence; tokens expire every 20 s; processes are saved 0 to 5 s late, one in a
hundred is locked for 300 s (by the clocks of sandbox and hub, which go together). No process waits at the end.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

from tests.chaos import lab, report
from tests.chaos.report import Found
from tests.system.processes import until

FAULTS = [("503", 0.1, 0.0), ("drop_before", 0.1, 0.0), ("drop_after", 0.1, 0.0), ("silence", 0.05, 1.0)]


def main() -> int:
    chosen = report.options(__doc__).parse_args()
    calls = 30 if chosen.short else 600
    return report.close(
        lab.on_each_database("hostile portals", chosen, lambda found, folder: _run(found, folder, calls)),
        chosen,
    )


def _run(found: Found, folder: Path, calls: int) -> None:
    from tests.handlers.rig import sandbox

    chance = random.Random(found.seed)
    with sandbox(folder) as control:
        made = lab.Lab(folder, control)
        rigs = [
            made.rig(name, generation=name.replace("-", "_"), access_seconds=20, seed=found.seed)
            for name in ("background", "at-once")
        ]
        for rig in rigs:
            control.portal(rig.name, save=[0, 5], lock={"probability": 0.01, "seconds": 300})
            for kind, probability, seconds in FAULTS:
                control.post(
                    f"portals/{rig.name}/faults",
                    kind=kind,
                    probability=probability,
                    seconds=seconds,
                    seed=chance.randrange(10**6),
                )
        pids = [made.inside.fork(lambda: made.inside.answer_for_ever(made.door))]
        pids += [made.inside.fork(made.inside.work_for_ever) for _ in range(2)]
        began = time.monotonic()
        try:
            for rig in rigs:
                control.post(
                    f"portals/{rig.name}/burst",
                    client_id=rig.client_id,
                    code="double",
                    properties={"amount": "{n}"},
                    count=calls,
                    per_second=max(calls / 40, 10),
                )
            until(lambda: all(_called(rig) >= calls / 2 for rig in rigs), "half of the calls were made", 120)
            control.post("servers/west/faults", kind="down", count=6)
            until(lambda: all(_called(rig) >= calls for rig in rigs), "all calls were made", 120)
            _let_time_pass(made, rigs, began)
            made.until_over(rigs, found)
        finally:
            for pid in pids:
                made.inside.kill(pid)
        made.count(rigs, found)
        stats = [rig.stats() for rig in rigs]
        found.more.update(
            {
                "faults played": sum(told["faults_played"] for told in stats),
                "sends": sum(told["sends"] for told in stats),
                "sends lost": sum(told["sends_lost"] for told in stats),
                "repeats": sum(told["sends_repeated"] for told in stats),
                "tokens renewed": sum(told["token_exchanges"] for told in stats),
            }
        )
        found.must(all(told["faults_played"] for told in stats), "no fault was ever played")
        found.must(not sum(told["authorisations_killed"] for told in stats), "a spent token was used again")


def _called(rig: Any) -> int:
    stats = rig.stats()
    return int(stats["handler_ok"]) + int(stats["handler_failed"])


def _let_time_pass(made: lab.Lab, rigs: list[Any], began: float) -> None:
    """What waits for a lock, a look or a longer and longer pause comes within minutes of the common clock."""
    for _ in range(60):
        if not any(made.waiting(rig) for rig in rigs):
            return
        try:
            until(lambda: _idle(rigs), "whoever can go on has gone on", 120)
        except AssertionError as error:
            raise AssertionError(f"{error}: {made.standing()}") from None
        if time.monotonic() - began > 240:
            return
        made.later(20)


def _idle(rigs: list[Any]) -> bool:
    """Nothing is due now: what waits, waits for the clock."""
    from handlers.models import Invocation
    from portals.clock import db_now

    due = Invocation.objects.filter(due_at__lte=db_now(), state__in=["received", "ready"])
    held = Invocation.objects.filter(state__in=["computing", "sending"])
    looks = Invocation.objects.filter(confirm_at__lte=db_now())
    troubled = [rig.portal.pk for rig in rigs if _in_trouble(rig)]
    # A portal that said 503 again and again is left alone for up to a minute: that waits for the clock too.
    silent = [*troubled, *(rig.portal.pk for rig in rigs if _is_blocked(rig))]
    return not (
        held.exclude(portal__in=troubled).exists()
        or any(rows.exclude(portal__in=silent).exists() for rows in (due, looks))
    )


def _in_trouble(rig: Any) -> bool:
    rig.portal.refresh_from_db()
    return bool(rig.portal.trouble)


def _is_blocked(rig: Any) -> bool:
    from portals import bucket

    return bucket.snapshot(rig.portal.member_id).blocked_for > 1.0


if __name__ == "__main__":
    sys.exit(main())
