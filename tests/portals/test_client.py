"""The REST client against a server that answers as contract §4 says, or worse."""

from __future__ import annotations

import datetime as dt
import socket
import threading

import pytest
from django.db import connection, transaction

from portals import bucket, operating, refresh, transport
from portals.client import PortalClient
from portals.clock import db_now
from portals.errors import CommandRefused, Passes, PortalTrouble, UnknownAnswer
from portals.models import Bucket, Portal
from tests.factories import PortalFactory
from tests.portals.lab import ok, tokens

pytestmark = pytest.mark.django_db(transaction=True)
MEMBER = "a" * 32


@pytest.fixture
def portal(server, settings):
    settings.B24_OAUTH_URLS = [f"{server.base}/oauth"]
    settings.B24_ALLOW_HTTP = True
    return PortalFactory(
        member_id=MEMBER,
        client_endpoint=f"{server.base}/rest/",
        token_server=f"{server.base}/oauth",
        access_token="access-0",
        refresh_token="refresh-0",
    )


def fails(status, code, text="", **headers):
    return lambda path, params: (status, {"error": code, "error_description": text}, headers)


@pytest.mark.contract("4.1", "2.10")
def test_s2_s4_a_call_carries_its_token_in_the_body_and_returns_the_result(server, portal):
    server.reply = lambda path, params: ok(params["x"])
    assert PortalClient(portal).call("user.current", {"x": ["ы", {"a": 1}]}) == ["ы", {"a": 1}]
    assert server.asked == [("/rest/user.current", {"x": ["ы", {"a": 1}], "auth": "access-0"})]
    portal.refresh_from_db()
    assert portal.answered_at is not None
    assert portal.is_cloud is False


@pytest.mark.contract("2.7")
@pytest.mark.parametrize("code", ["expired_token", "invalid_token"])
@pytest.mark.parametrize("status", [401, 200])
def test_s2_a_refused_token_is_renewed_once_and_the_call_repeated(server, portal, code, status):
    def reply(path, params):
        if path == "/oauth/oauth/token/":
            assert params["client_secret"] == "client-secret"
            assert params["refresh_token"] == "refresh-0"
            return 200, tokens(MEMBER, f"{server.base}/rest/"), {}
        return ok(7) if params["auth"] == "access-1" else (status, {"error": code}, {})

    server.reply = reply
    assert PortalClient(portal).call("user.current") == 7
    assert server.methods() == ["user.current", "token", "user.current"]
    portal.refresh_from_db()
    assert (portal.access_token, portal.refresh_token) == ("access-1", "refresh-1")


def test_a_token_refused_again_after_renewal_is_not_asked_for_ever(server, portal):
    def reply(path, params):
        if "oauth" in path:
            return 200, tokens(MEMBER, f"{server.base}/rest/"), {}
        return 401, {"error": "expired_token"}, {}

    server.reply = reply
    with pytest.raises(Passes) as raised:
        PortalClient(portal).call("user.current")
    assert raised.value.retry_after == 60
    assert server.methods() == ["user.current", "token", "user.current"]


@pytest.mark.contract("2.7")
def test_s2_an_expired_token_is_renewed_before_it_is_used(server, portal):
    Portal.objects.update(access_expires_at=db_now() - dt.timedelta(seconds=1))
    server.reply = lambda path, params: (
        (200, tokens(MEMBER, f"{server.base}/rest/"), {}) if "oauth" in path else ok(params["auth"])
    )
    assert PortalClient(portal).call("user.current") == "access-1"
    assert server.methods() == ["token", "user.current"]


