"""A token server's answer outlives what happens between it and the commit (contract §2)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.db import OperationalError

from portals import kept_answer, refresh, sweep
from portals.claim import FRAME, Claim
from portals.crypto import keyed_hash, token_hash
from portals.errors import PortalTrouble
from portals.models import Application, Portal
from portals.verify import verify
from tests.factories import ApplicationFactory, PortalFactory
from tests.portals.lab import ok, tokens

pytestmark = pytest.mark.django_db(transaction=True)
MEMBER = "a" * 32


@pytest.fixture
def portal(server, settings):
    settings.B24_OAUTH_URLS = [f"{server.base}/oauth"]
    settings.B24_ALLOW_HTTP = True
    spent = []

    def reply(path, params):
        if "oauth" not in path:
            return ok({"ADMIN": True})
        if params["refresh_token"] in spent:
            return 400, {"error": "invalid_grant"}, {}
        spent.append(params["refresh_token"])
        return 200, tokens(MEMBER, f"{server.base}/rest/"), {}

    server.reply = reply
    return PortalFactory(
        member_id=MEMBER,
        client_endpoint=f"{server.base}/rest/",
        token_server=f"{server.base}/oauth",
        access_token="access-0",
        refresh_token="refresh-0",
    )


def _files(settings) -> list[Path]:
    folder = Path(settings.SPOOL_DIR) / "tokens"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_a_database_that_goes_away_before_the_commit_costs_no_token(server, portal, settings, monkeypatch):
    def away(*_args):
        raise OperationalError("the connection is closed")

    with monkeypatch.context() as patched:
        patched.setattr(refresh, "_commit", away)
        patched.setattr(refresh, "_COMMIT_TRIES", 1)
        with pytest.raises(OperationalError):
            refresh.refresh(portal, refused="access-0")
    assert Portal.objects.get().refresh_token == "refresh-0"

    # Whoever comes next, another process too, takes what was kept: nothing is spent twice.
    refresh.refresh(Portal.objects.get(), refused="access-0")
    found = Portal.objects.get()
    assert (found.access_token, found.refresh_token, found.token_state) == (
        "access-1",
        "refresh-1",
        "working",
    )
    assert server.methods() == ["token"]
    assert _files(settings) == []


def test_an_answer_kept_here_saves_a_portal_that_another_machine_found_lost(
    server, portal, settings, monkeypatch, tmp_path
):
    def dies(*_args):
        raise OperationalError("the connection is closed")

    with monkeypatch.context() as patched:
        patched.setattr(refresh, "commit", dies)
        with pytest.raises(OperationalError):
            refresh.refresh(portal, refused="access-0")
    here = settings.SPOOL_DIR
    settings.SPOOL_DIR = str(tmp_path / "another machine's")
    with pytest.raises(PortalTrouble):
        refresh.refresh(Portal.objects.get(), refused="access-0")
    assert Portal.objects.get().token_state == "lost"
    assert sweep.sweep()["saved_tokens"] == 0

    settings.SPOOL_DIR = here
    assert sweep.sweep()["saved_tokens"] == 1
    found = Portal.objects.get()
    assert (found.access_token, found.refresh_token, found.token_state) == (
        "access-1",
        "refresh-1",
        "working",
    )
    assert _files(settings) == []
    assert sweep.sweep()["saved_tokens"] == 0


def test_an_installation_that_died_after_its_exchange_is_finished_by_the_same_form(server, settings):
    settings.B24_OAUTH_URLS = [f"{server.base}/oauth"]
    settings.B24_ALLOW_HTTP = True
    kept_answer.keep(
        "refresh-of-the-form",
        {
            "access_token": "access-1",
            "refresh_token": "refresh-1",
            "expires_in": 3600,
            "client_endpoint": f"{server.base}/rest/",
            "member_id": MEMBER,
            "user_id": 1,
            "scope": "bizproc",
            "status": "L",
            "server": f"{server.base}/oauth",
        },
    )
    server.reply = lambda path, params: (
        (400, {"error": "invalid_grant"}, {}) if "oauth" in path else ok({"ADMIN": True})
    )
    application: Application = ApplicationFactory()
    claim = Claim(
        way=FRAME,
        member_id=MEMBER,
        refresh_token="refresh-of-the-form",
        server_endpoint="",
        application_token="told",
        brought=token_hash("refresh-of-the-form").hex(),
    )
    assert verify(application, claim).portal.access_token == "access-1"
    assert "token" not in server.methods()
    assert _files(settings) == []


def test_it_is_unreadable_to_others_and_holds_no_token_in_the_clear(portal, settings):
    kept_answer.keep("refresh-0", {"access_token": "secret-1", "refresh_token": "secret-2"})
    (file,) = _files(settings)
    assert b"secret" not in file.read_bytes() and "refresh-0" not in file.name
    assert file.stat().st_mode & 0o077 == 0 and file.parent.stat().st_mode & 0o077 == 0


def test_a_changed_key_finds_it_and_a_lost_key_is_told(portal, settings, caplog):
    kept_answer.keep("refresh-0", {"access_token": "x"})
    settings.ENCRYPTION_KEYS = ["a-new-key-of-the-tests-0123456789abcdef", *settings.ENCRYPTION_KEYS]
    assert kept_answer.find("refresh-0") == {"access_token": "x"}
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
    assert kept_answer.find("refresh-0") is None


def test_a_disk_that_takes_nothing_stops_no_renewal(server, portal, settings, tmp_path):
    (tmp_path / "a-file").write_text("")
    settings.SPOOL_DIR = tmp_path / "a-file"
    refresh.refresh(portal, refused="access-0")
    assert Portal.objects.get().access_token == "access-1"


def test_what_nobody_came_back_for_is_removed_after_a_month(portal, settings):
    kept_answer.keep("young", {"access_token": "x"})
    kept_answer.keep("old", {"access_token": "x"})
    old = Path(settings.SPOOL_DIR) / "tokens" / keyed_hash("old").hex()
    os.utime(old, (1, 1))
    assert kept_answer.remove_old() == 1
    assert kept_answer.find("young") and kept_answer.find("old") is None
