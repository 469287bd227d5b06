"""Drill 5: eight processes renew one portal's token at once; one of them asks the token server.

`python -m tests.chaos.refresh_race --seed 7`: 100 rounds. A second use of a spent refresh token kills the
authorisation in the sandbox, as the contract says it may (§2).
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

from tests.chaos import lab, report
from tests.chaos.report import Found

PROCESSES = 8


def main() -> int:
    chosen = report.options(__doc__).parse_args()
    rounds = 10 if chosen.short else 100
    return report.close(
        lab.on_each_database("refresh race", chosen, lambda found, folder: _run(found, folder, rounds)),
        chosen,
    )


def _run(found: Found, folder: Path, rounds: int) -> None:
    from portals import refresh
    from portals.models import Portal
    from tests.handlers.rig import sandbox

    with sandbox(folder) as control:
        made = lab.Lab(folder, control)
        rig = made.rig("alfa")
        ready, done = multiprocessing.Barrier(PROCESSES + 1), multiprocessing.Barrier(PROCESSES + 1)
        failed = multiprocessing.Value("i", 0)

        def race() -> None:
            for _ in range(rounds):
                portal = Portal.objects.get(pk=rig.portal.pk)
                old = portal.access_token
                ready.wait(60)
                try:
                    refresh.refresh(portal, refused=old)
                    if portal.access_token == old:
                        raise AssertionError("it still has the old token")
                except Exception as error:
                    print(f"{type(error).__name__}: {error}", flush=True)
                    with failed.get_lock():
                        failed.value += 1
                done.wait(60)

        pids = [made.inside.fork(race) for _ in range(PROCESSES)]
        exchanges = []
        for _ in range(rounds):
            before = rig.stats()["token_exchanges"]
            ready.wait(60)
            done.wait(60)
            exchanges.append(rig.stats()["token_exchanges"] - before)
        for pid in pids:
            os.waitpid(pid, 0)
        stats = rig.stats()
        found.more.update(rounds=rounds, processes=PROCESSES, exchanges=sum(exchanges))
        found.must(exchanges == [1] * rounds, f"exchanges a round: {sorted(set(exchanges))}")
        found.must(not failed.value, f"{failed.value} processes got no new token")
        found.must(not stats["authorisations_killed"], "a spent token was used again")
        rig.portal.refresh_from_db()
        found.must(rig.portal.token_state == "working", f"the token is {rig.portal.token_state}")


if __name__ == "__main__":
    sys.exit(main())