@pytest.mark.contract("2.6")
def test_s2_of_two_raced_renewals_one_asks_the_token_server(server, portal):
    arrived = threading.Event()
    go_on = threading.Event()

    def reply(path, params):
        if "oauth" in path:
            arrived.set()
            assert go_on.wait(20)
            return 200, tokens(MEMBER, f"{server.base}/rest/"), {}
        return ok(1)

    server.reply = reply
    found = []

    def renew():
        try:
            mine = Portal.objects.get()
            refresh.refresh(mine, refused="access-0")
            found.append(mine.access_token)
        finally:
            connection.close()

    threads = [threading.Thread(target=renew) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert arrived.wait(20)
    go_on.set()
    for thread in threads:
        thread.join()
    assert found == ["access-1"] * 4
    assert server.methods() == ["token"]


@pytest.mark.contract("2.6")
@pytest.mark.parametrize("status", [400, 401, 200])
def test_s2_a_spent_token_is_lost_and_not_tried_again(server, portal, status):
    server.reply = fails(status, "invalid_grant")
    Portal.objects.update(access_expires_at=None)
    for _ in range(3):
        with pytest.raises(PortalTrouble) as raised:
            PortalClient(portal).call("user.current")
        assert raised.value.trouble == "token_lost"
    portal.refresh_from_db()
    assert (portal.token_state, portal.trouble) == ("lost", "token_lost")
    assert server.methods() == ["token"]


@pytest.mark.contract("2.9")
@pytest.mark.parametrize(
    "reply",
    [
        lambda path, params: (503, b"<html>down</html>", {}),
        lambda path, params: (200, b"<html>login</html>", {}),
        lambda path, params: (302, b"", {"Location": "http://127.0.0.1:1/"}),
        lambda path, params: (200, {"access_token": "half"}, {}),
        lambda path, params: None,
    ],
)
def test_s2_a_token_server_that_is_down_loses_nothing(server, portal, reply):
    server.reply = reply
    Portal.objects.update(access_expires_at=None)
    with pytest.raises(Passes):
        PortalClient(portal).call("user.current")
    portal.refresh_from_db()
    assert (portal.token_state, portal.refresh_token) == ("working", "refresh-0")


@pytest.mark.contract("2.4")
def test_s2_an_answer_for_another_portal_is_not_stored(server, portal):
    Portal.objects.update(access_expires_at=None)
    server.reply = lambda path, params: (200, tokens("b" * 32, f"{server.base}/rest/"), {})
    with pytest.raises(Passes):
        PortalClient(portal).call("user.current")
    portal.refresh_from_db()
    assert portal.access_token == "access-0"


def test_a_newer_token_is_not_overwritten_by_a_late_answer(server, portal):
    def reply(path, params):
        # Meanwhile an administrator's form brought another one.
        Portal.objects.update(refresh_token="from-a-form", access_token="newer")
        connection.close()
        return 200, tokens(MEMBER, f"{server.base}/rest/"), {}

    server.reply = reply
    refresh.refresh(portal, refused="access-0")
    assert portal.access_token == "newer"
    assert Portal.objects.get().refresh_token == "from-a-form"


@pytest.mark.contract("2.13")
def test_s2_a_restored_token_is_not_spent(server, portal):
    Portal.objects.update(token_state="unverified")
    server.reply = fails(401, "expired_token")
    with pytest.raises(PortalTrouble) as raised:
        PortalClient(portal).call("user.current")
    assert raised.value.code == "token_unverified"
    assert "token" not in server.methods()


@pytest.mark.contract("2.13")
def test_s2_a_restored_access_token_serves_while_it_lives_and_proves_nothing(server, portal):
    Portal.objects.update(token_state="unverified")
    server.reply = lambda path, params: ok(True)
    assert PortalClient(portal).call("user.current") is True
    assert Portal.objects.get().token_state == "unverified"
    Portal.objects.update(access_expires_at=None)
    with pytest.raises(PortalTrouble) as raised:
        PortalClient(portal).call("user.current")
    assert raised.value.code == "token_unverified"
    assert server.methods() == ["user.current"]
    assert Portal.objects.get().trouble == "token_lost"


@pytest.mark.contract("1.1")
def test_s1_a_redirect_is_not_followed_and_the_token_server_says_where_it_is(server, portal):
    stranger = socket.create_server(("127.0.0.1", 0))
    stranger.settimeout(0.2)

    def reply(path, params):
        if "oauth" in path:
            return 200, tokens(MEMBER, f"{server.base}/moved/rest/"), {}
        if path.startswith("/moved/"):
            return ok("here")
        return 302, b"", {"Location": f"http://127.0.0.1:{stranger.getsockname()[1]}/rest/user.current"}

    server.reply = reply
    assert PortalClient(portal).call("user.current") == "here"
    with pytest.raises(TimeoutError):
        stranger.accept()
    stranger.close()
    portal.refresh_from_db()
    assert portal.client_endpoint == f"{server.base}/moved/rest/"
    assert portal.trouble == ""


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_without_a_new_address_is_trouble(server, portal, status):
    server.reply = lambda path, params: (
        (200, tokens(MEMBER, f"{server.base}/rest/"), {})
        if "oauth" in path
        else (status, b"", {"Location": "https://elsewhere.example.com/"})
    )
    with pytest.raises(PortalTrouble) as raised:
        PortalClient(portal).call("user.current")
    assert raised.value.trouble == "moved"
    assert Portal.objects.get().trouble == "moved"


def test_a_portal_in_trouble_is_left_alone_but_for_one_probe_a_minute(server, portal):
    server.reply = fails(403, "ACCESS_DENIED", "x: REST API is available only on commercial plans")
    client = PortalClient(portal)
    for _ in range(3):
        with pytest.raises(PortalTrouble) as raised:
            client.call("user.current")
        assert raised.value.trouble == "plan_lapsed"
    assert server.methods() == ["user.current"]
    portal.refresh_from_db()
    assert dt.timedelta(seconds=50) < portal.ask_again_at - db_now() <= dt.timedelta(seconds=60)
    # A person asks at once.
    with pytest.raises(PortalTrouble):
        PortalClient(portal, person=True).call("user.current")
    assert len(server.asked) == 2
    Portal.objects.update(ask_again_at=db_now() - dt.timedelta(seconds=1))
    server.reply = lambda path, params: ok(1)
    assert client.call("user.current") == 1
    portal.refresh_from_db()
    assert (portal.trouble, portal.trouble_text, portal.ask_again_at) == ("", "", None)


def test_a_portal_that_is_not_there_is_trouble_and_asked_again_soon(portal):
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    Portal.objects.update(client_endpoint=f"http://127.0.0.1:{port}/rest/")
    with pytest.raises(PortalTrouble) as raised:
        PortalClient(portal).call("user.current")
    assert raised.value.trouble == "unreachable"
    portal.refresh_from_db()
    assert portal.ask_again_at - db_now() <= dt.timedelta(seconds=5)


@pytest.mark.contract("4.17")
def test_s4_a_dropped_answer_may_have_taken_effect(server, portal):
    server.reply = lambda path, params: None
    with pytest.raises(UnknownAnswer):
        PortalClient(portal).call("bizproc.event.send")


@pytest.mark.contract("4.7")
def test_s4_the_bucket_of_the_account_is_asked_before_each_request(server, portal):
    server.reply = lambda path, params: ok(1)
    while bucket.take(MEMBER) == 0.0:
        pass
    with pytest.raises(Passes) as raised:
        PortalClient(portal).call("user.current")
    assert raised.value.code == "bucket"
    assert raised.value.retry_after > 0
    assert server.asked == []
    assert PortalClient(portal, person=True).call("user.current") == 1


@pytest.mark.contract("4.7")
def test_s4_a_503_empties_the_bucket_for_everybody(server, portal):
    server.reply = fails(503, "QUERY_LIMIT_EXCEEDED")
    with pytest.raises(Passes):
        PortalClient(portal).call("user.current")
    assert bucket.take(MEMBER, person=True) > 0
    assert Bucket.objects.get().limited == 1


@pytest.mark.contract("4.14")
def test_s4_a_429_holds_that_method_alone(server, portal):
    server.reply = fails(429, "OPERATION_TIME_LIMIT")
    with pytest.raises(Passes) as raised:
        PortalClient(portal).call("user.current")
    assert raised.value.retry_after == pytest.approx(60, abs=1)
    server.reply = lambda path, params: ok(1)
    with pytest.raises(Passes):
        PortalClient(portal).call("user.current")
    assert PortalClient(portal).call("profile") == 1
    assert server.methods() == ["user.current", "profile"]
    assert ["1", "user.current"][1] in str(bucket.snapshot(MEMBER).methods)


@pytest.mark.contract("4.14")
def test_s4_a_429_is_obeyed_until_the_told_reset(server, portal):
    bucket.take(MEMBER)
    operating.note(
        MEMBER, portal.application_id, "x", {"operating": 470, "operating_reset_at": 500.0, "start": 200.0}
    )
    assert operating.block(MEMBER, portal.application_id, "x") == pytest.approx(300, abs=2)
    assert operating.blocked(MEMBER, portal.application_id)["x"] == pytest.approx(300, abs=2)


@pytest.mark.contract("4.9", "4.10")
def test_s4_a_batch_answers_each_command(server, portal):
    def reply(path, params):
        assert path == "/rest/batch"
        assert params["cmd"]["b"] == "bizproc.event.send?EVENT_TOKEN=t%7C1&RETURN_VALUES%5Bx%5D%5B0%5D=1"
        status, body, headers = ok(
            {
                "result": {"a": True},
                "result_error": {
                    "b": {"error": 404, "error_description": "gone"},
                    "c": {"error": "ERROR_METHOD_NOT_FOUND"},
                    "e": {"error": "423"},
                },
                "result_total": [],
                "result_next": [],
                "result_time": {"a": {"operating": 1.5, "start": 1.0}},
            }
        )
        body["time"] = {"start": 1_700_000_000.5, "duration": 0.25}
        return status, body, headers

    server.reply = reply
    send = "bizproc.event.send"
    answer = PortalClient(portal).batch(
        {
            "a": (send, {"EVENT_TOKEN": "1"}),
            "b": (send, {"EVENT_TOKEN": "t|1", "RETURN_VALUES": {"x": ["1"]}}),
            "c": ("bizproc.workflow.instances", {}),
            "d": (send, {"EVENT_TOKEN": "4"}),
            "e": (send, {"EVENT_TOKEN": "5"}),
        }
    )
    assert answer.results == {"a": True}
    assert isinstance(answer.errors["b"], CommandRefused)
    assert answer.errors["b"].code == "404"
    assert answer.errors["c"].meaning == "not_in_plan"
    assert isinstance(answer.errors["d"], UnknownAnswer)
    assert isinstance(answer.errors["e"], Passes)
    assert answer.operating == {"a": 1.5}
    assert answer.portal_time == dt.datetime.fromtimestamp(1_700_000_000.5, dt.UTC)
    assert answer.seconds == 0.25
    portal.refresh_from_db()
    assert (portal.has_robots, portal.has_workflows) == (True, False)


@pytest.mark.contract("4.9")
def test_s4_an_empty_map_of_a_batch_arrives_as_a_list(server, portal):
    server.reply = lambda path, params: ok({"result": [], "result_error": {"a": {"error": "ACCESS_DENIED"}}})
    answer = PortalClient(portal).batch({"a": ("bizproc.event.send", {})})
    assert answer.results == {}
    assert isinstance(answer.errors["a"], CommandRefused)


@pytest.mark.contract("4.14")
def test_s4_a_batch_leaves_out_methods_over_their_time(server, portal):
    bucket.take(MEMBER)
    operating.block(MEMBER, portal.application_id, "x.y")
    server.reply = lambda path, params: ok({"result": dict.fromkeys(params["cmd"], 1)})
    answer = PortalClient(portal).batch({"a": ("x.y", {}), "b": ("z", {})})
    assert answer.results == {"b": 1}
    assert answer.errors["a"].code == "OPERATION_TIME_LIMIT"
    with pytest.raises(Passes):
        PortalClient(portal).batch({"a": ("x.y", {})})


@pytest.mark.contract("4.11")
def test_s4_more_than_fifty_commands_are_our_own_mistake(portal):
    with pytest.raises(ValueError, match="50"):
        PortalClient(portal).batch({str(n): ("profile", {}) for n in range(51)})


def test_no_request_leaves_while_a_transaction_is_open(server, portal):
    with pytest.raises(RuntimeError), transaction.atomic():
        transport.post(f"{server.base}/x", data={})
    assert server.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/rest/",
        "ftp://127.0.0.1/",
        "https://user:pass@127.0.0.1/",
        "http://127.0.0.1.example.com/",
        "https:///rest/",
        "",
    ],
)
def test_only_https_is_spoken_outside_loopback(settings, url):
    settings.B24_ALLOW_HTTP = True
    with pytest.raises(PortalTrouble):
        transport.check_url(url)


