"""Installation by all three ways, trusted only as contract §3 says; against the sandbox."""

from __future__ import annotations

import datetime as dt
import re
import threading

import pytest
import requests

from b24app import figures
from portals import claim, install, oauth, pending, sweep, verify
from portals.client import PortalClient
from portals.clock import db_now
from portals.errors import Passes
from portals.models import PendingInstallation, Portal
from tests.portals.lab import Server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.contract("3.1", "3.2", "3.8")
def test_s3_the_frame_installs_verifies_and_binds(world, installed):
    told = world.install()
    assert told["status"] == 200
    assert "installFinish" in told["body"]
    portal = Portal.objects.get()
    assert (portal.member_id, portal.state, portal.installation) == (world.member_id, "installed", 1)
    assert portal.token_state == "working"
    assert portal.token_is_admin is True
    assert portal.application_token == told["application_token"]
    assert portal.client_endpoint == f"{world.sandbox.base}/p/alfa/rest/"
    assert portal.language == "ru"
    assert portal.date_format == "DMY"
    assert portal.time_zone_source == "server"
    assert portal.events_bound_to == f"{world.address}events/"
    assert [found.pk for found in installed] == [portal.pk]
    assert PortalClient(portal).call("profile")["ADMIN"] is True


@pytest.mark.contract("3.3")
def test_s3_the_event_installs_once_however_often_it_comes(world, installed):
    told = world.install(way="event", repeat=3)
    assert told["status"] == 200
    portal = Portal.objects.get()
    assert portal.installation == 1
    assert portal.token_is_admin is True
    assert len(installed) == 1
    # A second exchange of a spent token would have cost us the portal.
    assert PortalClient(portal).call("profile")


@pytest.mark.contract("3.13")
def test_s3_both_events_are_bound_once(world):
    world.install()
    world.install()
    portal = Portal.objects.get()
    bound = PortalClient(portal).call("event.get")
    assert sorted(row["event"].upper() for row in bound) == ["ONAPPUNINSTALL", "ONAPPUPDATE"]
    assert {row["handler"] for row in bound} == {f"{world.address}events/"}


@pytest.mark.contract("3.13")
def test_s3_an_old_address_is_unbound_and_the_new_one_bound(world):
    world.install()
    portal = Portal.objects.get()
    for event in ("ONAPPUPDATE", "ONAPPUNINSTALL"):
        PortalClient(portal).call("event.unbind", {"event": event, "handler": f"{world.address}events/"})
        PortalClient(portal).call(
            "event.bind", {"event": event, "handler": "http://old.example.com/b24/main/events/"}
        )
    Portal.objects.update(events_bound_to="http://old.example.com/b24/main/events/")
    assert sweep.sweep()["finished"] == 1
    bound = PortalClient(portal).call("event.get")
    assert {row["handler"] for row in bound} == {f"{world.address}events/"}


def test_an_installation_owes_robots_from_its_first_commit(world, installed, monkeypatch):
    monkeypatch.setattr(verify, "_is_admin", lambda *_: 1 / 0)
    world.install()
    assert (Portal.objects.get().robots_owed, installed) == (True, [])


@pytest.mark.contract("3.6")
def test_s3_an_employees_form_changes_neither_token_nor_application_token(world):
    first = world.install()
    before = Portal.objects.get()
    told = world.open(user=2)
    assert told["status"] == 200
    forged = forged_form(world, user=2, application_token="attackers-token-123456")
    assert forged.status_code == 200
    after = Portal.objects.get()
    assert after.application_token == first["application_token"]
    assert after.refresh_token == before.refresh_token
    assert after.token_user_id == before.token_user_id == 1
    assert after.installation == before.installation


