"""Hot statements read what they need and no more, however long the log is: their plans, on a log of ended calls.

What is planned is what the hub itself asks: its statements are caught on their way, then explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from b24app import figures
from handlers import compute, confirm, delivery, restored, sending, silence, sweeper, waits
from handlers.models import Confirmation, Invocation, Sending, State
from portals.batch import BatchAnswer
from portals.clock import db_now
from portals.crypto import encrypt
from portals.models import Portal
from robots.job import Outcome
from tests.bench import history
from tests.factories import InvocationFactory, PortalFactory, RobotFactory, RobotVersionFactory

pytestmark = pytest.mark.django_db(transaction=True)
# Fewer, and PostgreSQL rightly reads them all to settle fifty.
ENDED = 25_000 if connection.vendor == "postgresql" else 4_000
LOG, CAME = "handlers_invocation", "handlers_receivedcall"

Asked = list[tuple[str, Any]]


@pytest.fixture
def portal(transactional_db: None) -> Portal:
    """One of five with many ended calls; the planner knows."""
    portals = [PortalFactory()]
    portals += [PortalFactory(application=portals[0].application) for _ in range(4)]
    robot = RobotFactory(application=portals[0].application, code="discount")
    RobotVersionFactory(robot=robot)
    for statement in history.statements(connection.vendor == "postgresql", ENDED, 30):
        with connection.cursor() as cursor:
            cursor.execute(statement)
    return portals[0]


@contextmanager
def caught(*tables: str) -> Iterator[Asked]:
    """Every statement that reads or writes the log (or one of `tables`), with its parameters."""
    asked: Asked = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if any(table in sql for table in tables or (LOG,)) and not sql.lstrip().upper().startswith("INSERT"):
            asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield asked


def plan(sql: str, params: Any) -> str:
    word = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        cursor.execute(f"{word} {sql}", params)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


def reads_all(found: str) -> bool:
    """Whether the log is read from end to end."""
    for line in found.splitlines():
        if connection.vendor == "postgresql" and any(f"Seq Scan on {each} " in line for each in (LOG, CAME)):
            return True
        words = line.strip().split()
        if connection.vendor == "sqlite" and words[:1] == ["SCAN"] and words[1] in (LOG, CAME, "i"):
            # By a partial index: all of what is open, nothing of what ended.
            return "INDEX invocation_" not in line
    return False


def rows(portal: Portal, state: str, number: int = 3, **fields: Any) -> list[Invocation]:
    version = portal.application.robots.get(code="discount").versions.get()
    now = db_now()
    return [
        InvocationFactory(
            portal=portal,
            robot_code="discount",
            version=version,
            state=state,
            due_at=now,
            called_at=now,
            event_token=encrypt(b"an event token"),
            **fields,
        )
        for _ in range(number)
    ]


def assert_quick(asked: Asked) -> None:
    assert asked
    for sql, params in asked:
        found = plan(sql, params)
        assert not reads_all(found), f"{sql}\n{params}\n{found}"


def uses(asked: Asked, index: str, word: str = "") -> None:
    """One of the statements (with `word` in it) goes by `index`."""
    plans = [plan(sql, params) for sql, params in asked if word in sql]
    assert any(index in found for found in plans), f"{index}:\n" + "\n--\n".join(plans)


class Computes:
    """A runner that computes nothing."""

    def run(self, job: Any, **more: Any) -> Outcome:
        return Outcome(True, values={"total": "1"}, revision="r")


class Takes:
    """A portal that takes everything."""

    def __init__(self, *_args: Any, **_more: Any) -> None:
        self.call = None

    def batch(self, commands: dict[str, Any]) -> BatchAnswer:
        answer = BatchAnswer(portal_time=db_now())
        answer.results = {key: [] if key.startswith("w") else True for key in commands}
        return answer


@pytest.fixture(autouse=True)
def nobody_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "runner", Computes)
    monkeypatch.setattr(compute, "PortalClient", Takes)
    monkeypatch.setattr(sending, "PortalClient", Takes)


def test_the_way_of_a_call(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    rows(portal, State.RECEIVED)
    with monkeypatch.context() as patch, caught() as asked:
        patch.setattr(delivery, "deliver_now", lambda portal: None)
        compute.work()
    assert Invocation.objects.filter(state=State.READY).count() == 3
    assert_quick(asked)
    uses(asked, "invocation_received", "(portal_id, robot_code) >")
    uses(asked, "invocation_received", "state = 'received' AND portal_id")

    rows(portal, State.READY, deadline=db_now() + timedelta(hours=1))
    with caught() as asked:
        delivery.work()
    assert not Invocation.objects.filter(state=State.READY).exists()
    assert_quick(asked)
    uses(asked, "invocation_ready", "deadline IS NULL")
    uses(asked, "invocation_ready", "ORDER BY deadline")
    uses(asked, "invocation_ready", "FROM portals_portal")
    uses(asked, "invocation_confirm", "FROM portals_portal")
    # Where no look is due, which the planner can't know, the log is not read in the hope of one.
    uses(asked, "invocation_confirm", "ORDER BY confirm_at LIMIT 1) IS NOT NULL")

    owed = {"confirm_at": db_now(), "ended_at": db_now()}
    rows(portal, State.DELIVERED, confirmation=Confirmation.LOOK, **owed)
    rows(portal, State.DELIVERED, confirmation=Confirmation.REPEAT, **owed)
    with caught() as asked:
        assert len(confirm.due(portal, db_now())) == 3
        delivery.work()
    assert not Invocation.objects.filter(confirmation=Confirmation.REPEAT, sends=0).exists()
    assert_quick(asked)
    uses(asked, "invocation_confirm", '"confirmation" IN')
    uses(asked, "invocation_confirm", "confirmation = 'repeat'")


def test_the_sweep(portal: Portal) -> None:
    past = db_now() - timedelta(minutes=1)
    rows(portal, State.RECEIVED, deadline=past)
    rows(portal, State.COMPUTING, lease_until=past)
    rows(portal, State.READY)
    with caught() as asked:
        sweeper.sweep()
        waits.end_waits(portal.pk)
    assert not Invocation.objects.filter(lease_until__lt=past).exists()
    assert Invocation.objects.filter(state=State.EXPIRED).count() == 3
    assert_quick(asked)
    uses(asked, "invocation_leased", "lease_until <")
    uses(asked, "invocation_deadline", "deadline <=")


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="it is PostgreSQL that reads all results a call"
)
def test_what_a_restore_decides_reads_no_list_once_a_call(portal: Portal) -> None:
    rows(portal, State.RECEIVED)
    rows(portal, State.FAILED)
    with caught() as asked:
        assert (restored.put_aside(), restored.remark_failed()) == (3, 3)
    assert asked
    for sql, params in asked:
        # NOT IN a list that is too long to be hashed is a plan of its own for each row.
        assert "SubPlan" not in plan(sql, params), sql


def test_what_operators_watch(portal: Portal) -> None:
    hours_ago = db_now() - timedelta(hours=3)
    for state in (State.RECEIVED, State.READY):
        rows(portal, state, received_at=hours_ago)
    for state in (State.COMPUTING, State.SENDING):
        rows(portal, state, received_at=hours_ago, lease_until=db_now())
    owed = {"confirm_at": db_now(), "ended_at": hours_ago}
    rows(portal, State.DELIVERED, confirmation=Confirmation.LOOK, **owed)
    with caught(LOG, CAME) as asked:
        queue = figures.queue()
        assert (queue.late, queue.unseen) == (12, 3)
        assert figures.open_calls()["sending"] == 3
        assert figures.unconfirmed() == (3, 0)
    assert_quick(asked)
    for index in ("received", "ready", "leased", "confirm"):
        uses(asked, f"invocation_{index}", "COUNT")
    uses(asked, "received_time", "received_at")


def test_who_is_silent(portal: Portal) -> None:
    rows(portal, State.READY)
    rows(portal, State.SENDING, lease_until=db_now())
    began = db_now() - timedelta(minutes=20)
    fields: dict[str, Any] = {"started_at": began, "results": 1}
    for other in Portal.objects.exclude(pk=portal.pk):
        answered = Sending(portal=other, outcome=Sending.Outcome.ANSWERED, **fields)
        Sending.objects.bulk_create(copy(answered) for _ in range(1000))
    Sending.objects.filter(portal=portal).update(results=1, outcome=Sending.Outcome.ANSWERED)
    for _ in range(silence.MOST):
        Sending.objects.create(portal=portal, outcome=Sending.Outcome.UNKNOWN, **fields)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with caught(LOG, "handlers_sending") as asked:
        assert silence.since_before(began) == {portal.pk}
    assert_quick(asked)
    assert len(asked) == 2
    uses(asked[1:], "sending_portal")


def test_pages_of_the_log(portal: Portal) -> None:
    rows(portal, State.RECEIVED, 1)
    rows(portal, State.FAILED, 1)
    rows(
        portal, State.DELIVERED, 1, confirmation=Confirmation.STUCK, confirm_at=db_now() + timedelta(hours=1)
    )
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("reader", "r@example.com", "password"))
    for query in ("", "?state=open", "?state=attention", "?state=stuck"):
        with caught() as asked:
            answer = client.get(f"/admin/handlers/invocation/{query}")
        assert answer.status_code == 200
        lists = [(sql, params) for sql, params in asked if "ORDER BY" in sql]
        assert lists, query
        for sql, params in lists:
            found = plan(sql, params)
            # Newest first by the key itself, or few rows by a partial index: never all of them, sorted.
            if connection.vendor == "postgresql":
                assert not reads_all(found), found
            else:
                assert "TEMP B-TREE FOR ORDER BY" not in found or "INDEX invocation_" in found, found
