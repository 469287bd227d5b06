"""One kept installation that can't be finished stops no other."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from portals import pending, sweep
from portals.claim import EVENT, Claim
from portals.crypto import token_hash
from portals.errors import Passes
from portals.models import Application, PendingInstallation, Portal
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
