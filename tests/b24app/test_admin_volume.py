"""A hundred portals, fifty robots, two hundred thousand calls: every page asks as many queries as with a few, and
none of them reads the log through."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from b24app import dashboard
from b24app.alarm import Alarm
from handlers.models import Invocation, ReceivedCall, Sending
from portals.models import Application, Portal
from robots.models import ForeignCode, Push, PushItem, Registration, Robot, RobotVersion
from robots.publish import publish
from tests.b24app.people import signed_in
from tests.factories import NOW, ApplicationFactory, PortalFactory, RobotFactory

# Two hundred thousand where SQLite must bear them; what PostgreSQL plans does not change with the number.
CALLS = 200_000 if connection.vendor == "sqlite" else 20_000
# Rows of SQL's own making: a Python object each would take a minute.
NUMBERS = {
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last})"
    " SELECT {what} FROM s",
    "postgresql": "SELECT {what} FROM generate_series({first}, {last}) AS s(n)",
}
HASH = {"sqlite": "CAST(printf('%032d', n) AS BLOB)", "postgresql": "decode(lpad(to_hex(n), 64, '0'), 'hex')"}
# Indexes that hold a part of the rows only: walked through, they are not the log.
LOG_TABLES = ("handlers_receivedcall", "handlers_invocation")
PARTS = {index.name for index in Invocation._meta.indexes if index.condition is not None}


def add_calls(first: int, last: int) -> None:
    """Every hundredth failed, every thousandth on its way, the rest delivered, a second apart."""
    portals = list(Portal.objects.values_list("pk", flat=True).order_by("pk"))
    version = RobotVersion.objects.order_by("pk").first()
    assert version is not None
    vendor = connection.vendor
    moment = {
        "sqlite": f"strftime('%Y-%m-%d %H:%M:%f', '{timezone.now():%Y-%m-%d %H:%M:%S}',"
        f" '-' || ({CALLS} - n) || ' seconds')",
        "postgresql": f"now() - ({CALLS} - n) * interval '1 second'",
    }[vendor]
    true, false = ("1", "0") if vendor == "sqlite" else ("true", "false")
    values = {
        "id": "n",
        "portal_id": f"{portals[0]} + n % {len(portals)}",
        "token_hash": HASH[vendor],
        "run": "1",
        "robot_code": "'robot' || (n % 50)",
        "version_id": str(version.pk),
        "workflow_id": "'5f.' || n",
        "document_id": "'DEAL_' || (n % 20000)",
        "document_type": "'DEAL'",
        "waits": true,
        "repeats": "0",
        "state": "CASE WHEN n % 100 = 0 THEN 'failed' WHEN n % 1000 = 1 THEN 'ready' ELSE 'delivered' END",
        "cause": "CASE WHEN n % 100 = 0 THEN 'robot_error' ELSE '' END",
        "due_at": moment,
        "called_at": moment,
        "received_at": moment,
    }
    blob = "''" if vendor == "postgresql" else "x''"
    zero = {
        "BooleanField": false,
        "CharField": "''",
        "TextField": "''",
        "DateTimeField": moment,
        "BinaryField": blob,
    }
    for model in (ReceivedCall, Invocation):
        row = {
            field.column: values.get(field.column) or zero.get(field.get_internal_type(), "0")
            for field in model._meta.local_concrete_fields
            if field.column in values or not field.null
        }
        select = NUMBERS[vendor].format(what=", ".join(row.values()), first=first, last=last)
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {model._meta.db_table} ({', '.join(row)}) {select}")


def add_world(portals: int, robots: int) -> None:
    application = Application.objects.first() or ApplicationFactory()
    for _each in range(robots):
        publish(RobotFactory(application=application))
    for _each in range(portals):
        PortalFactory(application=application)
    there = list(Portal.objects.all())
    wanted = list(RobotVersion.objects.select_related("robot"))
    Registration.objects.bulk_create(
        [
            Registration(
                robot=version.robot,
                portal=portal,
                wanted_version=version,
                pushed_version=version,
                pushed_kind="robot",
            )
            for portal in there
            for version in wanted
        ],
        ignore_conflicts=True,
    )
    ForeignCode.objects.bulk_create(
        [ForeignCode(portal=portal, kind="robot", code=f"of_{portal.pk}", seen_at=NOW) for portal in there],
        ignore_conflicts=True,
    )
    push = Push.objects.first() or Push.objects.create(ordered_by="anna", ordered_at=NOW, codes=["robot"])
    PushItem.objects.bulk_create(
        [PushItem(push=push, portal=portal, state="failed", trouble="no") for portal in there],
        ignore_conflicts=True,
    )
    Alarm.objects.bulk_create(
        [
            Alarm(
                kind="portal_trouble",
                subject=str(portal.pk),
                opened_at=NOW,
                seen_at=NOW,
                told={"log": "open"},
            )
            for portal in there
        ],
        ignore_conflicts=True,
    )
    if not Sending.objects.exists():
        Sending.objects.create(portal=there[0], started_at=timezone.now() - dt.timedelta(days=400), results=1)


def pages() -> Iterator[str]:
    yield "/admin/"
    for name in ("invocation", "sending", "refusedcall", "replayorder"):
        yield reverse(f"admin:handlers_{name}_changelist")
    for name in ("robot", "robotversion", "registration", "foreigncode", "push"):
        yield reverse(f"admin:robots_{name}_changelist")
    yield reverse("admin:b24app_alarm_changelist")
    for name in ("portal", "application", "portalgroup", "pendinginstallation"):
        yield reverse(f"admin:portals_{name}_changelist")
    log = reverse("admin:handlers_invocation_changelist")
    portal = Portal.objects.order_by("pk").first()
    robot = Robot.objects.order_by("pk").first()
    push = Push.objects.get()
    assert portal is not None and robot is not None
    yield from (
        log + query
        for query in (
            "?state=attention",
            "?state=open",
            "?state=stuck",
            "?state=failed",
            "?day=today",
            "?day=week",
            f"?portal={portal.pk}",
            "?robot=robot1",
            f"?portal={portal.pk}&robot=robot1&state=failed",
            "?q=DEAL_42",
            "?q=42",
            "?q=5f.42",
            "?p=2",
        )
    )
    call = Invocation.objects.filter(state="failed").order_by("pk").first()
    assert call is not None
    yield reverse("admin:handlers_invocation_change", args=[call.pk])
    yield reverse("admin:handlers_replay") + f"?call={call.pk}"
    yield reverse("admin:portals_portal_change", args=[portal.pk])
    yield reverse("admin:robots_robot_change", args=[robot.pk])
    yield reverse("admin:robots_push_change", args=[push.pk])
    yield reverse("admin:robots_push")
    yield f"{reverse('admin:robots_push')}?robot={robot.pk}"


def asked(client: Client, url: str) -> list[str]:
    """The queries of a page, after what is remembered from the first time on."""
    client.get(url)
    dashboard.cache.clear()
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(url)
    assert answer.status_code == 200, url
    return [each["sql"] for each in queries]


def plan_of(sql: str) -> str:
    prefix = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with connection.cursor() as cursor:
        cursor.execute((prefix + sql).replace("%", "%%"), [])
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


def reads_the_log_through(sql: str) -> str:
    """The plan, where it walks all rows: not by a partial index, and not ended by LIMIT in the order of rows."""
    if not any(table in sql for table in LOG_TABLES) or not sql.startswith("SELECT"):
        return ""
    if connection.vendor == "postgresql":
        # Its planner reads a small table through because that is quicker; SQLite has no such choice.
        return ""
    plan = plan_of(sql)
    walked = [
        line
        for line in plan.splitlines()
        if line.startswith(tuple(f"SCAN {table}" for table in LOG_TABLES)) and not PARTS & set(line.split())
    ]
    # A span of time that holds calls is met at once from the newest on; an empty one is not walked at all.
    only_time = re.search(r'WHERE "handlers_receivedcall"."received_at" >= [^()]* ORDER BY', sql)
    ends_early = "LIMIT" in sql and ("WHERE" not in sql or only_time) and "TEMP B-TREE" not in plan
    # A portal's or a robot's own calls, gathered to be sorted.
    gathered = "TEMP B-TREE FOR ORDER BY" in plan and ("received_portal" in plan or "received_robot" in plan)
    return plan if gathered or (walked and not ends_early) else ""


@pytest.mark.django_db
def test_as_many_queries_with_a_hundred_portals_and_two_hundred_thousand_calls() -> None:
    client = signed_in("integrators")
    add_world(2, 2)
    add_calls(CALLS - 1000, CALLS)
    few = [len(asked(client, url)) for url in pages()]
    add_world(98, 48)
    Invocation.objects.all().delete()
    add_calls(1, CALLS)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    assert (Portal.objects.count(), Robot.objects.count(), Invocation.objects.count()) == (100, 50, CALLS)
    more, read_through = {}, {}
    for url, number in zip(pages(), few, strict=True):
        queries = asked(client, url)
        if len(queries) != number:
            more[url] = (number, len(queries))
        for sql in queries:
            if plan := reads_the_log_through(sql):
                read_through[url] = (sql[:400], plan)
    assert more == {}
    assert read_through == {}


@pytest.mark.django_db
@pytest.mark.skipif("connection.vendor == 'postgresql'", reason="plans are SQLite's")
def test_a_walk_through_the_log_would_be_seen() -> None:
    add_world(1, 1)
    add_calls(1, 5000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    assert reads_the_log_through("SELECT COUNT(*) FROM handlers_invocation")
    assert not reads_the_log_through("SELECT id FROM handlers_invocation ORDER BY id DESC LIMIT 50")
    assert reads_the_log_through("SELECT COUNT(*) FROM handlers_receivedcall")
    assert not reads_the_log_through("SELECT id FROM handlers_receivedcall WHERE document_id = 'DEAL_1'")


@pytest.mark.django_db
def test_a_day_without_calls_is_not_looked_for_in_all_of_them() -> None:
    client = signed_in("auditors")
    add_world(1, 1)
    add_calls(1, 2000)
    Invocation.objects.update(received_at=timezone.now() - dt.timedelta(days=3))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    for day in ("hour", "today", "yesterday"):
        queries = asked(client, f"{reverse('admin:handlers_invocation_changelist')}?day={day}")
        log = [sql for sql in queries if 'FROM "handlers_receivedcall"' in sql]
        assert (len(log) == 1 and "SEARCH" in plan_of(log[0])) or connection.vendor == "postgresql", log