@pytest.mark.contract("3.7", "3.8")
def test_s3_an_employee_first_then_an_administrator(world, installed):
    told = world.install(user=2)
    assert "administrator" in told["body"] or "администратор" in told["body"]
    portal = Portal.objects.get()
    assert portal.token_is_admin is False
    assert portal.application_token == told["application_token"]
    world.open(user=1)
    portal.refresh_from_db()
    assert portal.token_is_admin is True
    assert portal.token_user_id == 1


def test_an_employees_token_serves_where_none_works(world):
    first = world.install()
    Portal.objects.update(token_state="lost")
    forged_form(world, user=2, application_token="attackers-token-123456")
    portal = Portal.objects.get()
    assert portal.token_state == "working"
    assert portal.token_is_admin is False
    assert portal.application_token == first["application_token"]
    assert PortalClient(portal).call("profile")["ADMIN"] is False


@pytest.mark.contract("3.10")
def test_s3_an_administrators_new_application_token_leaves_the_former_for_ten_minutes(world):
    first = world.install()
    told = world.install(application_token="new")
    portal = Portal.objects.get()
    assert portal.application_token == told["application_token"] != first["application_token"]
    assert portal.former_application_token == first["application_token"]
    left = portal.former_until - db_now()
    assert dt.timedelta(minutes=9) < left <= dt.timedelta(minutes=10)
    assert portal.installation == 2
    Portal.objects.update(former_until=db_now() - dt.timedelta(seconds=1))
    assert sweep.sweep()["former_tokens"] == 1
    portal.refresh_from_db()
    assert portal.former_application_token == ""


@pytest.mark.contract("3.11", "3.12", "3.14")
def test_s3_update_and_uninstall_and_reinstall(world, installed):
    first = world.install()
    told = world.sandbox.post(
        "portals/alfa/update", client_id=world.application.client_id, version=2, application_token="new"
    )
    assert told["sent"] == 1
    until(lambda: Portal.objects.get().installation == 2)
    portal = Portal.objects.get()
    assert portal.application_token != first["application_token"]
    assert portal.former_application_token == first["application_token"]
    until(lambda: len(installed) == 2)
    until(lambda: Portal.objects.get().events_bound_to)
    world.sandbox.post("portals/alfa/uninstall", client_id=world.application.client_id)
    until(lambda: Portal.objects.get().state == "uninstalled")
    portal = Portal.objects.get()
    assert portal.installation == 3
    assert portal.token_state == "none"
    assert portal.refresh_token == portal.application_token == portal.former_application_token == ""
    world.install()
    portal = Portal.objects.get()
    assert (portal.state, portal.installation, portal.token_state) == ("installed", 4, "working")
    assert len(installed) == 3


@pytest.mark.contract("3.17")
def test_s3_the_token_server_down_keeps_the_form_and_finishes_the_page(world, installed):
    world.sandbox.post("servers/west/faults", kind="down")
    told = world.install()
    assert told["status"] == 200
    assert "installFinish" in told["body"]
    assert not Portal.objects.exists()
    row = PendingInstallation.objects.get()
    assert row.member_id == world.member_id
    assert told["application_token"] not in row.claim_hash.hex()
    world.sandbox.delete("servers/west/faults")
    assert sweep.sweep()["installations"] == 0  # not due yet
    PendingInstallation.objects.update(next_try_at=db_now())
    given = []
    assert sweep.sweep(given.append)["installations"] == 1
    portal = Portal.objects.get()
    assert portal.token_state == "working"
    assert [found.pk for found in given] == [portal.pk]
    assert not PendingInstallation.objects.exists()


