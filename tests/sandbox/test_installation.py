"""§3: the three ways in, updates, uninstalls, and what the portal forgets by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.lab import Lab, eventually


@pytest.mark.contract("3.1")
def test_s3_frame_brings_all_fields(lab: Lab) -> None:
    mail = lab.hub.at(lab.install_path)[-1]
    assert set(mail.query) == {"DOMAIN", "PROTOCOL", "LANG", "APP_SID"}
    assert (mail.query["DOMAIN"], mail.query["PROTOCOL"], mail.query["LANG"]) == (
        lab.portal["domain"],
        "0",
        "en",
    )
    assert set(mail.form) == {
        "AUTH_ID",
        "AUTH_EXPIRES",
        "REFRESH_ID",
        "SERVER_ENDPOINT",
        "APPLICATION_TOKEN",
        "APPLICATION_SCOPE",
        "member_id",
        "status",
        "PLACEMENT",
        "PLACEMENT_OPTIONS",
    }
    assert mail.form["member_id"] == lab.portal["member_id"]
    assert mail.form["SERVER_ENDPOINT"] == lab.portal["server_endpoint"]
    assert mail.form["PLACEMENT"] == "DEFAULT"


@pytest.mark.contract("3.2")
def test_s3_install_finish_is_owed_until_the_page_calls_it(lab: Lab) -> None:
    lab.control("uninstall", client_id=lab.client_id)
    lab.hub.answers[lab.install_path] = (200, "a page without it")
    answer = lab.install()
    assert (answer["status"], answer["installed"]) == (200, False)
    assert lab.rest("app.info").result["INSTALLED"] is False
    lab.rest("event.bind", {"event": "ONAPPUPDATE", "handler": lab.events})
    assert lab.control("update", client_id=lab.client_id, drop=False)["sent"] == 0, (
        "no events before installFinish"
    )
    lab.control("finish", client_id=lab.client_id)
    assert lab.rest("app.info").result["INSTALLED"] is True
    assert lab.control("update", client_id=lab.client_id)["sent"] == 1


def test_s3_without_an_install_page_it_is_installed_at_once(lab: Lab) -> None:
    lab.control("uninstall", client_id=lab.client_id)
    lab.app(install_url="", main_url=lab.hub.url + lab.install_path)
    lab.hub.answers[lab.install_path] = (500, "down")
    assert lab.install()["installed"] is True
    assert lab.rest("app.info").result["INSTALLED"] is True


def test_s3_a_failed_install_page_installs_nothing(lab: Lab) -> None:
    lab.control("uninstall", client_id=lab.client_id)
    lab.hub.answers[lab.install_path] = (500, "installFinish")
    answer = lab.install()
    assert (answer["status"], answer["installed"]) == (500, False)


@pytest.mark.contract("3.3")
def test_s3_onappinstall_brings_all_fields_and_may_repeat(lab: Lab) -> None:
    lab.control("uninstall", client_id=lab.client_id)
    lab.app(interface=False, event_url=lab.events)
    answer = lab.control("install", client_id=lab.client_id, repeat=2)
    assert (answer["status"], answer["installed"]) == (200, True)
    first, second = lab.hub.at(lab.event_path)
    assert first.form["auth[refresh_token]"] == second.form["auth[refresh_token]"]
    form = first.form
    assert form["event"] == "ONAPPINSTALL"
    assert {"event_handler_id", "ts"} <= set(form)
    assert {key for key in form if key.startswith("data")} == {
        "data[VERSION]",
        "data[ACTIVE]",
        "data[INSTALLED]",
        "data[LANGUAGE_ID]",
    }
    wanted = (
        "access_token",
        "refresh_token",
        "expires_in",
        "scope",
        "domain",
        "server_endpoint",
        "client_endpoint",
        "status",
        "member_id",
        "application_token",
    )
    assert {f"auth[{name}]" for name in wanted} <= set(form)
    assert form["auth[application_token]"] == answer["application_token"]
    assert lab.rest("profile", token=form["auth[access_token]"]).result["ADMIN"] is True


@pytest.mark.contract("3.13", "3.11")
def test_s3_events_reach_only_what_was_bound(lab: Lab) -> None:
    assert lab.control("update", client_id=lab.client_id)["sent"] == 0
    lab.rest("event.bind", {"event": "ONAPPUNINSTALL", "handler": lab.events})
    assert lab.control("uninstall", client_id=lab.client_id, clean=True)["sent"] == 1
    form = lab.hub.at(lab.event_path)[-1].form
    assert form["event"] == "ONAPPUNINSTALL"
    assert (form["data[CLEAN]"], form["data[LANGUAGE_ID]"]) == ("1", "en")
    assert {key for key in form if key.startswith("auth")} == {
        "auth[domain]",
        "auth[server_endpoint]",
        "auth[client_endpoint]",
        "auth[member_id]",
        "auth[application_token]",
    }, "no tokens"
    assert lab.rest("profile").error[1] == "APPLICATION_NOT_FOUND", "its tokens are gone at once"


@pytest.mark.contract("3.12", "3.14")
def test_s3_update_drops_what_was_registered_and_brings_the_new_token(lab: Lab) -> None:
    lab.robot()
    lab.rest("event.bind", {"event": "ONAPPUPDATE", "handler": lab.events})
    before = lab.hub.at(lab.install_path)[-1].form["APPLICATION_TOKEN"]
    answer = lab.control("update", client_id=lab.client_id, version=7, application_token="new")
    form = lab.hub.at(lab.event_path)[-1].form
    assert form["event"] == "ONAPPUPDATE"
    assert (form["data[VERSION]"], form["data[PREVIOUS_VERSION]"]) == ("7", "1")
    assert form["auth[application_token]"] == answer["application_token"] != before
    assert lab.rest("profile", token=form["auth[access_token]"]).status == 200
    assert lab.rest("bizproc.robot.list").result == []
    assert lab.rest("event.get").result == []
    lab.robot()
    assert lab.run()[1]["auth[application_token]"] == answer["application_token"]


@pytest.mark.contract("3.14")
def test_s3_a_process_that_reaches_a_blocked_robot_faults_until_it_is_added_again(lab: Lab) -> None:
    lab.robot("one")
    lab.robot("two")
    steps = [{"code": "one"}, {"code": "two"}]
    blocked, form = lab.run("one", steps=steps)
    revived, later = lab.run("one", steps=steps)
    lab.control("update", client_id=lab.client_id)
    lab.send(form)
    found = lab.ended(blocked, "faulted")
    assert "blocked" in found["fault"]
    lab.robot("two")
    lab.send(later)
    assert eventually(lambda: lab.process(revived)["position"] == 1)
    assert lab.call_of(revived, 1)["code"] == "two"


@pytest.mark.contract("3.16")
def test_s3_event_tokens_outlive_a_reinstall(lab: Lab) -> None:
    lab.robot()
    process, form = lab.run()
    lab.control("uninstall", client_id=lab.client_id)
    lab.install()
    assert lab.rest("bizproc.robot.list").result == []
    assert lab.send(form).result is True
    lab.ended(process)


def test_s3_installing_again_keeps_what_stands_unless_told_otherwise(lab: Lab) -> None:
    lab.robot()
    former, refresh = lab.token, lab.refresh
    token = lab.install()["application_token"]
    assert lab.rest("bizproc.robot.list", token=former).result == ["discount"]
    assert lab.refresh != refresh
    assert lab.install(application_token="new", drop=True)["application_token"] != token
    assert lab.rest("bizproc.robot.list").result == []


@pytest.mark.contract("3.6")
def test_s3_any_user_opens_the_page_with_tokens_of_his_own(lab: Lab) -> None:
    url = lab.hub.url + lab.install_path
    answer = lab.control("open", client_id=lab.client_id, user=5, url=url)
    assert answer["status"] == 200
    token = lab.hub.at(lab.install_path)[-1].form["AUTH_ID"]
    assert lab.rest("profile", token=token).result == {
        **lab.rest("profile").result,
        "ID": "5",
        "ADMIN": False,
        "NAME": "Vera",
        "LAST_NAME": "Stone",
    }
    lab.control("user", id=5, admin=True)
    assert lab.rest("profile", token=token).result["ADMIN"] is True


def test_s3_requests_that_make_no_sense_are_refused(lab: Lab, make_lab: Callable[..., Lab]) -> None:
    lab.control("install", 404, client_id="nobody")
    lab.control("install", 400, client_id=lab.client_id, user=99)
    lab.control("install", 400, client_id=lab.client_id, way="pigeon")
    lab.control("install", 400)
    other: Any = make_lab()
    lab.control("uninstall", 409, client_id=other.client_id)
