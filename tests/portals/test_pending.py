"""One kept installation that can't be finished stops no other."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import translation
from django.utils.translation import gettext_lazy

from portals import errors, pending, sweep
from portals.claim import EVENT, Claim
from portals.crypto import SecretUnreadable, token_hash
from portals.errors import Passes
from portals.exchange import Refused
from portals.models import Application, PendingInstallation, Portal
from portals.pending_words import error_of, way_of
from tests.factories import ApplicationFactory
from tests.portals.lab import ok, tokens

pytestmark = pytest.mark.django_db(transaction=True)
BAD, GOOD = "a" * 32, "b" * 32


@pytest.fixture
def profile(server, settings) -> dict[str, Any]:
    """What each portal says of the token, by member_id."""
    settings.B24_ALLOW_HTTP = True
    settings.B24_OAUTH_URLS = [server.base]
    told: dict[str, Any] = {GOOD: {"result": {"ADMIN": True}}}

    def reply(path: str, params: dict[str, Any]) -> Any:
        if "oauth" in path:
            member = params["refresh_token"]
            return (
                200,
                {**tokens(member, f"{server.base}/{member}/rest/"), "refresh_token": "new" + member},
                {},
            )
        if path.endswith("profile"):
            return 200, told[path.split("/")[1]], {}
        return ok([])

    server.reply = reply
    return told


def keep() -> Application:
    application: Application = ApplicationFactory()
    for member in (BAD, GOOD):
        claim = Claim(
            way=EVENT,
            member_id=member,
            refresh_token=member,
            application_token="t" * 32,
            brought=token_hash(member).hex(),
        )
        assert pending.keep(application, claim, Passes("busy", "The token server is busy.", retry_after=0.0))
    return application


@pytest.mark.parametrize("answer", [None, [], 5, "text", {"result": None}])
def test_s3_a_portal_that_answers_oddly_is_installed_like_the_others(profile, answer):
    profile[BAD] = answer
    keep()
    sweep.sweep()
    assert not PendingInstallation.objects.exists()
    found = Portal.objects.filter(state="installed").values_list("member_id", "token_is_admin")
    assert dict(found) == {BAD: None, GOOD: True}


def test_s3_a_claim_that_fails_is_put_off_and_the_others_go_on(profile, monkeypatch):
    verify = pending.verify.verify

    def fail(application: Application, claim: Claim) -> Any:
        if claim.member_id == BAD:
            raise KeyError("secret")
        return verify(application, claim)

    monkeypatch.setattr(pending.verify, "verify", fail)
    keep()
    sweep.sweep()
    row = PendingInstallation.objects.get()
    assert (row.member_id, row.state, row.tries, row.error) == (BAD, "waiting", 1, "KeyError")
    assert Portal.objects.get().member_id == GOOD


def test_s3_a_claim_that_no_key_opens_is_put_off_and_the_others_go_on(profile, admin_client):
    """It may be opened again: a key that was taken away is put back."""
    keep()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE portals_pendinginstallation SET claim = %s WHERE member_id = %s",
            [b"gAAAAAgarbage", BAD],
        )
    sweep.sweep()
    row = PendingInstallation.objects.defer("claim").get()
    assert (row.member_id, row.state, row.tries) == (BAD, "waiting", 1)
    assert "ENCRYPTION_KEYS" in row.error
    assert Portal.objects.get().member_id == GOOD
    for page in ("", f"{row.pk}/change/"):
        assert admin_client.get(f"/admin/portals/pendinginstallation/{page}").status_code == 200


def sentences(*raised: str) -> list[str]:
    """Our own English words, whole or up to their first value, of what this room raises by these names."""
    found = set()
    for path in (django_settings.BASE_DIR / "portals").glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in raised:
                words = [part.value for part in ast.walk(call) if isinstance(part, ast.Constant)]
                found |= {word for word in words if isinstance(word, str) and re.match(r"[A-Z].* ", word)}
    return sorted(found)


@pytest.mark.parametrize("text", sentences("Refused"))
def test_every_refusal_is_shown_in_the_readers_language(text):
    values = {"code": "invalid_grant", "named": "oauth.example", "asked": "oauth.bitrix24.tech/rest"}
    refusal = Refused(gettext_lazy(text), **values)
    stored = pending.in_english(refusal)
    assert error_of(stored) == stored
    with translation.override("ru"):
        assert error_of(stored) == str(refusal) != stored


@pytest.mark.parametrize("text", sentences("Passes", "UnknownAnswer", "Later"))
def test_every_sentence_of_what_passes_is_shown_in_the_readers_language(text):
    if not text.endswith("."):
        text += {"(": "OSError)."}.get(text[-1], "5 bytes.")
    for code in ("some_word", ""):
        stored = str(Passes(code, text, 502))
        assert error_of(stored) == f"{text} (HTTP 502)"
        with translation.override("ru"):
            assert error_of(stored) not in (stored, f"{text} (HTTP 502)")


def test_what_others_said_and_what_broke_are_shown_as_they_are_stored():
    for stored in ("invalid_request Bad thing. (HTTP 400)", "temporarily_unavailable", "KeyError", ""):
        with translation.override("ru"):
            assert error_of(stored) == stored
    with translation.override("ru"):
        assert "ENCRYPTION_KEYS" in error_of(str(SecretUnreadable())) != str(SecretUnreadable())
        assert (
            error_of(str(errors.classify("", "The answer broke off (x).", 502)))
            == "Ответ оборвался (x). (HTTP 502)"
        )


def test_the_page_of_pending_installations_is_in_the_readers_language(admin_client):
    application = keep()
    told = Claim(way=EVENT, member_id=BAD, refresh_token=BAD, brought=token_hash(BAD).hex())
    with translation.override("ru"):
        pending.refused(
            application,
            told,
            pending.in_english(Refused(gettext_lazy("The token server told no usable REST address."))),
        )
    PendingInstallation.objects.filter(member_id=GOOD).update(
        error="slow The token server has not answered yet."
    )
    for row in PendingInstallation.objects.defer("claim"):
        # A page of the test client leaves its language behind.
        with translation.override(None):
            pages = [
                admin_client.get(
                    f"/admin/portals/pendinginstallation/{page}", HTTP_ACCEPT_LANGUAGE="ru"
                ).content.decode()
                for page in ("", f"{row.pk}/change/")
            ]
        why = {BAD: "не назвал пригодного адреса REST", GOOD: "пока не ответил"}[row.member_id]
        for page in pages:
            assert why in page and "событие установки" in page and "дентификатор портала (member_id)" in page
            for english in ("The token server", ">event<", "Member id"):
                assert english not in page
    assert way_of("unheard_of") == "unheard_of"