def test_loopback_needs_the_setting(settings):
    settings.B24_ALLOW_HTTP = False
    with pytest.raises(PortalTrouble):
        transport.check_url("http://127.0.0.1:8025/rest/")
    settings.B24_ALLOW_HTTP = True
    transport.check_url("http://127.0.0.1:8025/rest/")
    transport.check_url("http://alfa.localhost:8025/rest/")


@pytest.mark.contract("4.2")
def test_s4_a_huge_answer_is_not_read_to_its_end(server, portal, monkeypatch):
    monkeypatch.setattr(transport, "MAX_BYTES", 1000)
    server.reply = lambda path, params: ok("x" * 5000)
    with pytest.raises(UnknownAnswer) as raised:
        PortalClient(portal).call("user.current")
    assert raised.value.code == "too_big"


@pytest.mark.contract("2.10")
def test_s2_no_secret_is_in_an_error(server, portal):
    server.reply = fails(400, "ERROR_CORE", "bad access_token=abcdefabcdef and auth: zzzzzzzzzz")
    with pytest.raises(CommandRefused) as raised:
        PortalClient(portal).call("user.current")
    assert "abcdefabcdef" not in str(raised.value)
    assert "zzzzzzzzzz" not in repr(raised.value)


def test_an_uninstalled_portal_is_sent_nothing(server, portal):
    Portal.objects.update(state="uninstalled")
    with pytest.raises(PortalTrouble) as raised:
        PortalClient(portal).call("user.current")
    assert raised.value.trouble == "application_gone"
    assert server.asked == []


@pytest.mark.contract("2.8")
def test_s2_a_quiet_portal_is_renewed_before_day_180(server, portal):
    server.reply = lambda path, params: (200, tokens(MEMBER, f"{server.base}/rest/"), {})
    Portal.objects.update(refreshed_at=db_now() - dt.timedelta(days=149))
    assert refresh.keep_alive() == 0
    Portal.objects.update(refreshed_at=db_now() - dt.timedelta(days=151))
    assert refresh.keep_alive() == 1
    assert refresh.keep_alive() == 0
    assert server.methods() == ["token"]
