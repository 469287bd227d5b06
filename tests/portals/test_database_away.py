"""A page of the frame that is opened while the database is away: a sentence and 503, never a bare 500."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client

from portals import pages
from portals.models import Application


def gone(*_args: Any, **_more: Any) -> Any:
    raise OperationalError("the database is away")


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(
    ("language", "sentence"), [("de", "Open it again in a few minutes"), ("ru", "Откройте его снова")]
)
@pytest.mark.parametrize("page", ["", "install/"])
def test_who_opens_the_frame_is_told_to_open_it_again(client, monkeypatch, page, language, sentence):
    monkeypatch.setattr(pages, "application_of", gone)
    told = client.post(
        f"/b24/main/{page}?DOMAIN=client.bitrix24.com&PROTOCOL=1&LANG={language}", {"member_id": "x"}
    )
    assert told.status_code == 503
    assert sentence in told.content.decode()
    assert "installFinish" not in told.content.decode()
    # The portal shows the page in its frame.
    assert told["Content-Security-Policy"] == "frame-ancestors https://client.bitrix24.com"
    assert told["Retry-After"]


def test_a_database_that_goes_away_midway_is_told_likewise(client, monkeypatch):
    def midway(*_args: Any, **_more: Any) -> Any:
        raise InterfaceError("the connection is closed")

    monkeypatch.setattr(pages, "application_of", lambda slug: Application(slug=slug))
    monkeypatch.setattr(pages.install, "receive", midway)
    monkeypatch.setattr(pages.claim, "from_frame", lambda *_args: None)
    assert client.post("/b24/main/install/", {"AUTH_ID": "x"}).status_code == 503


def test_an_event_meets_503_too(client, monkeypatch):
    monkeypatch.setattr(pages, "application_of", gone)
    assert client.post("/b24/main/events/", {"event": "ONAPPINSTALL"}).status_code == 503
