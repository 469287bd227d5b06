"""Lists of the audit API: pages that are whole and hold still, filters that are never passed over."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from handlers.api import CallFilters, Calls
from handlers.models import Attempt, Confirmation, Invocation, RefusedCall, Sending, State
from portals.models import Portal, PortalGroup
from robots.models import Registration
from tests.b24app.api_rows import API, LISTS, ids, read, rows, some_calls
from tests.b24app.people import signed_in
from tests.factories import (
    NOW,
    ApplicationFactory,
    InvocationFactory,
    PortalFactory,
    RegistrationFactory,
    RobotFactory,
    RobotVersionFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor():
    return signed_in("auditors")


def pages(client, path, between=lambda: None):
    """Every page's ids, as a program reads them: `next` until there is none."""
    found = []
    while path:
        page = read(client, path)
        found.append([row["id"] for row in page["results"]])
        path = page["next"]
        between()
    return found


def numbers(found):
    return [number for page in found for number in page]


def test_pages_hold_everything_once_the_newest_first(auditor):
    calls = some_calls(7)
    found = pages(auditor, f"{API}calls/?page_size=3")
    assert [len(page) for page in found] == [3, 3, 1]
    assert numbers(found) == [call.pk for call in reversed(calls)]


def test_a_page_that_is_just_full_is_the_last(auditor):
    some_calls(3)
    assert read(auditor, f"{API}calls/", page_size=3)["next"] is None
    assert read(auditor, f"{API}sendings/") == {"next": None, "results": []}


def test_pages_hold_still_while_calls_come_and_go(auditor):
    calls = some_calls(9)
    last_of_first_page, unread = calls[7], calls[2]

    def meanwhile():
        some_calls(4)
        # A purge takes the very row that the next page begins below, and one that was not read yet.
        Invocation.objects.filter(pk__in=[last_of_first_page.pk, unread.pk]).delete()

    found = numbers(pages(auditor, f"{API}calls/?page_size=2", meanwhile))
    assert found == [call.pk for call in reversed(calls) if call is not unread]


def test_the_following_page_keeps_the_filters(auditor):
    mine = some_calls(3, state=State.FAILED, cause="memory")
    some_calls(3)
    found = pages(auditor, f"{API}calls/?page_size=2&state=failed&cause=memory")
    assert numbers(found) == [call.pk for call in reversed(mine)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page_size", "0"),
        ("page_size", "501"),
        ("page_size", "many"),
        ("page_size", "-1"),
        ("cursor", "x"),
        ("cursor", ""),
        ("cursor", "99999999999999999999"),
        ("cursor", "9223372036854775808"),
        ("cursor", "²"),
    ],
)
def test_a_wrong_page_is_named(auditor, name, value):
    answer = auditor.get(f"{API}calls/", {name: value})
    assert (answer.status_code, list(answer.json())) == (400, [name])


@pytest.mark.parametrize(
    ("resource", "name", "value"),
    [
        ("calls", "portal", "x"),
        ("calls", "portal", "999"),
        ("calls", "portal", "99999999999999999999"),
        ("calls", "application", "nobody"),
        ("calls", "state", "done"),
        ("calls", "cause", "bad"),
        ("calls", "confirmation", "perhaps"),
        ("calls", "received_after", "yesterday"),
        ("calls", "received_after", "2026-13-01T00:00:00Z"),
        ("calls", "received_before", "0001-01-01T00:00:00+14:00"),
        # So near the first day, zones and databases disagree on what is still a date.
        ("calls", "received_before", "0001-01-02T00:00:00Z"),
        ("calls", "received_before", "9999-12-31T23:59:59-12:00"),
        ("calls", "robot", ""),
        ("calls", "robot", "x" * 129),
        ("calls", "document", "a\x00b"),
        ("calls", "sate", "failed"),
        ("calls", "q", "42"),
        ("portals", "paused", "perhaps"),
        ("portals", "trouble", "x"),
        ("portals", "token_state", "x"),
        ("robots", "kind", "x"),
        ("versions", "application", "x"),
        ("registrations", "observed", "x"),
        ("registrations", "error", "x"),
        ("sendings", "outcome", "x"),
        ("refused-calls", "after", "x"),
        ("applications", "name", "x"),
    ],
)
def test_a_wrong_filter_is_named(auditor, resource, name, value):
    PortalFactory()
    answer = auditor.get(f"{API}{resource}/", {name: value})
    assert (answer.status_code, list(answer.json())) == (400, [name])
    assert answer.json()[name][0]


