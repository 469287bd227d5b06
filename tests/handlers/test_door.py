"""The door as a server opens it: before Django's own handler, with the same answers (b24app/wsgi.py)."""

from __future__ import annotations

import io
import sys
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.signals import request_started

from b24app import wsgi
from handlers import intake
from handlers.models import Invocation
from portals.models import Portal
from robots.models import RobotVersion
from tests.handlers.calls import FORM, form

pytestmark = pytest.mark.django_db(transaction=True)


def knock(
    path: str, body: bytes = b"", method: str = "POST", query: str = ""
) -> tuple[str, dict[str, str], bytes]:
    told: list[Any] = []
    parts = wsgi.application(
        {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": FORM,
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "REMOTE_ADDR": "203.0.113.7",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http",
        },
        lambda status, headers: told.extend((status, dict(headers))),
    )
    return told[0], told[1], b"".join(parts)


def test_a_call_is_taken_in_and_answered_with_a_length(portal: Portal, version: RobotVersion) -> None:
    path = f"/b24/{portal.application.slug}/handler/"
    status, headers, body = knock(path, urlencode(form(portal)).encode(), query=f"v={version.pk}")
    assert (status, headers["Content-Length"], body) == ("200 OK", "0", b"")
    assert Invocation.objects.get().version_id == version.pk


def test_what_is_no_call_is_told_so(portal: Portal) -> None:
    path = f"/b24/{portal.application.slug}/handler/"
    assert knock(path, method="GET")[0] == "405 Method Not Allowed"
    status, headers, body = knock(path, b"a=1")
    assert (status, headers["Content-Type"]) == ("400 Bad Request", "application/json")
    assert b"error_description" in body


def test_a_call_passes_none_of_djangos_signals_and_a_page_does(portal: Portal) -> None:
    started: list[Any] = []

    def note(**named: Any) -> None:
        started.append(named["environ"]["PATH_INFO"])

    request_started.connect(note)
    try:
        knock(f"/b24/{portal.application.slug}/handler/", b"a=1")
        assert knock("/healthz", method="GET")[0] == "200 OK"
    finally:
        request_started.disconnect(note)
    assert started == ["/healthz"]


def test_an_error_nobody_foresaw_is_500_and_in_the_log(
    portal: Portal, version: RobotVersion, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(call: Any, address: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(intake, "take", break_down)
    path = f"/b24/{portal.application.slug}/handler/"
    assert knock(path, urlencode(form(portal)).encode())[0] == "500 Internal Server Error"
    assert any(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)
