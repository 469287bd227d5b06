"""The log as CSV: what the list tells, all of it, a page in memory, and no formula for a spreadsheet."""

from __future__ import annotations

import csv
import io

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIRequestFactory, force_authenticate

from handlers import api_export
from handlers.api import Calls
from handlers.models import State
from tests.b24app.api_rows import API, exported, ids, read, rows, some_calls
from tests.b24app.people import signed_in
from tests.factories import InvocationFactory, PortalFactory

pytestmark = pytest.mark.django_db
EXPORT = f"{API}calls/export/"


@pytest.fixture
def auditor():
    return signed_in("auditors")


def parsed(text):
    return list(csv.DictReader(io.StringIO(text)))


def as_cells(row):
    """A line of the list as it stands in a file."""
    return {name: as_cell(value) for name, value in row.items()}


def as_cell(value):
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_the_export_is_the_list(auditor, monkeypatch):
    monkeypatch.setattr(api_export, "PAGE", 2)
    rows()
    some_calls(4, state=State.READY, deadline="2026-11-25T00:00:00.123456Z")
    InvocationFactory(portal=PortalFactory(paused_at="2026-11-24T00:00:00Z"), state=State.READY)
    listed = read(auditor, f"{API}calls/", page_size=500)["results"]
    found = parsed(exported(auditor))
    assert found == [as_cells(row) for row in listed]
    assert list(found[0]) == list(listed[0])


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4])
def test_no_page_is_lost_at_its_edge(auditor, monkeypatch, number):
    monkeypatch.setattr(api_export, "PAGE", 2)
    calls = some_calls(number)
    assert [int(row["id"]) for row in parsed(exported(auditor))] == [call.pk for call in reversed(calls)]


def test_the_same_filters(auditor):
    some_calls(2)
    failed = some_calls(2, state=State.FAILED, cause="memory")
    query = {"state": "failed", "portal": failed[0].portal_id}
    assert [int(row["id"]) for row in parsed(exported(auditor, **query))] == ids(auditor, **query)
    assert len(ids(auditor, **query)) == 1


@pytest.mark.parametrize("query", ["state=x", "sate=failed", "cursor=5", "page_size=10"])
def test_a_wrong_filter_is_named_in_json_whatever_is_accepted(auditor, query):
    answer = auditor.get(f"{EXPORT}?{query}", headers={"accept": "text/csv"})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json")
    assert list(answer.json()) == [query.split("=")[0]]


def test_it_is_a_file_and_may_be_asked_for_as_csv(auditor):
    answer = auditor.get(EXPORT, headers={"accept": "text/csv"})
    assert answer.streaming
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="calls-')


def test_each_page_is_read_when_it_is_sent(auditor, monkeypatch):
    monkeypatch.setattr(api_export, "PAGE", 2)
    some_calls(6)
    with CaptureQueriesContext(connection) as queries:
        parts = iter(auditor.get(EXPORT).streaming_content)
        next(parts)

        def read_so_far():
            return [each["sql"] for each in queries.captured_queries if "handlers_invocation" in each["sql"]]

        assert read_so_far() == []
        next(parts)
        assert len(read_so_far()) == 1
        list(parts)
        assert len(read_so_far()) == 4
        assert all("LIMIT 2" in sql for sql in read_so_far())


def test_calls_that_come_meanwhile_are_not_in_it(auditor, monkeypatch):
    monkeypatch.setattr(api_export, "PAGE", 2)
    calls = some_calls(5)
    text = ""
    for part in auditor.get(EXPORT).streaming_content:
        text += part.decode()
        some_calls(3)
    # The first page was read after the header was sent, and three calls had come by then.
    found = [int(row["id"]) for row in parsed(text)]
    assert found[-5:] == [call.pk for call in reversed(calls)]
    assert len(found) == len(set(found)) == 8


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "＝1+1"]
)
def test_no_text_is_a_formula(auditor, text):
    InvocationFactory(document_id=text)
    (row,) = parsed(exported(auditor))
    assert row["document"] == f"'{text}"


def test_texts_with_commas_quotes_and_lines_stay_one_cell(auditor):
    InvocationFactory(document_id='a,"b"\nc', robot_code="Скидка")
    (row,) = parsed(exported(auditor))
    assert (row["document"], row["robot"]) == ('a,"b"\nc', "Скидка")


def test_a_head_reads_no_call(auditor):
    some_calls(2)
    # Not by the client, which throws a body away by itself; a server may read it to its end first.
    request = APIRequestFactory().head(EXPORT)
    force_authenticate(request, User.objects.get(username="of-auditors"))
    with CaptureQueriesContext(connection) as queries:
        answer = Calls.as_view({"head": "export"})(request)
        assert list(answer.streaming_content) == []
    assert not [each for each in queries if "handlers_invocation" in each["sql"]]