def test_all_that_is_wrong_is_named_at_once(auditor):
    answer = auditor.get(f"{API}calls/?state=x&sate=y&portal=1&portal=2")
    assert sorted(answer.json()) == ["portal", "sate", "state"]
    assert "received_after" in answer.json()["sate"][0]


def test_filters_of_calls(auditor):
    one, other = ApplicationFactory(), ApplicationFactory()
    version = RobotVersionFactory(robot__application=one)
    failed = InvocationFactory(
        portal__application=one,
        state=State.FAILED,
        cause="time_limit",
        robot_code=version.code,
        version=version,
        received_at=NOW,
    )
    stuck = InvocationFactory(
        portal__application=one,
        state=State.DELIVERED,
        confirmation=Confirmation.STUCK,
        workflow_id="5f.1",
        received_at=NOW - dt.timedelta(hours=1),
    )
    ready = InvocationFactory(
        portal__application=other,
        state=State.READY,
        document_id="DEAL_42",
        received_at=NOW - dt.timedelta(hours=2),
    )
    refused = InvocationFactory(
        portal=ready.portal,
        state=State.REFUSED,
        cause="process_gone",
        received_at=NOW - dt.timedelta(hours=3),
    )
    expected = [
        ({}, [refused, ready, stuck, failed]),
        ({"application": one.slug}, [stuck, failed]),
        ({"application": other.slug, "state": "refused"}, [refused]),
        ({"portal": ready.portal_id}, [refused, ready]),
        ({"robot": version.code}, [failed]),
        ({"robot": "nobody"}, []),
        ({"state": "failed"}, [failed]),
        ({"state": "refused"}, [refused]),
        ({"state": "delivered"}, [stuck]),
        ({"state": "open"}, [ready]),
        ({"cause": "time_limit"}, [failed]),
        ({"cause": "none"}, [ready, stuck]),
        ({"confirmation": "stuck"}, [stuck]),
        ({"confirmation": "none"}, [refused, ready, failed]),
        ({"process": "5f.1"}, [stuck]),
        ({"document": "DEAL_42"}, [ready]),
        ({"document": "DEAL_4"}, []),
        ({"document": " DEAL_42"}, []),
        ({"received_after": "2026-11-24T12:00:00Z"}, [failed]),
        ({"received_before": "2026-11-24T12:00:00Z"}, [refused, ready, stuck]),
        # The same moment in Moscow; the plus sign is a %2B in an address.
        ({"received_after": "2026-11-24T15:00:00+03:00"}, [failed]),
        (
            {"received_after": "2026-11-24T10:00:00Z", "received_before": "2026-11-24T12:00:00Z"},
            [ready, stuck],
        ),
        ({"received_after": "2026-11-24"}, [refused, ready, stuck, failed]),
        ({"portal": failed.portal_id, "state": "failed", "cause": "memory"}, []),
    ]
    for query, calls in expected:
        assert ids(auditor, **query) == [call.pk for call in calls], query


def test_filters_of_portals(auditor):
    main = PortalFactory(domain="a.bitrix24.com", installed_at=NOW)
    main.groups.add(PortalGroup.objects.create(name="canary"))
    paused = PortalFactory(paused_at=NOW, trouble=Portal.Trouble.UNPAID, token_state=Portal.Token.LOST)
    gone = PortalFactory(state=Portal.State.UNINSTALLED)
    for query, portals in [
        ({"state": "uninstalled"}, [gone]),
        ({"paused": "true"}, [paused]),
        ({"paused": "false"}, [gone, main]),
        ({"trouble": "unpaid"}, [paused]),
        ({"trouble": "none"}, [gone, main]),
        ({"token_state": "lost"}, [paused]),
        ({"group": "canary"}, [main]),
        ({"domain": "a.bitrix24.com"}, [main]),
        ({"member_id": gone.member_id}, [gone]),
        ({"application": main.application.slug}, [main]),
        ({"installed_after": NOW.isoformat()}, [main]),
    ]:
        assert ids(auditor, "portals", **query) == [portal.pk for portal in portals], query


