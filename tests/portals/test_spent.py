"""A refresh token is used once, however often its form comes (contract §2, §3); against the sandbox."""

from __future__ import annotations

import datetime as dt
import socket
import threading

import pytest
import requests
from django.core.management import call_command

from portals import install, kept_answer, pending, spent, sweep, verify
from portals.claim import EVENT, UPDATE, Claim, from_event
from portals.client import PortalClient
from portals.clock import db_now
from portals.errors import Passes
from portals.exchange import Refused
from portals.models import Lease, PendingInstallation, Portal, SpentToken
from tests.factories import PortalFactory
from tests.portals.conftest import World
from tests.portals.test_install import frame_form, until

pytestmark = pytest.mark.django_db(transaction=True)


def post(world: World, form: dict[str, str], page: str = "install/") -> requests.Response:
    url = f"{world.address}{page}?DOMAIN=x.com&PROTOCOL=1&LANG=en"
    return requests.post(url, data=form, timeout=60)


def is_well(world: World) -> bool:
    """Nothing was used twice, and the portal's own authorisation works and can be renewed."""
    assert world.sandbox.stats("alfa")["authorisations_killed"] == 0
    portal = Portal.objects.get()
    assert (portal.token_state, portal.trouble) == ("working", "")
    Portal.objects.update(access_expires_at=None)
    return bool(PortalClient(portal).call("profile"))


@pytest.mark.contract("2.6", "3.6")
@pytest.mark.parametrize("page", ["install/", ""])
def test_s2_s3_an_employees_reload_costs_nothing(world, page):
    world.install()
    before = Portal.objects.get()
    form = frame_form(world, user=2)
    for _ in range(3):
        assert post(world, form, page).status_code == 200
    after = Portal.objects.get()
    assert (after.token_user_id, after.application_token) == (1, before.application_token)
    assert is_well(world)


@pytest.mark.contract("2.6")
@pytest.mark.parametrize("page", ["install/", ""])
def test_s2_a_reload_where_no_administrators_token_is_held_costs_nothing(world, page):
    world.install(user=2)
    form = frame_form(world, user=2)
    for _ in range(3):
        assert post(world, form, page).status_code == 200
    assert is_well(world)


@pytest.mark.contract("2.6", "3.3")
def test_s2_s3_an_older_form_that_comes_late_costs_nothing(world):
    world.install()
    first, second = frame_form(world), frame_form(world)
    for form in (first, second, first, second):
        assert post(world, form).status_code == 200
    assert is_well(world)


@pytest.mark.contract("2.6")
def test_s2_a_form_is_recognised_after_the_keys_were_changed(world, settings):
    world.install()
    form = frame_form(world)
    assert post(world, form).status_code == 200
    former = settings.ENCRYPTION_KEYS
    settings.ENCRYPTION_KEYS = ["a-new-passphrase-in-front-0123456789", *former]
    call_command("rotate_encryption_keys")
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
    assert post(world, form).status_code == 200
    assert is_well(world)


@pytest.mark.contract("2.6")
def test_s2_an_employees_form_in_two_tabs_is_exchanged_once(world):
    world.install()
    form = frame_form(world, user=2)
    before = world.sandbox.stats("alfa")["token_exchanges"]
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(post(world, form).status_code)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 4
    PendingInstallation.objects.update(next_try_at=db_now())
    sweep.sweep()
    assert world.sandbox.stats("alfa")["token_exchanges"] == before + 1
    assert is_well(world)


@pytest.mark.contract("2.6")
def test_s2_a_process_that_died_over_the_exchange_has_used_the_token(world):
    world.install()
    form = frame_form(world)
    # What stands in the database when it dies between asking and hearing.
    assert spent.begin(world.application.pk, world.member_id, form["REFRESH_ID"])
    world.sandbox.post("servers/west/faults", kind="down_after", count=1)
    answer = post(world, form)
    assert answer.status_code == 403
    assert "open it again" in answer.text
    world.sandbox.delete("servers/west/faults")
    assert is_well(world)


