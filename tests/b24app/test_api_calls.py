"""What the audit API tells of one row: a call's whole story, a version's payload, how a portal stands."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from handlers.models import Attempt, Invocation, State
from robots.payload import dump
from tests.b24app.api_rows import API, read, rows
from tests.b24app.people import signed_in
from tests.factories import NOW, InvocationFactory, PortalFactory, RobotVersionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor():
    return signed_in("auditors")


def call_of(client, call, **headers):
    return client.get(f"{API}calls/{call.pk}/", headers=headers).json()


def test_the_story_of_a_call(auditor):
    made = rows()
    call = made["calls"]
    again = InvocationFactory(portal=call.portal, token_hash=call.token_hash, run=2)
    InvocationFactory(portal=call.portal)
    told = call_of(auditor, call)
    assert told["application"] == made["applications"].slug
    assert (told["robot"], told["version"], told["version_number"]) == (call.robot_code, call.version_id, 1)
    assert (told["process"], told["document"], told["run"]) == ("5f.1", "DEAL_42", 1)
    assert told["received_at"] == "2026-11-24T12:00:00Z"
    assert told["inputs"] == [
        {
            "id": "amount",
            "name": "Amount",
            "type": "double",
            "declared": True,
            "came": True,
            "raw": "1000.50",
            "value": "1000.50",
            "problem": "",
        },
        {
            "id": "extra",
            "name": "",
            "type": "",
            "declared": False,
            "came": True,
            "raw": "x",
            "value": None,
            "problem": "",
        },
    ]
    assert told["call"] == {
        "document_id": ["crm", "CCrmDocumentDeal", "DEAL_42"],
        "document_type": ["crm", "CCrmDocumentDeal", "DEAL"],
        "timeout_duration": 60,
        "auth": {"user_id": "7"},
    }
    assert told["result"] == {"values": {"total": "2001.00"}, "log": "doubled"}
    assert told["lines"] == ["began"]
    (attempt,) = told["attempts"]
    assert attempt["words"] == "Computing went wrong: the robot's code raised an error"
    assert attempt["detail"]["line"] == 7
    assert told["last_sending"]["id"] == told["sending"] == made["sendings"].pk
    assert told["standing"]["tone"] == "bad"
    assert "correct the robot" in told["standing"]["to_do"]
    titles = [moment["title"] for moment in told["timeline"]]
    assert titles[0] == f"Received from {call.portal}"
    assert "Sent to the portal" in titles
    assert [run["id"] for run in told["other_runs"]] == [again.pk]


def test_words_are_in_the_language_of_who_asks(auditor):
    call = InvocationFactory(state=State.DELIVERED)
    assert call_of(auditor, call)["summary"] == "The portal took the result."
    russian = call_of(auditor, call, accept_language="ru")
    assert russian["summary"] != "The portal took the result."
    assert russian["state"] == "delivered"


def test_a_call_of_which_little_is_known(auditor):
    bare = InvocationFactory(call="", robot_code="nobody", state=State.FAILED, cause="code_unknown")
    told = call_of(auditor, bare)
    assert (told["inputs"], told["result"], told["lines"], told["attempts"]) == ([], None, [], [])
    assert (told["version"], told["version_number"], told["last_sending"]) == (None, None, None)
    broken = InvocationFactory(call="{", stored__result="[1]", stored__lines="{")
    assert call_of(auditor, broken)["call"]["auth"] == {}


def spelled(kind, **more):
    return {"Name": {"en": kind}, "Type": kind, "Required": "N", "Multiple": "N", **more}


def test_inputs_are_typed_without_losing_a_digit(auditor):
    version = RobotVersionFactory(
        payload_text=dump(
            {
                "CODE": "x",
                "PROPERTIES": {
                    "big": spelled("double"),
                    "small": spelled("double"),
                    "many": spelled("int", Multiple="Y"),
                    "flag": spelled("bool"),
                    "day": spelled("date"),
                    "moment": spelled("datetime"),
                    "who": spelled("user"),
                    "left_out": spelled("string", Default="as always"),
                    "wrong": spelled("int"),
                },
            }
        )
    )
    call = InvocationFactory(
        portal=PortalFactory(time_zone="Europe/Moscow", date_format="DMY"),
        version=version,
        call=json.dumps(
            {
                "properties": {
                    "big": "123456789012345678901234567.89",
                    "small": "0.0000001",
                    "many": {"3": "1", "7": "2"},
                    "flag": "Y",
                    "day": "24.11.2026",
                    "moment": "24.11.2026 10:00:00",
                    "who": "user_5",
                    "wrong": "many",
                }
            }
        ),
    )
    told = {line["id"]: line for line in call_of(auditor, call)["inputs"]}
    assert {name: line["value"] for name, line in told.items()} == {
        "big": "123456789012345678901234567.89",
        "small": "0.0000001",
        "many": [1, 2],
        "flag": True,
        "day": "2026-11-24",
        "moment": "2026-11-24T10:00:00+03:00",
        "who": "user_5",
        "left_out": "as always",
        "wrong": None,
    }
    assert told["many"]["raw"] == {"3": "1", "7": "2"}
    assert (told["left_out"]["came"], told["left_out"]["raw"]) == (False, None)
    assert "expected" in told["wrong"]["problem"]
    assert not told["moment"]["problem"]


def test_a_long_story_takes_as_many_queries_as_a_short_one(auditor):
    call = rows()["calls"]
    short = asked(auditor, call)
    for run in range(2, 8):
        Attempt.objects.create(invocation=call, step="send", at=NOW, code="x")
        InvocationFactory(portal=call.portal, token_hash=call.token_hash, run=run)
    assert asked(auditor, call) == short <= 7


def asked(client, call: Invocation) -> int:
    call_of(client, call)
    with CaptureQueriesContext(connection) as queries:
        call_of(client, call)
    return len(queries)


def test_how_a_portal_stands(auditor):
    made = rows()
    told = read(auditor, f"{API}portals/{made['portals'].pk}/")
    assert told["standing"][0]["tone"] == "bad"
    assert "not paid" in told["standing"][0]["words"]
    assert (told["trouble"], told["trouble_text"], told["token_state"]) == ("unpaid", "Pay for it", "working")
    assert told["token_dies_at"] == "2027-05-23T12:00:00Z"
    assert told["plan"] == "robots, no workflows"
    assert told["groups"] == ["canary"]


def test_robots_versions_and_registrations(auditor):
    made = rows()
    robot = read(auditor, f"{API}robots/{made['robots'].pk}/")
    assert [each["id"] for each in robot["definition"]["properties"]] == ["amount"]
    assert (robot["latest_version"], robot["latest_number"]) == (made["versions"].pk, 1)
    version = read(auditor, f"{API}versions/{made['versions'].pk}/")
    assert list(version["payload"]) == [
        "CODE",
        "USE_SUBSCRIPTION",
        "NAME",
        "PROPERTIES",
        "RETURN_PROPERTIES",
    ]
    assert version["compute"] == {"type": "expression", "returns": {"total": "amount * 2"}}
    registration = read(auditor, f"{API}registrations/{made['registrations'].pk}/")
    assert registration["pushed"]["HANDLER"] == "https://hub/b24/a/handler/?v=1"
    assert (registration["wanted_number"], registration["pushed_number"]) == (1, None)
    assert "plan does not include it" in registration["standing"]["to_do"]


def test_a_sending_names_its_calls(auditor):
    made = rows()
    told = read(auditor, f"{API}sendings/{made['sendings'].pk}/")
    assert told["calls"] == [{"id": made["calls"].pk, "robot": made["calls"].robot_code}]