@pytest.mark.contract("3.17")
@pytest.mark.parametrize("way", ["frame", "event"])
def test_s3_a_kept_installation_that_is_refused_later_is_told_until_the_portal_installs(world, way):
    """The token server takes the token and its answer is lost: the token is spent, and the person was told that
    there is nothing to do.
    """
    world.sandbox.post("servers/west/faults", kind="down_after", count=1)
    told = world.install(way=way)
    assert told["status"] == 200
    assert pending.waits(world.application.pk, world.member_id, told["application_token"])
    PendingInstallation.objects.update(next_try_at=db_now())
    assert sweep.sweep()["installations"] == 0
    row = PendingInstallation.objects.get()
    assert (row.state, row.claim, row.next_try_at) == ("refused", "", None)
    assert row.error == "The token server does not confirm it (invalid_grant)."
    assert row.ended_at is not None
    assert figures.pending_installations() == 0
    assert figures.ended_installations() == (1, 1)
    # Its calls are refused from now on rather than kept.
    assert not pending.waits(world.application.pk, world.member_id, told["application_token"])
    asked = len(world.sandbox.server_log())
    sweep.sweep()
    assert len(world.sandbox.server_log()) == asked, "it is not tried again"
    world.install()
    assert Portal.objects.get().token_state == "working"
    until(lambda: not PendingInstallation.objects.exists())


@pytest.mark.contract("3.17")
def test_s3_a_kept_installation_is_given_up_after_three_days_and_told_for_a_week(world):
    world.sandbox.post("servers/west/faults", kind="down")
    told = world.install()
    assert told["status"] == 200
    long_ago = db_now() - pending.KEEP - dt.timedelta(minutes=1)
    PendingInstallation.objects.update(next_try_at=db_now(), received_at=long_ago)
    sweep.sweep()
    row = PendingInstallation.objects.get()
    assert (row.state, row.claim) == ("given_up", "")
    assert row.error
    assert not pending.waits(world.application.pk, world.member_id, told["application_token"])
    sweep.sweep()
    assert PendingInstallation.objects.exists()
    PendingInstallation.objects.update(ended_at=db_now() - pending.TOLD_FOR - dt.timedelta(minutes=1))
    sweep.sweep()
    assert not PendingInstallation.objects.exists()


@pytest.mark.contract("3.17")
def test_s3_a_form_that_came_to_nothing_may_come_again(world, installed):
    world.install()
    Portal.objects.all().delete()
    form = frame_form(world)
    world.sandbox.post("servers/west/faults", kind="down")
    url = f"{world.address}install/?DOMAIN=x.com&PROTOCOL=1&LANG=en"
    assert requests.post(url, data=form, timeout=30).status_code == 200
    PendingInstallation.objects.update(
        next_try_at=db_now(), received_at=db_now() - pending.KEEP - dt.timedelta(minutes=1)
    )
    sweep.sweep()
    assert PendingInstallation.objects.get().state == "given_up"
    assert requests.post(url, data=form, timeout=30).status_code == 200
    row = PendingInstallation.objects.get()
    assert (row.state, row.tries, row.ended_at) == ("waiting", 0, None)
    world.sandbox.delete("servers/west/faults")
    PendingInstallation.objects.update(next_try_at=db_now())
    assert sweep.sweep()["installations"] == 1
    assert not PendingInstallation.objects.exists()


def test_s3_a_kept_installation_whose_form_comes_again_and_is_refused_is_told_of(world):
    world.sandbox.post("servers/west/faults", kind="down_after", count=1)
    world.install(way="event")
    row = PendingInstallation.objects.get()
    told = claim.Claim.load(row.claim)
    assert install.receive(world.application, told).result == "refused"
    row.refresh_from_db()
    assert (row.state, row.claim, row.next_try_at) == ("refused", "", None)
    assert figures.ended_installations() == (1, 1), "it had been told that there is nothing to do"


def test_s3_an_installation_that_is_refused_at_once_is_told_of_and_a_flood_is_bounded(world, monkeypatch):
    monkeypatch.setattr(pending, "_minute", (0, 0))
    monkeypatch.setattr(pending, "_REFUSED_A_MINUTE", 5)
    monkeypatch.setattr(pending, "MOST_REFUSED", 3)
    for number in range(8):
        told = claim.Claim(
            way=claim.FRAME,
            member_id="e" * 32,
            refresh_token=f"forged-{number}",
            brought=claim.token_hash(f"forged-{number}").hex(),
        )
        assert install.receive(world.application, told).result == "refused"
    # Two minutes may have been touched, not more.
    assert 5 <= PendingInstallation.objects.count() <= 8
    assert set(PendingInstallation.objects.values_list("state", "claim", "tries")) == {("refused", "", 0)}
    sweep.sweep()
    assert figures.ended_installations() == (3, 0)


