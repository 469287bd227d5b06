"""Robots of the demo that are written in Python."""

from __future__ import annotations

import datetime as dt

import pytest

from demo.demo_robots.robot_handlers import working_day
from robots.compute import Call, CallPortal
from tests.robots.test_compute import Client

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
def test_working_days_are_counted_both_ways(days: int | None, due: dt.date) -> None:
    call = Call("call-1", "working_day", {"start": FRIDAY, "days": days}, CallPortal(Client(), {}))
    assert working_day(call).values == {"due": due, "weekday": due.strftime("%A")}