def test_filters_of_robots_versions_and_registrations(auditor):
    registration = RegistrationFactory(error_code="x", observed=Registration.Observed.MISSING)
    quiet = RegistrationFactory()
    robot, version = registration.robot, registration.wanted_version
    draft = RobotFactory(kind="activity", removed_at=NOW)
    slug = robot.application.slug
    assert ids(auditor, "robots", application=slug) == [robot.pk]
    assert ids(auditor, "robots", code=robot.code) == [robot.pk]
    assert ids(auditor, "robots", kind="activity") == ids(auditor, "robots", removed="true") == [draft.pk]
    assert ids(auditor, "robots", published="true") == [quiet.robot.pk, robot.pk]
    assert ids(auditor, "robots", published="false") == [draft.pk]
    assert ids(auditor, "versions", application=slug) == ids(auditor, "versions", robot=robot.code)
    assert ids(auditor, "versions", robot=robot.code) == [version.pk]
    assert ids(auditor, "versions", published_before=NOW.isoformat()) == []
    for query in (
        {"application": slug},
        {"portal": registration.portal_id},
        {"robot": robot.code},
        {"observed": "missing"},
        {"error": "true"},
    ):
        assert ids(auditor, "registrations", **query) == [registration.pk], query
    assert ids(auditor, "registrations", error="false") == [quiet.pk]


def test_filters_of_sendings_and_refused_calls(auditor):
    portal = PortalFactory()
    sent = Sending.objects.create(portal=portal, started_at=NOW, outcome="trouble")
    later = Sending.objects.create(portal=PortalFactory(), started_at=NOW + dt.timedelta(hours=1))
    assert (
        ids(auditor, "sendings", portal=portal.pk) == ids(auditor, "sendings", outcome="trouble") == [sent.pk]
    )
    assert ids(auditor, "sendings", application=portal.application.slug) == [sent.pk]
    assert ids(auditor, "sendings", started_after="2026-11-24T12:30:00Z") == [later.pk]
    refused = RefusedCall.objects.create(
        at=NOW, reason="token_wrong", application="main", domain="x.y", address="203.0.113.9", robot_code="r"
    )
    RefusedCall.objects.create(at=NOW - dt.timedelta(hours=1), reason="unknown_portal", member_id="a")
    for query in (
        {"reason": "token_wrong"},
        {"application": "main"},
        {"domain": "x.y"},
        {"address": "203.0.113.9"},
        {"robot": "r"},
        {"after": NOW.isoformat()},
    ):
        assert ids(auditor, "refused-calls", **query) == [refused.pk], query
    assert len(ids(auditor, "refused-calls", member_id="a")) == 1


@pytest.mark.parametrize("name", LISTS)
def test_as_many_queries_for_many_rows_as_for_few(auditor, name):
    def more(number):
        for _each in range(number):
            made = rows_again()
            Attempt.objects.create(invocation=made["calls"], step="send", at=NOW, code="x")

    more(1)
    few = asked(auditor, f"{API}{name}/")
    more(6)
    assert asked(auditor, f"{API}{name}/") == few
    # Who asks, what he may, the page, and what a page needs beside it.
    assert len(few) <= 6


def rows_again():
    PortalGroup.objects.all().delete()
    return rows()


def asked(client, path):
    client.get(path)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200
    return [each["sql"].split("WHERE")[0] for each in queries]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "state=failed",
        "state=open",
        "received_after=2026-11-24",
        "confirmation=stuck",
        "robot=x",
        "process=x",
    ],
)
def test_no_list_counts_and_each_is_bounded(auditor, query):
    some_calls(2)
    with CaptureQueriesContext(connection) as queries:
        auditor.get(f"{API}calls/?{query}")
    sql = [each["sql"] for each in queries if "handlers_invocation" in each["sql"]]
    assert len(sql) == 1
    assert "COUNT(" not in sql[0].upper()
    assert "OFFSET" not in sql[0].upper()
    assert "LIMIT 101" in sql[0]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL plans by what it counted")
@pytest.mark.parametrize("name", ["", "application", "portal", "robot", "state", "cause", "confirmation"])
def test_no_page_is_made_by_sorting_the_log(name):
    portal = PortalFactory()
    values = {
        "application": portal.application.slug,
        "portal": portal.pk,
        "robot": "x",
        "state": "failed",
        "cause": "memory",
        "confirmation": "stuck",
    }
    filters = CallFilters(data={name: values[name]} if name else {})
    filters.is_valid(raise_exception=True)
    plan = filters.narrowed(Calls.queryset.all()).order_by("-pk")[:101].explain()
    assert "TEMP B-TREE" not in plan, plan
