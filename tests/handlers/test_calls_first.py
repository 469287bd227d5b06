"""Long work of a web process gives way to calls, and goes on where calls never end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from b24app import wsgi
from handlers import api_export, calls_first
from handlers.models import Invocation
from tests.factories import InvocationFactory


@pytest.fixture
def a_call() -> Iterator[threading.Event]:
    """A call that another thread answers until the event is set."""
    answered, has_come = threading.Event(), threading.Event()

    def answer() -> None:
        calls_first.come()
        has_come.set()
        answered.wait(30)
        calls_first.answered()

    thread = threading.Thread(target=answer)
    thread.start()
    assert has_come.wait(30)
    yield answered
    answered.set()
    thread.join()


def seconds_given() -> float:
    began = time.monotonic()
    calls_first.give_way()
    return time.monotonic() - began


def test_where_no_call_is_answered_nobody_waits() -> None:
    assert seconds_given() < calls_first.PATIENCE / 2


def test_long_work_waits_until_the_call_is_answered(
    a_call: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_first, "PATIENCE", 30.0)
    threading.Timer(0.2, a_call.set).start()
    assert 0.1 < seconds_given() < 25


def test_calls_that_never_end_hold_it_up_for_a_moment_only(a_call: threading.Event) -> None:
    assert seconds_given() >= calls_first.PATIENCE
    assert not a_call.is_set()


@pytest.mark.parametrize("fails", [False, True])
def test_a_call_has_come_while_it_is_answered(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def handler(request: HttpRequest, slug: str) -> HttpResponse:
        seen.append(set(calls_first._here))
        if fails:
            raise RuntimeError
        return HttpResponse()

    monkeypatch.setattr(wsgi, "_answer", handler)
    request = RequestFactory().post("/b24/main/handler/")
    statuses: list[str] = []
    list(wsgi.application(request.environ, lambda status, headers: statuses.append(status)))
    assert statuses == ["500 Internal Server Error" if fails else "200 OK"]
    assert seen == [{threading.get_ident()}] and not calls_first._here


@pytest.mark.django_db
def test_an_export_gives_way_before_each_page_and_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_export, "PAGE", 2)
    InvocationFactory.create_batch(3)
    asked: list[int] = []
    monkeypatch.setattr(calls_first, "give_way", lambda: asked.append(1))
    calls = Invocation.objects.select_related("portal__application", "version")
    assert len(list(api_export.lines(calls, F("id")))) == 3
    assert len(asked) == 2 + 3