@pytest.mark.contract("2.2")
def test_s2_a_refusal_names_the_token_server_that_is_not_known_in_the_persons_language(
    world, settings, caplog
):
    west, ru = world.sandbox.servers
    settings.B24_OAUTH_URLS = [west]
    world.sandbox.post("portals", name="gamma", server="ru", language="ru")
    told = world.sandbox.post("portals/gamma/install", client_id=world.application.client_id, way="frame")
    assert told["status"] == 403
    assert "Сервер авторизации её не подтверждает" in told["body"]
    named, asked = ru.split("//")[1], west.split("//")[1]
    assert f"называет сервер авторизации {named}" in told["body"]
    assert f"спрошен {asked}" in told["body"]
    for english in ("The token server", "not known"):
        assert english not in told["body"]
    assert PendingInstallation.objects.get().error.startswith("The token server does not confirm it (")
    # And so is the log.
    assert f"was refused: {PendingInstallation.objects.get().error}" in caplog.text


@pytest.mark.contract("3.17")
def test_s2_s3_a_slow_token_server_is_asked_once_and_its_answer_taken_when_it_comes(
    world, installed, monkeypatch
):
    monkeypatch.setattr(install, "TOKEN_SERVER_SECONDS", 0.2)
    answer = threading.Event()
    asked = []
    refresh = oauth.refresh

    def slow(*args, **kwargs):
        asked.append(1)
        assert answer.wait(30)
        return refresh(*args, **kwargs)

    monkeypatch.setattr(oauth, "refresh", slow)
    told = world.install()
    assert told["status"] == 200
    assert "installFinish" in told["body"]
    assert not Portal.objects.exists()
    assert PendingInstallation.objects.count() == 1
    answer.set()
    until(lambda: installed)
    assert Portal.objects.get().token_state == "working"
    until(lambda: not PendingInstallation.objects.exists())
    assert asked == [1]


@pytest.mark.contract("3.5")
def test_s3_a_claim_for_another_member_id_is_refused(world):
    sandbox = world.sandbox
    other = sandbox.portal("beta", users=[{"id": 1, "name": "Eve", "admin": True}])
    sandbox.post("portals/beta/install", client_id=world.application.client_id, way="frame")
    world.install()
    victim = Portal.objects.get(member_id=world.member_id)
    form = frame_form(world, portal="beta")
    form["member_id"] = world.member_id
    form["APPLICATION_TOKEN"] = "attackers-token-123456"
    answer = requests.post(
        f"{world.address}install/?DOMAIN=evil.com&PROTOCOL=1&LANG=en", data=form, timeout=30
    )
    assert answer.status_code == 403
    after = Portal.objects.get(pk=victim.pk)
    assert after.application_token == victim.application_token
    assert after.refresh_token == victim.refresh_token
    assert other != world.member_id


@pytest.mark.contract("2.2")
def test_s2_a_form_never_sends_us_to_its_own_token_server(world, server):
    form = {
        "AUTH_ID": "x" * 30,
        "REFRESH_ID": "y" * 30,
        "member_id": "f" * 32,
        "APPLICATION_TOKEN": "z" * 30,
        "SERVER_ENDPOINT": f"{server.base}/rest/",
    }
    domain = server.base.removeprefix("http://")
    answer = requests.post(
        f"{world.address}install/?DOMAIN={domain}&PROTOCOL=0&LANG=en", data=form, timeout=30
    )
    assert answer.status_code == 403
    assert server.asked == []
    assert not Portal.objects.exists()
    # It was asked at an allowed one, with our secret in the body.
    assert world.sandbox.server_log()


