"""A robot's calls beside one that hangs: nothing lost, and the others don't wait for it (design §2 rule 8)."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from handlers import claims, compute, delivery, units
from handlers.models import Attempt, Invocation
from portals.clock import db_now
from portals.keeper import Keeper
from portals.models import Portal
from robots.job import Outcome
from robots.models import RobotVersion
from tests.handlers.calls import post
from tests.system.processes import until

pytestmark = pytest.mark.django_db(transaction=True)

OVERRAN = Outcome(False, "time_limit", sentence="The robot ran longer than 60 seconds.")
GOOD = Outcome(True, values={"total": "43"})


class Runners:
    """Each child's runner: the document named `hang` hangs until it is told to end, the others compute."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.hangs = threading.Event()
        self.end = threading.Event()

    def run(self, job: Any, **more: Any) -> Outcome:
        name = job.document_id[-1]
        self.began.append(name)
        if name != "hang":
            return GOOD
        self.hangs.set()
        assert self.end.wait(30)
        return OVERRAN

    def keeper(self, renew: Any, late: Any, after: float) -> Any:
        """One that looks when a row hangs, not by the clock."""

        def noticed() -> None:
            assert self.hangs.wait(30)
            late()

        return Keeper(renew, noticed, 0.0)


@pytest.fixture
def runners(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Runners]:
    settings.WORKER_CONCURRENCY = 6
    made = Runners()
    monkeypatch.setattr(delivery, "deliver_now", lambda portal: None)
    monkeypatch.setattr(compute, "runner", lambda: made)
    monkeypatch.setattr(compute, "Keeper", made.keeper)
    yield made
    made.hangs.set()
    made.end.set()


def send(portal: Portal, version: RobotVersion, *names: str) -> None:
    for name in names:
        assert post(portal, version=version.pk, **{"document_id[2]": name}).status_code == 200


def states() -> list[tuple[str, str, int]]:
    return list(Invocation.objects.order_by("id").values_list("document_id", "state", "tries"))


def child() -> threading.Thread:
    """Another child of the worker, in a thread."""

    def work() -> None:
        try:
            compute.work()
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_what_waits_behind_a_hanging_row_is_taken_by_another_child(
    portal: Portal, version: RobotVersion, runners: Runners, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr(units, "wake", woken.append)
    send(portal, version, "hang", "a", "b", "c")
    hanging = child()
    until(lambda: woken, "the rest is given back")
    assert Invocation.objects.filter(state="received").count() == 3
    assert runners.began == ["hang"] and woken == ["compute"]
    compute.work()
    assert states() == [("hang", "computing", 1), ("a", "ready", 1), ("b", "ready", 1), ("c", "ready", 1)]
    runners.end.set()
    hanging.join()
    assert states()[0] == ("hang", "received", 1)
    assert runners.began == ["hang", "a", "b", "c"]
    assert [(note.code, note.invocation.document_id) for note in Attempt.objects.all()] == [
        ("time_limit", "hang")
    ]


def test_what_was_computed_before_a_hanging_row_is_sent_meanwhile(
    portal: Portal, version: RobotVersion, runners: Runners, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr(units, "wake", woken.append)
    # Nothing is written by its age: only that a row runs long tells.
    monkeypatch.setattr(units, "_FLUSH_SECONDS", 1e9)
    send(portal, version, "a", "b", "hang")
    hanging = child()
    until(lambda: woken, "the hanging row is noticed")
    assert woken == ["deliver"] and Invocation.objects.filter(state="ready").count() == 2
    runners.end.set()
    hanging.join()
    assert states() == [("a", "ready", 1), ("b", "ready", 1), ("hang", "received", 1)]


def test_a_row_that_was_begun_is_never_given_back(portal: Portal, version: RobotVersion) -> None:
    send(portal, version, "a", "b", "c")
    unit = units.Unit(claims.claim("state = 'received' ORDER BY id", [], "computing", 3))
    rows = unit.rows()
    first = next(rows)
    assert claims.start(first)
    unit.runs_long()
    assert states() == [("a", "computing", 1), ("b", "received", 0), ("c", "received", 0)]
    assert list(rows) == []


def test_a_unit_that_has_begun_none_keeps_them(portal: Portal, version: RobotVersion) -> None:
    send(portal, version, "a", "b")
    unit = units.Unit(claims.claim("state = 'received' ORDER BY id", [], "computing", 2))
    unit.runs_long()
    assert len(list(unit.rows())) == 2


def test_a_keeper_looks_once_whether_work_runs_long(db: None) -> None:
    looked: list[str] = []
    seen = threading.Event()

    def late() -> None:
        looked.append("late")
        seen.set()

    with Keeper(lambda: None, late, 0.0):
        assert seen.wait(10)
    with Keeper(lambda: None, late, 3600.0):
        pass
    assert looked == ["late"]


def test_rows_given_back_keep_their_place_before_one_that_failed(
    portal: Portal, version: RobotVersion, runners: Runners, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a slow machine: the runner's start takes the whole unit's time, so each unit is one row."""
    monkeypatch.setattr(units, "SECONDS", -1.0)
    runners.end.set()
    send(portal, version, "hang", "a", "b", "c")
    long_ago = db_now() - dt.timedelta(minutes=5)
    Invocation.objects.update(due_at=long_ago)
    group = portal.pk, version.code
    for _ in range(2):
        assert compute._work_group(*group)
    # The failed row's time has come again while two of its siblings have not begun.
    Invocation.objects.filter(document_id="hang").update(due_at=long_ago + dt.timedelta(minutes=1))
    for _ in range(3):
        assert compute._work_group(*group)
    assert runners.began == ["hang", "a", "b", "c", "hang"]


def test_a_unit_goes_by_the_time_its_rows_came_due(
    portal: Portal, version: RobotVersion, runners: Runners
) -> None:
    runners.hangs.set()
    send(portal, version, "failed before", "a", "b")
    first = Invocation.objects.order_by("id").first()
    assert first is not None
    Invocation.objects.exclude(pk=first.pk).update(due_at=db_now() - dt.timedelta(minutes=1))
    compute.work()
    assert runners.began == ["a", "b", "failed before"]


@pytest.mark.parametrize("cause", ["time_limit", "memory"])
def test_a_row_that_cost_much_is_due_after_a_while(
    portal: Portal, version: RobotVersion, runners: Runners, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runners.end.set()
    monkeypatch.setattr(OVERRAN, "cause", cause)
    send(portal, version, "hang")
    before = db_now()
    compute.work()
    row = Invocation.objects.get()
    assert row.state == "received" and row.due_at >= before + dt.timedelta(seconds=15)


def test_what_a_lost_child_had_not_begun_keeps_its_place(portal: Portal, version: RobotVersion) -> None:
    from handlers import sweeper

    send(portal, version, "a")
    long_ago = db_now() - dt.timedelta(minutes=5)
    Invocation.objects.update(due_at=long_ago)
    claims.claim("state = 'received' ORDER BY id", [], "computing", 1)
    Invocation.objects.update(lease_until=long_ago)
    sweeper.sweep()
    row = Invocation.objects.get()
    assert (row.state, row.tries, row.due_at) == ("received", 0, long_ago)
