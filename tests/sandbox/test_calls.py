"""§6: the handler call as it goes out, once, and what can be ordered about it; §9: a burst."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.lab import Lab, eventually

KINDS = {
    "flag": "bool",
    "day": "date",
    "moment": "datetime",
    "sum": "double",
    "who": "user",
    "text": "string",
    "tags": "string",
}


def typed(lab: Lab) -> None:
    properties = {key: {"Name": key, "Type": kind} for key, kind in KINDS.items()}
    properties["tags"]["Multiple"] = "Y"
    properties["text"]["Default"] = "usual"
    assert lab.robot(PROPERTIES=properties).result is True


def sent(form: dict[str, str]) -> dict[str, str]:
    return {key[11:-1]: value for key, value in form.items() if key.startswith("properties[")}


@pytest.mark.contract("6.1", "6.16", "3.9")
def test_s3_s6_the_form_is_as_documented(lab: Lab) -> None:
    lab.robot()
    process, form = lab.run(properties={"amount": "1000.50"}, document="DEAL_42", timeout=86400)
    assert form["workflow_id"] == process["id"]
    assert form["code"] == "discount"
    assert [form[f"document_id[{n}]"] for n in range(3)] == ["crm", "CCrmDocumentDeal", "DEAL_42"]
    assert [form[f"document_type[{n}]"] for n in range(3)] == ["crm", "CCrmDocumentDeal", "DEAL"]
    head, name, signature = form["event_token"].split("|")
    assert head == process["id"]
    assert name.startswith("A")
    assert len(signature) == 64
    assert form["properties[amount]"] == "1000.50"
    assert (form["use_subscription"], form["timeout_duration"]) == ("Y", "86400")
    assert abs(int(form["ts"]) - process["started_at"]) <= 1
    auth = {key[5:-1]: value for key, value in form.items() if key.startswith("auth[")}
    assert auth["member_id"] == lab.portal["member_id"]
    assert auth["application_token"] == lab.portal["installs"].get(lab.client_id, auth)["application_token"]
    assert auth["client_endpoint"] == lab.endpoint
    assert (auth["user_id"], auth["status"], auth["expires_in"]) == ("1", "L", "3600")
    assert {"domain", "server_endpoint", "scope", "expires", "refresh_token"} <= set(auth)
    assert lab.rest("profile", token=auth["access_token"]).result["ID"] == "1"


@pytest.mark.contract("6.5")
def test_s6_tokens_may_be_missing(lab: Lab) -> None:
    lab.robot("nobody", AUTH_USER_ID=None)
    _, form = lab.run("nobody")
    assert "auth[access_token]" not in form
    assert form["auth[member_id]"]
    assert form["auth[application_token]"]
    lab.robot()
    lab.set(call_tokens=False)
    assert "auth[refresh_token]" not in lab.run()[1]


@pytest.mark.contract("6.9", "6.8", "6.13")
def test_s6_values_in_the_portals_formats(make_lab: Callable[..., Lab]) -> None:
    values = {
        "flag": True,
        "day": "2026-11-24",
        "moment": "2026-11-24T15:04:05+00:00",
        "sum": 5.0,
        "who": 5,
        "tags": ["a", "b"],
    }
    lab = make_lab()
    typed(lab)
    assert sent(lab.run(properties=values)[1]) == {
        "flag": "Y",
        "day": "11/24/2026",
        "moment": "11/24/2026 10:04:05 am",
        "sum": "5",
        "who": "user_5",
        "text": "usual",
        "tags][0": "a",
        "tags][1": "b",
    }
    russian = make_lab(server="ru")
    typed(russian)
    found = sent(russian.run(properties=values)[1])
    assert (found["day"], found["moment"]) == ("24.11.2026", "24.11.2026 18:04:05")


@pytest.mark.contract("6.6", "6.7")
def test_s6_empty_lists_vanish_and_unset_is_an_empty_text(lab: Lab) -> None:
    typed(lab)
    unset = {"flag": "", "day": "", "moment": "", "sum": "", "who": "", "text": "usual"}
    assert sent(lab.run()[1]) == unset, "a default is sent, an unset property is an empty text"
    found = sent(lab.run(properties={"tags": [], "text": ""})[1])
    assert not any(key.startswith("tags") for key in found)
    assert found["text"] == ""
    lab.robot("bare", PROPERTIES=None)
    assert sent(lab.run("bare")[1]) == {}


@pytest.mark.contract("6.7", "6.8", "6.9")
@pytest.mark.parametrize(
    ("odd", "wanted"),
    [
        ({"text": "list"}, {"text][0": "x"}),
        ({"text": "keys"}, {"text][n17": "x"}),
        ({"text": "empty"}, {"text": ""}),
        ({"flag": "digit"}, {"flag": "1"}),
        ({"day": "iso"}, {"day": "2026-11-24T00:00:00-05:00"}),
        ({"tags": "keys"}, {"tags][3": "a", "tags][10": "b"}),
    ],
)
def test_s6_odd_forms_on_order(lab: Lab, odd: dict[str, str], wanted: dict[str, str]) -> None:
    typed(lab)
    values = {"text": "x", "flag": True, "day": "2026-11-24", "tags": ["a", "b"]}
    found = sent(lab.run(properties=values, odd=odd)[1])
    assert wanted.items() <= found.items()


@pytest.mark.contract("6.2", "6.4")
def test_s6_nothing_is_sent_again(lab: Lab) -> None:
    lab.robot()
    lab.hub.answers[lab.handler_path] = (500, "down")
    process, _ = lab.run()
    found = eventually(lambda: item if (item := lab.process(process))["handler_status"] else None)
    assert (found["state"], found["handler_status"]) == ("waiting", 500)
    lab.sandbox.post("clock", {"advance": 86400})
    del lab.hub.answers[lab.handler_path]
    lab.run()
    assert (
        len([mail for mail in lab.hub.at(lab.handler_path) if mail.form["workflow_id"] == process["id"]]) == 1
    )
    stats = lab.stats()
    assert (stats["handler_failed"], stats["handler_ok"]) == (1, 1)


@pytest.mark.contract("6.2")
def test_s6_a_refused_connection_is_a_lost_call(lab: Lab) -> None:
    lab.robot(HANDLER="http://127.0.0.1:9/none")
    process = lab.control("run", code="discount")
    found = eventually(lambda: item if (item := lab.process(process))["steps"][0]["handler_error"] else None)
    assert found["handler_status"] == 0
    assert lab.read("calls")["items"][-1]["error"] == "ConnectionRefusedError"


@pytest.mark.contract("6.3")
def test_s6_calls_twice_late_and_lost_on_order(lab: Lab) -> None:
    lab.robot()
    lab.control("faults", kind="call_twice", count=1)
    process, form = lab.run()
    assert lab.call_of(process, 1)["event_token"] == form["event_token"]
    lab.control("faults", kind="call_late", count=1, seconds=60)
    late = lab.control("run", code="discount")
    lab.control("faults", kind="call_lost", count=1)
    lost = lab.control("run", code="discount")
    lab.run()
    seen = [mail.form["workflow_id"] for mail in lab.hub.at(lab.handler_path)]
    assert late["id"] not in seen
    lab.sandbox.post("clock", {"advance": 61})
    assert int(lab.call_of(late)["ts"]) <= late["started_at"], "ts is when the robot was reached"
    assert lost["id"] not in [mail.form["workflow_id"] for mail in lab.hub.at(lab.handler_path)]
    assert lab.stats()["calls_lost"] == 1


@pytest.mark.contract("3.15")
def test_s3_an_unpaid_application_is_never_called(lab: Lab) -> None:
    lab.robot()
    lab.control("app", client_id=lab.client_id, paid=False)
    process = lab.control("run", code="discount")
    assert process["state"] == "faulted"
    assert "not paid" in process["fault"]
    lab.control("app", client_id=lab.client_id, paid=True)
    lab.set(licence_lapsed=True)
    assert lab.control("run", code="discount")["state"] == "faulted"
    lab.set(licence_lapsed=False, deleted=410)
    assert lab.control("run", code="discount")["state"] == "faulted"
    lab.set(deleted=0, commercial=False)
    assert lab.control("run", code="discount")["state"] == "faulted"
    lab.set(commercial=True)
    lab.run()
    assert len(lab.hub.at(lab.handler_path)) == 1


@pytest.mark.contract("9.1")
def test_s9_a_burst_is_called_in_parallel_each_once(lab: Lab) -> None:
    lab.robot(PROPERTIES={"amount": {"Name": "Amount", "Type": "string"}})
    release = lab.hub.holds[lab.handler_path] = threading.Event()
    answer = lab.control("burst", code="discount", count=300, properties={"amount": "n{n}"})
    assert answer["count"] == 300
    eventually(lambda: len(lab.hub.at(lab.handler_path)) >= 32)
    assert lab.stats()["waiting"] == 300
    release.set()
    eventually(lambda: lab.stats()["handler_ok"] == 300)
    mails = lab.hub.at(lab.handler_path)
    assert sorted(mail.form["properties[amount]"] for mail in mails) == sorted(f"n{n}" for n in range(1, 301))
    assert len({mail.form["event_token"] for mail in mails}) == 300
    assert len({mail.connection for mail in mails}) <= 64, "connections are kept alive"
    assert lab.stats()["queued"] == 0


def test_s9_a_paced_burst_and_fresh_connections(lab: Lab) -> None:
    lab.robot()
    lab.sandbox.post("queue", {"keep_alive": False})
    lab.control("burst", code="discount", count=20, per_second=200)
    eventually(lambda: lab.stats()["handler_ok"] == 20)
    lab.sandbox.post("queue", {"keep_alive": True})
    assert len({mail.connection for mail in lab.hub.at(lab.handler_path)}) == 20


def test_runs_that_make_no_sense_are_refused(lab: Lab) -> None:
    lab.robot()
    assert "no 'none'" in lab.control("run", 409, code="none")["error"]
    assert "colour" in lab.control("run", 400, code="discount", colour="red")["error"]
    assert "odd" in lab.control("run", 400, code="discount", odd={"amount": "strange"})["error"]
    assert "document" in lab.control("run", 400, code="discount", document="PLANET_9")["error"]
    assert "count" in lab.control("burst", 400, code="discount", count=0)["error"]


def test_the_journal_of_requests_tells_methods_and_no_tokens(lab: Lab) -> None:
    lab.robot()
    _, form = lab.run()
    lab.batch({"a": ("bizproc.event.send", {"EVENT_TOKEN": form["event_token"]}), "b": ("no.such", {})})
    found: Any = lab.read("requests")
    assert [item["method"] for item in found["items"]] == ["bizproc.robot.add", "batch"]
    last = found["items"][-1]
    assert [(item["key"], item["method"], item.get("error")) for item in last["commands"]] == [
        ("a", "bizproc.event.send", None),
        ("b", "no.such", "ERROR_METHOD_NOT_FOUND"),
    ]
    assert (last["status"], last["client_id"], last["user"]) == (200, lab.client_id, 1)
    assert lab.token not in str(found)
    assert lab.read(f"requests?after={found['next']}")["items"] == []
    assert len(lab.read("requests?limit=1")["items"]) == 1


def test_the_number_of_a_process_in_its_burst_stands_in_documents_and_lists_too(lab: Lab) -> None:
    lab.robot(PROPERTIES={"tags": {"Name": "Tags", "Type": "string", "Multiple": "Y"}})
    lab.control("burst", code="discount", count=2, document="DEAL_7{n}", properties={"tags": ["a{n}", "b"]})
    eventually(lambda: len(lab.hub.at(lab.handler_path)) == 2)
    sent = {
        (mail.form["document_id[2]"], mail.form["properties[tags][0]"])
        for mail in lab.hub.at(lab.handler_path)
    }
    assert sent == {("DEAL_71", "a1"), ("DEAL_72", "a2")}
