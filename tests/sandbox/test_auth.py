"""§2 and §4: tokens, token servers and their errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.sandbox.lab import Answer, Lab, Process, body_json, raw_http


def exchange(lab: Lab, server: str = "west", **changes: Any) -> Answer:
    url = lab.sandbox.get("info")["servers"][server]["token_url"]
    data = {
        "grant_type": "refresh_token",
        "client_id": lab.client_id,
        "client_secret": lab.secret,
        "refresh_token": lab.refresh,
        **changes,
    }
    return lab.raw("POST", url, data={key: value for key, value in data.items() if value is not None})


@pytest.mark.contract("2.4")
def test_s2_refresh_answers_all_fields_and_a_new_pair(lab: Lab) -> None:
    answer = exchange(lab)
    assert answer.status == 200
    assert answer.json["member_id"] == lab.portal["member_id"]
    assert answer.json["client_endpoint"] == lab.endpoint
    assert answer.json["expires_in"] == 3600
    assert answer.json["user_id"] == 1
    assert answer.json["status"] == "L"
    assert answer.json["scope"] == "bizproc,crm,user"
    assert answer.json["domain"] not in (lab.portal["domain"], "")
    assert answer.json["refresh_token"] != lab.refresh
    assert lab.rest("profile", token=answer.json["access_token"]).result["ID"] == "1"


@pytest.mark.contract("2.5")
def test_s2_scope_may_be_separated_by_spaces(lab: Lab) -> None:
    lab.sandbox.post("servers/west", {"scope_separator": " "})
    assert exchange(lab).json["scope"] == "bizproc crm user"


@pytest.mark.contract("2.6")
def test_s2_a_spent_refresh_token_used_again_kills_the_authorisation(lab: Lab) -> None:
    fresh = exchange(lab).json
    assert exchange(lab).json["error"] == "invalid_grant"
    assert exchange(lab, refresh_token=fresh["refresh_token"]).json["error"] == "invalid_grant"
    assert lab.rest("profile", token=fresh["access_token"]).error[:2] == (401, "invalid_token")
    assert lab.stats()["authorisations_killed"] == 1
    assert lab.rest("profile", token=lab.token_of(1)).result["ID"] == "1", "opened again, it has tokens again"


@pytest.mark.contract("2.9")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "password"}, (400, "invalid_request")),
        ({"client_id": "nobody"}, (401, "invalid_client")),
        ({"client_secret": "wrong"}, (401, "wrong_client")),
        ({"refresh_token": None}, (400, "invalid_request")),
        ({"refresh_token": "feed"}, (400, "invalid_grant")),
    ],
)
def test_s2_token_errors(lab: Lab, changes: dict[str, Any], error: tuple[int, str]) -> None:
    answer = exchange(lab, **changes)
    assert (answer.status, answer.json["error"]) == error
    assert exchange(lab).status == 200, "a refused request spends nothing"


@pytest.mark.contract("2.9")
def test_s2_errors_may_come_with_status_200(lab: Lab) -> None:
    lab.sandbox.post("servers/west", {"errors_as_200": True})
    answer = exchange(lab, client_secret="wrong")
    assert (answer.status, answer.json["error"]) == (200, "wrong_client")


@pytest.mark.contract("2.1")
def test_s2_a_token_belongs_to_its_region(make_lab: Callable[..., Lab]) -> None:
    russian = make_lab(server="ru")
    assert exchange(russian, "west").json["error"] == "invalid_grant"
    assert exchange(russian, "ru").status == 200


def test_s2_uninstalled_and_unpaid(lab: Lab) -> None:
    lab.control("app", client_id=lab.client_id, paid=False)
    assert exchange(lab).json["error"] == "PAYMENT_REQUIRED"
    assert lab.rest("profile").error[1] == "PAYMENT_REQUIRED"
    lab.control("uninstall", client_id=lab.client_id)
    assert exchange(lab).json["error"] == "NOT_INSTALLED"


@pytest.mark.contract("2.7")
def test_s2_tokens_expire_by_the_sandbox_clock(lab: Lab) -> None:
    lab.sandbox.post("clock", {"advance": 3599})
    assert lab.rest("profile").status == 200
    lab.sandbox.post("clock", {"advance": 2})
    assert lab.rest("profile").error[:2] == (401, "expired_token")
    lab.sandbox.post("clock", {"advance": 179 * 86400})
    fresh = exchange(lab).json
    lab.sandbox.post("clock", {"advance": 181 * 86400})
    assert exchange(lab, refresh_token=fresh["refresh_token"]).json["error"] == "invalid_grant"


def test_s2_access_life_and_all_expired_on_order(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(access_seconds=20, access_seconds_told=3600)
    assert exchange(lab).json["expires_in"] == 3600
    lab.sandbox.post("clock", {"advance": 21})
    assert lab.rest("profile").error[1] == "expired_token"
    token = lab.token_of(1)
    lab.control("expire")
    assert lab.rest("profile", token=token).error[1] == "expired_token"
    assert lab.rest("profile", token=lab.token_of(1)).status == 200


@pytest.mark.contract("2.3", "3.4")
def test_s2_s3_code_works_once_and_for_30_seconds(lab: Lab) -> None:
    def code() -> str:
        answer = lab.raw(
            "GET", f"{lab.sandbox.base}/p/{lab.name}/oauth/authorize/?client_id={lab.client_id}&state=s%201"
        )
        assert answer.status == 302
        query = dict(part.split("=") for part in answer.headers["Location"].partition("?")[2].split("&"))
        assert query["state"] == "s+1"
        assert query["member_id"] == lab.portal["member_id"]
        assert {"domain", "scope", "server_domain"} <= set(query)
        return query["code"]

    def swap(value: str) -> Answer:
        return exchange(lab, grant_type="authorization_code", code=value, refresh_token=None)

    first = code()
    assert swap(first).json["member_id"] == lab.portal["member_id"]
    assert swap(first).json["error"] == "invalid_grant"
    late = code()
    lab.sandbox.post("clock", {"advance": 31})
    assert swap(late).json["error"] == "invalid_grant"


@pytest.mark.contract("2.12")
def test_s2_oauth_asked_and_refused_redirects_nowhere(lab: Lab) -> None:
    url = f"{lab.sandbox.base}/p/{lab.name}/oauth/authorize/?client_id={lab.client_id}&state=x"
    lab.set(oauth="refuse")
    refused = lab.raw("GET", url + "&agree=1")
    assert refused.status == 403
    assert "Location" not in refused.headers
    lab.set(oauth="ask")
    asked = lab.raw("GET", url)
    assert asked.status == 200
    assert lab.raw("GET", url + "&agree=1").status == 302


@pytest.mark.contract("3.8")
def test_s3_app_info_of_the_token_server_spends_nothing(lab: Lab) -> None:
    url = lab.sandbox.get("info")["servers"]["west"]["url"] + "/rest/app.info"
    found = lab.raw("POST", url, data={"auth": lab.token}).json["result"]
    assert found["client_id"] == lab.client_id
    assert found["install"]["member_id"] == lab.portal["member_id"]
    assert found["install"]["client_endpoint"] == lab.endpoint
    assert lab.raw("POST", url, data={"auth": "nonsense"}).error[:2] == (401, "invalid_token")
    assert exchange(lab).status == 200


@pytest.mark.contract("2.9")
def test_s2_token_server_down_html_silent(lab: Lab) -> None:
    def order(**fault: Any) -> None:
        lab.sandbox.post("servers/west/faults", {"count": 1, **fault})

    order(kind="down")
    with pytest.raises(requests.ConnectionError):
        exchange(lab)
    order(kind="html")
    page = exchange(lab)
    assert page.status == 502
    assert page.json is None
    order(kind="silence", seconds=0.2)
    with pytest.raises(requests.ConnectionError):
        exchange(lab)
    order(kind="error", error="invalid_request", status=200)
    assert exchange(lab).json["error"] == "invalid_request"
    order(kind="down_after")
    with pytest.raises(requests.ConnectionError):
        exchange(lab)
    assert exchange(lab).json["error"] == "invalid_grant", (
        "the answer was lost, the token is spent all the same"
    )
    log = lab.sandbox.get("servers/west/log?limit=5000")["items"]
    mine = [entry for entry in log if entry.get("client_id") == lab.client_id]
    assert mine[-1]["killed"] is True
    assert lab.refresh not in json.dumps(log)


@pytest.mark.contract("2.11", "4.1")
def test_s2_s4_the_four_places_of_a_token(lab: Lab) -> None:
    url = lab.endpoint + "profile"
    assert lab.raw("GET", url, params={"auth": lab.token}).result["ID"] == "1"
    assert lab.raw("POST", url + ".json", data={"auth": lab.token}).result["ID"] == "1"
    assert lab.raw("POST", url, json={"access_token": lab.token}).result["ID"] == "1"
    assert lab.raw("POST", url, headers={"Authorization": f"Bearer {lab.token}"}).result["ID"] == "1"


def test_s4_no_token_a_wrong_one_another_portals(make_lab: Callable[..., Lab]) -> None:
    lab, other = make_lab(), make_lab()
    assert lab.rest("profile", token=None).error[:2] == (401, "NO_AUTH_FOUND")
    assert lab.rest("profile", token="nonsense").error[:2] == (401, "invalid_token")
    assert lab.rest("profile", token=other.token).error[:2] == (401, "invalid_token")
    assert lab.rest("profile", token=lab.refresh).error[:2] == (401, "invalid_token")


@pytest.mark.contract("4.6")
def test_s4_malformed_json_is_an_empty_request(lab: Lab) -> None:
    answer = lab.raw(
        "POST",
        lab.endpoint + "profile",
        data='{"auth": "' + lab.token + '",',
        headers={"Content-Type": "application/json"},
    )
    assert answer.error[:2] == (401, "NO_AUTH_FOUND")


@pytest.mark.contract("4.3", "4.4", "4.16")
def test_s4_dismissed_user_deleted_portal_lapsed_plan_unknown_application(lab: Lab) -> None:
    token = lab.token_of(2)
    lab.control("user", id=2, active=False)
    assert lab.rest("profile", token=token).error[:2] == (401, "authorization_error")
    lab.set(commercial=False)
    status, code, text = lab.rest("profile").error
    assert (status, code) == (403, "ACCESS_DENIED")
    assert "REST API is available only on commercial plans" in text
    lab.set(commercial=True, licence_lapsed=True)
    assert lab.rest("profile").error[1] == "PAYMENT_REQUIRED"
    lab.set(licence_lapsed=False, deleted=410)
    assert lab.rest("profile").error[:2] == (410, "PORTAL_DELETED")
    lab.set(deleted=0)
    lab.sandbox.delete(f"apps/{lab.client_id}")
    assert lab.rest("profile").error[1] == "APPLICATION_NOT_FOUND"


@pytest.mark.contract("4.5", "5.2")
def test_s5_s4_scope_plan_and_unknown_method(lab: Lab) -> None:
    assert lab.rest("no.such.method").error[:2] == (404, "ERROR_METHOD_NOT_FOUND")
    lab.app(scope="crm")
    assert lab.rest("bizproc.robot.list").error[:2] == (403, "insufficient_scope")
    assert lab.rest("profile").status == 200, "profile needs no scope"
    lab.app(scope="crm bizproc")
    assert lab.rest("scope").result == ["crm", "bizproc"]
    lab.set(workflows=False)
    assert lab.rest("bizproc.activity.list").error[1] == "ERROR_METHOD_NOT_FOUND"
    assert lab.rest("bizproc.workflow.instances").error[1] == "ERROR_METHOD_NOT_FOUND"
    assert lab.rest("bizproc.robot.list").result == []
    assert "bizproc.activity.add" not in lab.rest("methods").result
    lab.set(automation=False)
    for method in ("bizproc.robot.list", "bizproc.event.send", "bizproc.activity.log"):
        assert lab.rest(method).error[1] == "ERROR_METHOD_NOT_FOUND"
    assert lab.rest("method.get", {"name": "bizproc.robot.add"}).result == {
        "isExisting": False,
        "isAvailable": False,
    }


@pytest.mark.contract("1.1")
def test_s1_s4_moved_domain_redirects_and_the_token_server_tells_the_new_one(lab: Lab) -> None:
    moved = lab.control("move", name=f"{lab.name}-new")
    answer = lab.rest("profile")
    assert answer.status == 302
    assert answer.headers["Location"] == moved["client_endpoint"] + "profile"
    assert answer.json is None
    fresh = exchange(lab).json
    assert fresh["client_endpoint"] == moved["client_endpoint"] != lab.endpoint
    assert (
        lab.raw("POST", fresh["client_endpoint"] + "profile", json={"auth": fresh["access_token"]}).status
        == 200
    )
    lab.control("move", name=f"{lab.name}-newer", status=301)
    assert lab.rest("profile").status == 301


def test_s1_a_portal_is_reached_by_host_as_well(lab: Lab, sandbox: Process) -> None:
    host = f"{lab.name}.localhost:{sandbox.base.rsplit(':', 1)[1]}"
    assert lab.portal["domain"] == host
    url = f"{sandbox.base}/rest/profile"
    assert lab.raw("POST", url, json={"auth": lab.token}, headers={"Host": host}).result["ID"] == "1"
    lab.set(by_host=True, domain="client.example")
    assert exchange(lab).json["client_endpoint"] == "http://client.example/rest/"
    found = lab.raw("POST", url, json={"auth": lab.token}, headers={"Host": "client.example"})
    assert found.result["ADMIN"] is True


@pytest.mark.contract("4.4", "5.1")
def test_s5_s4_webhook_has_no_application_context(lab: Lab) -> None:
    webhook = lab.portal["webhook"]
    assert lab.raw("POST", webhook + "profile").result["ID"] == "1"
    for method in (
        "bizproc.robot.add",
        "bizproc.robot.list",
        "bizproc.activity.delete",
        "event.bind",
        "app.info",
    ):
        status, code, text = lab.raw("POST", webhook + method, json={"CODE": "x"}).error
        assert (status, code, text) == (403, "ACCESS_DENIED", "Application context required")
    assert lab.raw("POST", f"{lab.endpoint}1/wrong/profile").error[:2] == (403, "INVALID_CREDENTIALS")


@pytest.mark.contract("3.8", "3.2")
def test_s3_s4_methods_about_the_caller(lab: Lab) -> None:
    assert lab.rest("profile").result["ADMIN"] is True
    assert lab.rest("profile", token=lab.token_of(2)).result["ADMIN"] is False
    assert lab.rest("user.current").result["ID"] == "1"
    info = lab.rest("app.info").result
    assert info["INSTALLED"] is True
    assert info["CODE"] == lab.client_id
    assert lab.rest("server.time").result.endswith("-05:00"), "the portal's own zone"
    assert lab.rest("method.get", {"name": "profile"}).result == {"isExisting": True, "isAvailable": True}


@pytest.mark.contract("1.5", "4.1")
def test_s1_s4_time_block_is_there_and_operating_only_in_the_cloud(make_lab: Callable[..., Lab]) -> None:
    block = make_lab().rest("profile").json["time"]
    assert set(block) == {
        "start",
        "finish",
        "duration",
        "processing",
        "date_start",
        "date_finish",
        "operating",
        "operating_reset_at",
    }
    box = make_lab(edition="box").rest("profile").json["time"]
    assert not {"operating", "operating_reset_at"} & set(box)


def test_s4_a_request_without_length_or_too_large_is_refused(lab: Lab) -> None:
    head = f"POST /p/{lab.name}/rest/profile HTTP/1.1\r\nHost: x\r\n"
    chunked = raw_http(lab.sandbox.base, (head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").encode())
    assert b" 411 " in chunked.split(b"\r\n")[0]
    large = raw_http(lab.sandbox.base, (head + "Content-Length: 99999999\r\n\r\n").encode())
    assert b" 413 " in large.split(b"\r\n")[0]
    assert body_json(large)["error"]