def test_the_page_speaks_the_portals_language(world):
    world.install()
    form = frame_form(world)
    for language, word in (("ru", "Приложение установлено"), ("de", "The application is installed")):
        answer = requests.post(
            f"{world.address}?DOMAIN=x.com&PROTOCOL=1&LANG={language}", data=form, timeout=30
        )
        assert word in answer.text


@pytest.mark.contract("8.2")
def test_s8_only_the_portal_may_frame_its_page(world):
    world.install()
    form = frame_form(world)
    answer = requests.post(f"{world.address}?DOMAIN=evil.com&PROTOCOL=1&LANG=en", data=form, timeout=30)
    assert answer.headers["Content-Security-Policy"] == f"frame-ancestors {world.sandbox.base}"
    assert "X-Frame-Options" not in answer.headers
    refused = requests.post(
        f"{world.address}?DOMAIN=evil.com%0aX;*&PROTOCOL=1&LANG=en",
        data={**form, "REFRESH_ID": "q" * 9, "member_id": "e" * 32},
        timeout=30,
    )
    assert refused.status_code == 403
    assert refused.headers["Content-Security-Policy"] == "frame-ancestors 'none'"


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        (b"", {}, 400),
        (b"member_id=x", {}, 400),
        (b"member_id=" + b"a" * 32, {}, 400),
        (b"member_id=<script>&REFRESH_ID=abcdef", {}, 400),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"a=" + b"x" * (2 * 1024 * 1024), {}, 413),
        (b"a=1&" * 20_001, {}, 413),
    ],
)
def test_malformed_forms_are_refused_with_a_sentence(world, data, headers, status):
    told = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    answer = requests.post(f"{world.address}install/", data=data, headers=told, timeout=30)
    assert answer.status_code == status
    assert re.search(r"<p>[^<]+\.</p>", answer.text)
    assert "<script>&" not in answer.text and "&lt;script" not in answer.text


def test_an_unknown_application_is_404(world):
    address = world.address.replace("/main/", "/other/")
    for page in ("", "install/", "events/"):
        assert requests.post(address + page, data={"a": "1"}, timeout=30).status_code == 404


@pytest.mark.contract("3.9", "3.11")
def test_s3_a_forged_uninstall_does_nothing(world):
    world.install()
    for token in ("wrong-token-123456", ""):
        form = {
            "event": "ONAPPUNINSTALL",
            "data[CLEAN]": "1",
            "ts": "1700000000",
            "auth[member_id]": world.member_id,
            "auth[application_token]": token,
        }
        assert requests.post(f"{world.address}events/", data=form, timeout=30).status_code == 403
    assert Portal.objects.get().state == "installed"


@pytest.mark.contract("3.11")
def test_s3_a_former_token_and_a_late_uninstall_do_nothing(world):
    first = world.install()
    second = world.install(application_token="new")
    form = {"event": "ONAPPUNINSTALL", "auth[member_id]": world.member_id}
    for token, ts in (
        (first["application_token"], db_now().timestamp()),
        (second["application_token"], db_now().timestamp() - 3600),
    ):
        form |= {"auth[application_token]": token, "ts": str(int(ts))}
        requests.post(f"{world.address}events/", data=form, timeout=30)
        assert Portal.objects.get().state == "installed"


def test_a_late_installation_does_not_bring_an_uninstalled_portal_back(world):
    catcher = Server()
    catcher.reply = lambda path, params: (200, b"", {})
    try:
        world.sandbox.post("apps", client_id=world.application.client_id, event_url=f"{catcher.base}/x")
        world.install(way="event")
    finally:
        catcher.stop()
    form = catcher.asked[0][1]
    assert requests.post(f"{world.address}install/", data=form, timeout=30).status_code == 200
    assert Portal.objects.get().installation == 1
    world.sandbox.post("portals/alfa/uninstall", client_id=world.application.client_id)
    until(lambda: Portal.objects.get().state == "uninstalled")
    assert requests.post(f"{world.address}install/", data=form, timeout=30).status_code == 403
    portal = Portal.objects.get()
    assert (portal.state, portal.installation, portal.refresh_token) == ("uninstalled", 2, "")


