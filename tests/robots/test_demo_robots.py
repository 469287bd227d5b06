"""Robots of the demo that are written in Python."""

from __future__ import annotations

import datetime as dt
import runpy
from pathlib import Path

import pytest

from robots import compute
from robots.compute import Call, CallPortal
from tests.robots.test_compute import Client

HANDLERS = Path(__file__).parents[2] / "demo/demo_robots/robot_handlers.py"
FRIDAY = dt.date(2026, 11, 20)


@pytest.mark.parametrize(
    ("days", "due"),
    [
        (1, dt.date(2026, 11, 23)),
        (5, dt.date(2026, 11, 27)),
        (0, FRIDAY),
        (None, FRIDAY),
        (-3, dt.date(2026, 11, 17)),
        (-5, dt.date(2026, 11, 13)),
    ],
)
def test_working_days_are_counted_both_ways(
    days: int | None, due: dt.date, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "_handlers", dict(compute._handlers))
    working_day = runpy.run_path(str(HANDLERS), run_name="demo_robots_here")["working_day"]
    call = Call("call-1", "working_day", {"start": FRIDAY, "days": days}, CallPortal(Client(), {}))
    assert working_day(call).values == {"due": due, "weekday": due.strftime("%A")}
