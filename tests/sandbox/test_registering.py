"""§5: what add, update, delete and list accept and refuse, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.lab import Lab

INVALID = "ERROR_ACTIVITY_VALIDATION_FAILURE"
GOOD: dict[str, Any] = {
    "CODE": "x",
    "HANDLER": "https://hub.example/h",
    "NAME": "X",
    "PROPERTIES": {"a": {"Name": "A", "Type": "string"}},
    "RETURN_PROPERTIES": {"b": {"Name": "B", "Type": "string"}},
    "DOCUMENT_TYPE": ["crm", "CCrmDocumentDeal", "DEAL"],
    "FILTER": {"INCLUDE": [["crm"]]},
}
# Each breaks one thing; the order is that of the checks: of several broken ones the first must be named.
CHECKS: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"CODE": ""}, (INVALID, "Empty activity code!")),
    ({"HANDLER": "http://localhost/h"}, ("ERROR_WRONG_HANDLER_URL", "")),
    ({"NAME": ""}, (INVALID, "Empty activity NAME!")),
    ({"PROPERTIES": "text"}, (INVALID, "Wrong properties array!")),
    ({"RETURN_PROPERTIES": {"1a": {"Name": "A"}}}, (INVALID, "Wrong property key (1a)!")),
    ({"DOCUMENT_TYPE": ["crm"]}, (INVALID, "Wrong activity DOCUMENT_TYPE!")),
    ({"FILTER": "b24"}, (INVALID, "Wrong activity FILTER!")),
]


def registered(lab: Lab, code: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in lab.read("robots")[lab.client_id] if item["code"] == code)
    return found


def refused(lab: Lab, method: str, params: dict[str, Any]) -> tuple[str, str]:
    status, code, text = lab.rest(method, params).error
    assert status == 400
    return code, text


@pytest.mark.contract("5.14")
def test_s5_add_checks_in_order(lab: Lab) -> None:
    assert lab.rest("bizproc.robot.add", {**GOOD, "CODE": "taken"}).result is True
    for first in range(len(CHECKS)):
        broken = dict(GOOD)
        for change, _ in CHECKS[first:]:
            broken.update(change)
        code, text = refused(lab, "bizproc.robot.add", broken)
        wanted_code, wanted_text = CHECKS[first][1]
        assert code == wanted_code
        assert wanted_text in text
    late = {**GOOD, "CODE": "taken", "USE_PLACEMENT": "Y"}
    assert refused(lab, "bizproc.robot.add", {**late, "FILTER": "b24"})[1] == "Wrong activity FILTER!"
    assert refused(lab, "bizproc.robot.add", late)[0] == "ERROR_ACTIVITY_ALREADY_INSTALLED"
    assert refused(lab, "bizproc.robot.add", {**late, "CODE": "free"})[0] == "ERROR_WRONG_HANDLER_URL"
    assert lab.rest("bizproc.robot.list").result == ["taken"], "nothing that was refused is there"


@pytest.mark.contract("5.1")
def test_s5_context_then_administrator_then_empty_data(lab: Lab) -> None:
    webhook = lab.raw("POST", lab.portal["webhook"] + "bizproc.robot.add", json={})
    assert webhook.error == (403, "ACCESS_DENIED", "Application context required")
    employee = lab.rest("bizproc.robot.add", {}, token=lab.token_of(2))
    assert employee.error == (403, "ACCESS_DENIED", "Access denied!")
    assert lab.rest("bizproc.robot.add", {}).error == (400, INVALID, "Empty data!")
    for method in ("robot.update", "robot.delete", "robot.list", "activity.add", "activity.list"):
        assert lab.rest(f"bizproc.{method}", GOOD, token=lab.token_of(2)).error[1] == "ACCESS_DENIED"


@pytest.mark.contract("5.3", "5.4", "5.5", "5.8", "5.9", "5.19")
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"CODE": "a b"}, (INVALID, "Wrong activity code!")),
        ({"CODE": "ключ"}, (INVALID, "Wrong activity code!")),
        ({"CODE": "x" * 129}, ("ERROR_ACTIVITY_ADD_FAILURE", "")),
        ({"HANDLER": ""}, ("ERROR_WRONG_HANDLER_URL", "")),
        ({"HANDLER": "nonsense"}, ("ERROR_WRONG_HANDLER_URL", "")),
        ({"HANDLER": "ftp://hub.example/"}, ("ERROR_UNSUPPORTED_PROTOCOL", "")),
        ({"HANDLER": "https://hub.example/" + "x" * 1000}, ("ERROR_ACTIVITY_ADD_FAILURE", "")),
        ({"NAME": {}}, (INVALID, "Empty activity NAME!")),
        ({"PROPERTIES": {"a-b": {"Name": "A"}}}, (INVALID, "Wrong property key (a-b)!")),
        ({"PROPERTIES": {"a": {"Type": "string"}}}, (INVALID, "Empty property NAME (a)!")),
        ({"RETURN_PROPERTIES": {"a": {"Name": ""}}}, (INVALID, "Empty property NAME (a)!")),
        ({"RETURN_PROPERTIES": 5}, (INVALID, "Wrong properties array!")),
        (
            {"PROPERTIES": {"a": {"Name": "A", "Description": "x" * 66_000}}},
            ("ERROR_ACTIVITY_ADD_FAILURE", ""),
        ),
        (
            {"USE_PLACEMENT": "Y", "PLACEMENT_HANDLER": "ftp://hub.example/"},
            ("ERROR_UNSUPPORTED_PROTOCOL", ""),
        ),
    ],
)
def test_s5_add_refuses(lab: Lab, change: dict[str, Any], error: tuple[str, str]) -> None:
    code, text = refused(lab, "bizproc.robot.add", {**GOOD, **change})
    assert code == error[0]
    assert error[1] in text


def test_s5_add_takes_forms_json_and_loopback_hosts(lab: Lab) -> None:
    assert (
        lab.rest("bizproc.robot.add", {**GOOD, "HANDLER": "http://127.0.0.1:8000/b24/main/handler/"}).result
        is True
    )
    form = {
        "auth": lab.token,
        "CODE": "form",
        "HANDLER": "https://hub.example/h",
        "NAME[en]": "Form",
        "PROPERTIES[a][Name]": "A",
        "PROPERTIES[a][Type]": "select",
        "PROPERTIES[a][Options][one]": "One",
        "FILTER[INCLUDE][0]": "b24",
    }
    assert lab.raw("POST", lab.endpoint + "bizproc.robot.add", data=form).result is True
    robot = registered(lab, "form")
    assert robot["name"] == {"en": "Form"}
    assert robot["properties"]["a"]["Options"] == {"one": "One"}
    assert robot["filter"] == {"INCLUDE": ["b24"]}
    assert robot["use_subscription"] == "", "absent is not N"


@pytest.mark.contract("1.3", "5.15", "5.18")
def test_s1_s5_robots_and_activities_share_codes_and_are_told_apart(lab: Lab) -> None:
    assert lab.rest("bizproc.activity.add", {**GOOD, "CODE": "act"}).result is True
    assert refused(lab, "bizproc.robot.add", {**GOOD, "CODE": "act"})[0] == "ERROR_ACTIVITY_ALREADY_INSTALLED"
    assert (
        refused(lab, "bizproc.robot.update", {"CODE": "act", "FIELDS": {"NAME": "Y"}})[0]
        == "ERROR_ACTIVITY_NOT_FOUND"
    )
    assert refused(lab, "bizproc.robot.delete", {"CODE": "act"})[0] == "ERROR_ACTIVITY_NOT_FOUND"
    assert refused(lab, "bizproc.robot.delete", {})[1] == "Empty activity code!"
    assert lab.rest("bizproc.robot.list").result == []
    assert lab.rest("bizproc.activity.list").result == ["act"]
    assert lab.rest("bizproc.activity.delete", {"CODE": "act"}).result is True
    assert lab.rest("bizproc.activity.list").result == []


@pytest.mark.contract("5.16", "5.17", "4.13")
def test_s4_s5_update_changes_only_what_is_set(lab: Lab) -> None:
    lab.rest("bizproc.robot.add", {**GOOD, "DESCRIPTION": "Text", "AUTH_USER_ID": 1, "USE_SUBSCRIPTION": "Y"})
    before = registered(lab, "x")

    def update(**fields: Any) -> dict[str, Any]:
        assert lab.rest("bizproc.robot.update", {"CODE": "x", "FIELDS": fields}).result is True
        return registered(lab, "x")

    after = update(NAME="New", PROPERTIES=None)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"name", "changed_at"}
    cleared = update(
        DOCUMENT_TYPE="", FILTER="", DESCRIPTION="", PROPERTIES={}, RETURN_PROPERTIES=[], AUTH_USER_ID=0
    )
    assert cleared["document_type"] is None
    assert cleared["filter"] is None
    assert cleared["description"] == ""
    assert cleared["properties"] == cleared["return_properties"] == {}
    assert cleared["auth_user_id"] == 0
    assert cleared["name"] == "New"
    assert update(USE_SUBSCRIPTION="", NAME="")["use_subscription"] == "N", "it cannot go back to absent"
    placed = update(USE_PLACEMENT="Y", PLACEMENT_HANDLER="https://hub.example/s")
    assert (placed["use_placement"], placed["placement_handler"]) == ("Y", "https://hub.example/s")
    assert update(USE_PLACEMENT="N")["use_placement"] == "N"


@pytest.mark.contract("5.19")
def test_s5_update_refuses(lab: Lab) -> None:
    lab.rest("bizproc.robot.add", GOOD)

    def update(fields: Any, code: str = "x") -> tuple[str, str]:
        return refused(lab, "bizproc.robot.update", {"CODE": code, "FIELDS": fields})

    assert update({"NAME": "Y"}, "none")[0] == "ERROR_ACTIVITY_NOT_FOUND"
    assert update({"NAME": "Y"}, "")[1] == "Empty activity code!"
    assert update({}) == (INVALID, "No fields to update")
    assert update({"NAME": ""}) == (INVALID, "No fields to update"), "an empty NAME is ignored"
    assert update({"PLACEMENT_HANDLER": "https://hub.example/s"}) == (INVALID, "No fields to update")
    assert update({"HANDLER": "http://localhost/"})[0] == "ERROR_WRONG_HANDLER_URL"
    assert update({"PROPERTIES": "x"})[1] == "Wrong properties array!"
    assert update({"FILTER": "x"})[1] == "Wrong activity FILTER!"
    assert update({"DOCUMENT_TYPE": "x"})[1] == "Wrong activity DOCUMENT_TYPE!"


@pytest.mark.contract("5.12")
def test_s5_reserved_and_colliding_ids_are_dropped_in_silence(lab: Lab) -> None:
    fields = {"Name": "N", "Type": "string"}
    properties = dict.fromkeys(("title", "IsTimeout", "Amount", "amount", "shared", "plain"), fields)
    assert (
        lab.robot(PROPERTIES=properties, RETURN_PROPERTIES={"Shared": fields, "StatusMessage": fields}).result
        is True
    )
    assert sorted(registered(lab, "discount")["dropped"]) == [
        "Amount",
        "IsTimeout",
        "StatusMessage",
        "shared",
        "title",
    ]
    process, form = lab.run(properties={"amount": "1", "title": "t", "plain": "p", "shared": "s"})
    sent = {key: value for key, value in form.items() if key.startswith("properties")}
    assert sent == {"properties[amount]": "1", "properties[plain]": "p"}
    lab.send(form, {"SHARED": "ok", "StatusMessage": "no"})
    assert lab.ended(process)["values"] == {"Shared": "ok"}


@pytest.mark.contract("5.11")
def test_s5_settings_of_older_portals(make_lab: Callable[..., Lab]) -> None:
    strict = make_lab(handler_same_domain=True)
    assert strict.robot(HANDLER="https://elsewhere.example/h").error[1] == "ERROR_HANDLER_URL_MATCH"
    assert strict.robot().result is True
    lax = make_lab(robots_check_document_type=False)
    assert lax.robot(DOCUMENT_TYPE=["nonsense"]).result is True
    assert lax.rest("bizproc.activity.add", {**GOOD, "DOCUMENT_TYPE": ["nonsense"]}).error[0] == 400


@pytest.mark.contract("5.10")
@pytest.mark.parametrize(
    ("rule", "edition", "document", "shown"),
    [
        (None, "cloud", "DEAL_1", True),
        ({"INCLUDE": [["crm", "CCrmDocumentDeal"]]}, "cloud", "DEAL_1", True),
        ({"INCLUDE": [["crm", "CCrmDocumentDeal"]]}, "cloud", "LEAD_1", False),
        ({"INCLUDE": [["crm"]]}, "cloud", "TASK", False),
        ({"INCLUDE": ["box"]}, "cloud", "DEAL_1", False),
        ({"INCLUDE": ["box"]}, "box", "DEAL_1", True),
        ({"INCLUDE": ["b24", ["crm", "CCrmDocumentDeal", "DEAL"]]}, "cloud", "LEAD_1", True),
        ({"INCLUDE": ["b24", ["crm", "CCrmDocumentDeal", "DEAL"]]}, "box", "LEAD_1", False),
        ({"EXCLUDE": [["crm", "CCrmDocumentLead"]]}, "cloud", "LEAD_1", False),
        ({"INCLUDE": [["crm"]], "EXCLUDE": ["box"]}, "box", "DEAL_1", False),
    ],
)
def test_s5_filter_decides_where_a_robot_shows(
    make_lab: Callable[..., Lab], rule: Any, edition: str, document: str, shown: bool
) -> None:
    lab = make_lab(edition=edition)
    lab.robot(FILTER=rule)
    lab.control("run", 200 if shown else 409, code="discount", document=document)


@pytest.mark.contract("3.13")
def test_s3_events_are_bound_got_and_unbound(lab: Lab) -> None:
    assert lab.rest("event.bind", {"event": "OnAppUninstall", "handler": lab.events}).result is True
    status, code, _ = lab.rest("event.bind", {"event": "ONAPPUNINSTALL", "handler": lab.events}).error
    assert (status, code) == (400, "ERROR_EVENT_BINDING_EXISTS")
    assert (
        lab.rest("event.bind", {"event": "NOSUCHEVENT", "handler": lab.events}).error[1]
        == "ERROR_EVENT_NOT_FOUND"
    )
    assert lab.rest("event.bind", {"event": "ONAPPUPDATE"}).error[1] == "ERROR_ARGUMENT"
    found = lab.rest("event.get").result
    assert [set(item) for item in found] == [{"event", "handler", "auth_type", "offline"}]
    assert (found[0]["event"], found[0]["handler"]) == ("ONAPPUNINSTALL", lab.events)
    assert lab.rest("event.unbind", {"event": "ONAPPUNINSTALL", "handler": lab.events}).result == {"count": 1}
    assert lab.rest("event.get").result == []
