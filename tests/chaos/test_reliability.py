"""docs/reliability.md says what docs/results hold, and those hold a result of each drill."""

from __future__ import annotations

import json

from scripts import reliability


def test_the_page_is_drawn_from_the_kept_results() -> None:
    drawn = f"{reliability.BEGIN}\n{reliability.table()}\n{reliability.END}"
    assert drawn in reliability.PAGE.read_text(), "run python scripts/reliability.py"


def test_each_drill_has_a_kept_result_that_lost_and_doubled_nothing() -> None:
    kept = [json.loads(path.read_text()) for path in reliability.RESULTS.glob("*.json")]
    kept = [found for found in kept if "drill" in found]
    assert {found["drill"] for found in kept} == set(reliability.ORDER)
    for found in kept:
        assert (found["lost"], found["doubled"], found["wrong"]) == (0, 0, []), found["command"]
        assert found["seconds"] < 300, f"{found['command']} took more than five minutes"