@pytest.mark.contract("2.6")
@pytest.mark.parametrize("portal", ["never installed", "uninstalled", "lost its token"])
def test_s2_a_process_that_died_over_an_exchange_that_can_lose_nothing_is_followed_by_another(world, portal):
    application = world.application
    if portal != "never installed":
        PortalFactory(
            application=application,
            member_id=world.member_id,
            state="uninstalled" if portal == "uninstalled" else "installed",
            token_state="lost",
        )
    claim = Claim(EVENT, world.member_id, refresh_token="told", brought=spent.token_hash("told").hex())
    assert pending.keep(application, claim, Passes("slow", "", retry_after=0.0))
    assert spent.begin(application.pk, world.member_id, "told")
    PendingInstallation.objects.update(next_try_at=db_now())
    before = len(world.sandbox.server_log())
    world.sandbox.post("servers/west/faults", kind="down_after", count=1)
    sweep.sweep()
    assert len(world.sandbox.server_log()) == before + 1
    assert PendingInstallation.objects.get().state == PendingInstallation.State.WAITING


@pytest.mark.contract("2.6")
def test_s2_what_was_answered_is_asked_again_by_no_other_machine(world, monkeypatch):
    world.install()
    auth = {
        "member_id": world.member_id,
        "refresh_token": frame_form(world)["REFRESH_ID"],
        "application_token": "another",
    }
    claim = from_event({"auth": auth}, UPDATE)
    monkeypatch.setattr(verify, "_is_admin", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        verify.verify(world.application, claim)
    kept_answer.forget(claim.refresh_token)
    Lease.objects.all().delete()
    with pytest.raises(Refused):
        verify.verify(world.application, claim)
    assert is_well(world)


@pytest.mark.contract("2.6")
def test_s2_an_answer_that_was_lost_is_not_asked_for_again(world):
    world.install()
    form = frame_form(world)
    world.sandbox.post("servers/west/faults", kind="down_after", count=1)
    answer = post(world, form)
    assert answer.status_code == 403
    assert "answer was lost" in answer.text
    assert post(world, form).status_code == 403
    assert is_well(world)


@pytest.mark.contract("2.9", "3.17")
def test_s2_s3_a_token_server_that_was_not_reached_used_nothing(world, settings):
    world.install()
    form = frame_form(world)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    there, settings.B24_OAUTH_URLS = settings.B24_OAUTH_URLS, [nobody]
    assert post(world, form).status_code == 200
    assert not SpentToken.objects.filter(token_hash=spent.token_hash(form["REFRESH_ID"])).exists()
    settings.B24_OAUTH_URLS = there
    PendingInstallation.objects.update(next_try_at=db_now())
    sweep.sweep()
    assert not PendingInstallation.objects.exists()
    assert is_well(world)


@pytest.mark.contract("2.6", "3.12")
@pytest.mark.parametrize(("told", "kept"), [("another", 1), ("the-former", 0)])
def test_s2_s3_an_updates_lost_proof_is_asked_for_again_where_it_tells_another_application_token(
    world, told, kept
):
    world.install()
    portal = Portal.objects.get()
    portal.former_application_token = "the-former"
    portal.save()
    event = {
        "event": "ONAPPUPDATE",
        "auth[member_id]": world.member_id,
        "auth[refresh_token]": frame_form(world)["REFRESH_ID"],
        "auth[application_token]": told,
    }
    world.sandbox.post("servers/west/faults", kind="html", count=1)
    requests.post(f"{world.address}events/", data=event, timeout=30)
    assert PendingInstallation.objects.filter(state=PendingInstallation.State.WAITING).count() == kept


@pytest.mark.contract("2.6", "3.12")
def test_s2_s3_an_update_whose_proof_was_lost_is_believed_for_the_application_token_it_carries(
    world, installed
):
    world.install()
    form = frame_form(world)
    event = {
        "event": "ONAPPUPDATE",
        "auth[member_id]": world.member_id,
        "auth[refresh_token]": form["REFRESH_ID"],
        "auth[application_token]": Portal.objects.get().application_token,
    }
    world.sandbox.post("servers/west/faults", kind="down_after", count=1)
    assert requests.post(f"{world.address}events/", data=event, timeout=30).status_code == 200
    assert (Portal.objects.get().installation, len(installed)) == (2, 2)
    assert is_well(world)


@pytest.mark.contract("2.6", "6.5")
def test_s2_s6_what_our_own_renewal_used_is_not_used_by_a_call_that_brings_it(world):
    told = world.install()
    portal = Portal.objects.get()
    used = portal.refresh_token
    Portal.objects.update(access_expires_at=None)
    assert PortalClient(portal).call("profile")
    Portal.objects.update(token_state="unverified")
    auth = {
        "member_id": world.member_id,
        "refresh_token": used,
        "application_token": told["application_token"],
    }
    claim = from_event({"auth": auth}, EVENT)
    assert install.receive(world.application, claim).result == "refused"
    assert world.sandbox.stats("alfa")["authorisations_killed"] == 0


def test_a_form_for_another_portal_with_a_used_token_shows_nothing_of_it(world):
    world.install()
    form = frame_form(world)
    assert post(world, form).status_code == 200
    other = Portal.objects.create(application=world.application, member_id="b" * 32, token_state="working")
    assert post(world, form | {"member_id": "b" * 32}).status_code == 403
    other.delete()
    assert is_well(world)


def test_a_reload_on_a_portal_whose_token_was_lost_says_to_open_it_again(world):
    world.install()
    form = frame_form(world)
    assert post(world, form).status_code == 200
    Portal.objects.update(token_state="lost")
    answer = post(world, form)
    assert answer.status_code == 200
    assert "open it again" in answer.text
    assert Portal.objects.get().token_state == "lost"


def test_used_tokens_are_forgotten_once_they_are_dead_and_refused_ones_are_bounded(world, monkeypatch):
    monkeypatch.setattr(spent, "MOST_REFUSED", 3)
    pk = world.application.pk
    for number in range(6):
        assert spent.begin(pk, world.member_id, f"junk-{number}")
        spent.settle(pk, [spent.token_hash(f"junk-{number}")], proved=False)
    for token in ("old", "young"):
        assert spent.begin(pk, world.member_id, token)
    SpentToken.objects.filter(token_hash=spent.token_hash("old")).update(
        forget_at=db_now() - dt.timedelta(seconds=1)
    )
    assert spent.trim() == 4
    assert spent.trim() == 0, "once an hour"
    kept = [bytes(row) for row in SpentToken.objects.order_by("pk").values_list("token_hash", flat=True)]
    assert kept == [spent.token_hash(name) for name in ("junk-3", "junk-4", "junk-5", "young")]
    Lease.objects.all().delete()
    assert not spent.begin(pk, world.member_id, "young")


@pytest.mark.contract("3.12", "3.14")
def test_s3_an_update_with_an_employees_token_is_looked_into_and_shown_until_an_administrator_comes(
    world, installed
):
    from portals.standing import standing

    world.install(user=2)
    world.open(user=1)
    before = Portal.objects.get()
    assert (before.token_user_id, len(installed)) == (1, 2)
    form = frame_form(world, user=2)
    auth = {
        "member_id": world.member_id,
        "refresh_token": form["REFRESH_ID"],
        "application_token": "updated-token-123456",
    }
    outcome = install.receive(world.application, from_event({"auth": auth}, UPDATE), installed.append)
    assert outcome.result == "installed"
    portal = Portal.objects.get()
    assert portal.application_token == before.application_token
    assert portal.token_user_id == 1
    # Its robots may be gone: it is given them again, by the administrator's token that is held.
    assert portal.installation == before.installation + 1
    assert len(installed) == 3
    assert any("another application token" in remark.words for remark in standing(portal))
    # An administrator opens the application; the portal's own token was the true one after all.
    world.open(user=1)
    assert Portal.objects.get().untaken_token_at is None
    assert is_well(world)
    until(lambda: not pending.waits(world.application.pk, world.member_id, "updated-token-123456"))
