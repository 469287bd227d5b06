"""SQLite as the intake asks it: a file that another holds (design §2 rule 2)."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, OperationalError

from handlers import drain, intake_db, intake_sqlite, spool
from handlers.models import Invocation
from portals.models import Portal
from robots.models import RobotVersion
from tests.handlers.calls import post
from tests.system.processes import until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        settings.DATABASES["default"]["ENGINE"] != "django.db.backends.sqlite3", reason="about SQLite"
    ),
]


@contextmanager
def locked() -> Iterator[None]:
    """Another process writes and does not come to its end."""
    with closing(sqlite3.connect(settings.DATABASES["default"]["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many waited at each try to begin; the first try is made once seven others wait behind it."""
    seen: list[int] = []
    real = intake_sqlite._begin
    monkeypatch.setattr(intake_sqlite, "PATIENCE", 0.05)

    def begin() -> Any:
        if not seen:
            until(lambda: len(intake_sqlite._waiting) == 7, "seven wait for the one that writes")
        seen.append(len(intake_sqlite._waiting))
        return real()

    monkeypatch.setattr(intake_sqlite, "_begin", begin)
    return seen


def at_once(*jobs: Any) -> list[Any]:
    """What each gave, or the error it raised, in no order."""
    given: list[Any] = []

    def run(job: Any) -> None:
        try:
            given.append(job())
        except (DatabaseError, SystemExit) as error:
            given.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return given


def ask(sql: str = "SELECT 1") -> Any:
    return lambda: intake_sqlite.run(sql, ())


def test_all_that_wait_for_a_locked_file_fail_with_the_first(portal: Portal, begun: list[int]) -> None:
    with locked():
        given = at_once(*[ask() for _ in range(8)])
    assert begun == [7], "nobody waited a second time"
    assert [type(error) for error in given] == [OperationalError] * 8


def test_a_bad_statement_harms_nobody_of_its_group(portal: Portal, begun: list[int]) -> None:
    given = at_once(*[ask() for _ in range(7)], ask("SELECT * FROM nowhere"))
    assert given.count([(1,)]) == 7
    assert len([error for error in given if isinstance(error, OperationalError)]) == 1


def test_a_group_written_singly_ends_where_the_file_is_locked_meanwhile(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_sqlite, "PATIENCE", 0.05)
    tries: list[int] = []

    def never(group: list[Any]) -> None:
        tries.append(len(group))
        if len(group) > 1:
            raise sqlite3.IntegrityError("one of them")
        raise intake_sqlite._NotBegun from sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(intake_sqlite, "_transaction", never)
    group = [intake_sqlite._Job(("SELECT 1", ()), lambda rows: None) for _ in range(5)]
    intake_sqlite._write(group)
    assert tries == [5, 1]
    assert not any(job.told.locked() for job in group)
    assert all(job.done and isinstance(job.error, sqlite3.OperationalError) for job in group)


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were written by each transaction."""
    seen: list[int] = []
    real = intake_sqlite._transaction

    def count(group: list[Any]) -> None:
        seen.append(len(group))
        real(group)

    monkeypatch.setattr(intake_sqlite, "_transaction", count)
    monkeypatch.setattr(intake_sqlite, "_expected", 1)
    return seen


def test_a_lonely_call_waits_for_nobody(groups: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_sqlite, "_gather", lambda leader: pytest.fail("waited"))
    assert [ask()() for _ in range(3)] == [[(1,)]] * 3
    assert groups == [1, 1, 1]


def test_as_many_as_last_time_are_waited_for_and_share_a_commit(
    groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_sqlite, "_expected", 5)
    monkeypatch.setattr(intake_sqlite, "GAP", 30.0)
    began = time.monotonic()
    assert at_once(*[ask() for _ in range(5)]) == [[(1,)]] * 5
    assert groups == [5]
    assert time.monotonic() - began < 15, "the fifth ends the waiting"


def test_who_does_not_come_is_waited_for_once(groups: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_sqlite, "_expected", 5)
    assert ask()() == [(1,)]
    monkeypatch.setattr(intake_sqlite, "_gather", lambda leader: pytest.fail("waited"))
    assert ask()() == [(1,)]
    assert groups == [1, 1]


def test_nobody_waits_for_a_leader_that_dies(groups: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def die(group: list[Any]) -> None:
        raise SystemExit

    monkeypatch.setattr(intake_sqlite, "_expected", 4)
    monkeypatch.setattr(intake_sqlite, "GAP", 30.0)
    with monkeypatch.context() as context:
        context.setattr(intake_sqlite, "_transaction", die)
        given = at_once(*[ask() for _ in range(4)])
    assert sorted(type(each).__name__ for each in given) == ["DatabaseError"] * 3 + ["SystemExit"]
    monkeypatch.setattr(intake_sqlite, "GAP", 0.001)
    assert ask()() == [(1,)]


def test_what_no_statement_can_carry_is_its_callers_error_alone(portal: Portal) -> None:
    with pytest.raises(DatabaseError):
        intake_sqlite.run("SELECT ?", (2**70,))
    assert intake_sqlite.run("SELECT 1", ()) == [(1,)]


def test_s6_calls_to_a_locked_file_are_kept_and_come_in_once_when_it_is_free(
    portal: Portal, version: RobotVersion, begun: list[int]
) -> None:
    begun.append(0)  # here nobody is waited for
    drain.tend()
    intake_db.forget()
    with locked():
        answers = at_once(*[lambda: post(portal, version=version.pk).status_code for _ in range(12)])
        assert intake_db.is_away()
        drain.tend()
        assert intake_db.is_away(), "the probe asks for what a call needs: to write"
    assert answers == [200] * 12 and spool.held().calls == 12
    drain.tend()
    assert not intake_db.is_away()
    assert Invocation.objects.count() == 12 and spool.held().calls == 0


def test_a_file_that_another_writes_for_a_moment_is_waited_for(portal: Portal, version: RobotVersion) -> None:
    free = threading.Event()

    def hold() -> None:
        with locked():
            held.set()
            free.wait(10)

    held = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    caller = threading.Thread(target=lambda: post(portal, version=version.pk))
    caller.start()
    until(intake_sqlite._turn.locked, "the call waits for the file")
    free.set()
    caller.join()
    holder.join()
    assert Invocation.objects.count() == 1 and spool.held().calls == 0