def test_one_form_sent_twice_at_once_is_exchanged_once(world):
    world.install()
    Portal.objects.all().delete()
    form = frame_form(world)
    before = len(world.sandbox.server_log())
    answers = []

    def post():
        url = f"{world.address}install/?DOMAIN=x.com&PROTOCOL=1&LANG=en"
        answers.append(requests.post(url, data=form, timeout=60).status_code)

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 4
    PendingInstallation.objects.update(next_try_at=db_now())
    sweep.sweep()
    assert not PendingInstallation.objects.exists()
    exchanged = [entry for entry in world.sandbox.server_log()[before:] if "token" in entry["path"]]
    assert len(exchanged) == 1
    assert Portal.objects.get().installation == 1


def test_at_most_two_forms_are_verified_at_once(world):
    from portals import install

    assert install._slots.acquire(blocking=False)
    assert install._slots.acquire(blocking=False)
    try:
        told = world.install()
        assert told["status"] == 200
        assert PendingInstallation.objects.get().error.startswith("busy")
        assert world.sandbox.server_log() == []
    finally:
        install._slots.release()
        install._slots.release()


def offered(world, token):
    """What the intake keeps of a handler call that brought tokens."""
    form = frame_form(world)
    told = claim.from_event(
        {
            "auth": {
                "member_id": world.member_id,
                "refresh_token": form["REFRESH_ID"],
                "application_token": token,
            }
        },
        claim.OPEN,
    )
    assert pending.keep(world.application, told, Passes("offered", retry_after=0.0))


@pytest.mark.contract("6.5")
def test_s6_tokens_of_a_call_are_dropped_while_ours_work(world):
    first = world.install()
    before = Portal.objects.get()
    offered(world, first["application_token"])
    asked = len(world.sandbox.server_log())
    sweep.sweep()
    assert not PendingInstallation.objects.exists()
    assert len(world.sandbox.server_log()) == asked
    assert Portal.objects.get().refresh_token == before.refresh_token


@pytest.mark.contract("6.5")
@pytest.mark.parametrize("lost", [{"token_state": "lost"}, {"trouble": "user_dismissed"}])
def test_s6_tokens_of_a_call_serve_where_none_works(world, installed, lost):
    first = world.install()
    Portal.objects.update(**lost)
    offered(world, first["application_token"])
    sweep.sweep()
    portal = Portal.objects.get()
    assert (portal.token_state, portal.trouble) == ("working", "")
    assert portal.application_token == first["application_token"]
    assert portal.installation == 1
    assert len(installed) == 1
    assert not PendingInstallation.objects.exists()
    assert PortalClient(portal).call("profile")


def frame_form(world, portal="alfa", user=1):
    """What the portal's frame would post, with tokens made for it: taken from the sandbox's own call."""
    catcher = Server()
    catcher.reply = lambda path, params: (200, b"<html></html>", {})
    try:
        world.sandbox.post(
            f"portals/{portal}/open",
            client_id=world.application.client_id,
            user=user,
            url=f"{catcher.base}/b24/main/",
        )
        return dict(catcher.asked[0][1])
    finally:
        catcher.stop()


def forged_form(world, user, **changed):
    form = frame_form(world, user=user)
    form |= {name.upper() if name == "application_token" else name: value for name, value in changed.items()}
    return requests.post(f"{world.address}install/?DOMAIN=x.com&PROTOCOL=1&LANG=en", data=form, timeout=30)


def until(question):
    from tests.system.processes import until as wait

    wait(question, "the event's effect", 20)
