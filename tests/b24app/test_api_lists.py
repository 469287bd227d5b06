"""Lists of the audit API: pages that are whole and hold still, filters that are never passed over."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from handlers.api import CallFilters, Calls
from handlers.log_order import number
from handlers.models import Attempt, Invocation, State
from portals.models import PortalGroup
from tests.b24app.api_rows import API, LISTS, read, rows, some_calls
from tests.b24app.people import signed_in
from tests.factories import (
    NOW,
    PortalFactory,
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
    plan = (
        filters.narrowed(Calls.queryset.all()).order_by(number(filters.validated_data).desc())[:101].explain()
    )
    assert "TEMP B-TREE" not in plan, plan
