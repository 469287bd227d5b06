"""Each code of contract §2 and §4 is told apart by code, and by text only where the contract says so."""

from __future__ import annotations

import json

import pytest

from portals import batch, errors
from portals.errors import CommandRefused, Passes, PortalTrouble, TokenRefused, UnknownAnswer, classify, read
from portals.models import Portal
from portals.scrub import scrub

TROUBLES = {
    "NO_AUTH_FOUND": "token_lost",
    "authorization_error": "user_dismissed",
    "user_access_error": "no_rights",
    "insufficient_scope": "scope",
    "INVALID_CREDENTIALS": "no_rights",
    "OVERLOAD_LIMIT": "limited",
    "PORTAL_DELETED": "portal_gone",
    "APPLICATION_NOT_FOUND": "application_gone",
    "PAYMENT_REQUIRED": "unpaid",
    "NOT_INSTALLED": "application_gone",
    "INVALID_REQUEST": "unreachable",
    "invalid_grant": "token_lost",
    "invalid_client": "wrong_client",
    "wrong_client": "wrong_client",
    "invalid_scope": "scope",
}


@pytest.mark.contract("4.3", "4.16")
@pytest.mark.parametrize("status", [200, 400, 401, 403, 410, 500])
@pytest.mark.parametrize(("code", "trouble"), TROUBLES.items())
def test_s4_troubles_by_code_whatever_the_status(code, trouble, status):
    found = classify(code, "", status)
    assert isinstance(found, PortalTrouble)
    assert found.trouble == trouble
    assert found.trouble in Portal.Trouble.values


@pytest.mark.contract("2.9")
@pytest.mark.parametrize("code", ["expired_token", "invalid_token", "EXPIRED_TOKEN"])
def test_s2_token_errors(code):
    assert isinstance(classify(code, "", 401), TokenRefused)


@pytest.mark.parametrize(
    "code", ["QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT", "ERROR_OAUTH", "CONNECTION_ERROR"]
)
def test_what_passes(code):
    found = classify(code, "", 400)
    assert type(found) is Passes
    assert found.retry_after > 0


@pytest.mark.parametrize(
    ("found", "waits_for"),
    [
        (Passes("bucket"), "bucket"),
        (classify("QUERY_LIMIT_EXCEEDED", "", 503), "bucket"),
        (Passes("refresh_busy"), "token_server"),
        (classify("OVERLOAD_LIMIT", "", 503), "limited"),
        (classify("", "", 500), ""),
        (classify("ACCESS_DENIED", "Access denied!", 403), ""),
    ],
)
def test_what_is_nobodys_doing_says_what_to_wait_for(found, waits_for):
    assert found.waits_for == waits_for


@pytest.mark.contract("4.17")
def test_s4_a_fault_inside_may_have_taken_effect():
    assert isinstance(classify("INTERNAL_SERVER_ERROR", "", 500), UnknownAnswer)
    assert isinstance(classify("", "", 500), UnknownAnswer)


@pytest.mark.contract("4.4")
@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("REST API is available only on commercial plans", PortalTrouble, "plan_lapsed"),
        ("x: rest api is available only on commercial plans.", PortalTrouble, "plan_lapsed"),
        ("Error: Application context required", CommandRefused, errors.NEEDS_APPLICATION),
        ("Access denied!", CommandRefused, errors.NO_RIGHT),
        ("", CommandRefused, errors.NO_RIGHT),
    ],
)
def test_s4_the_meanings_of_access_denied(text, kind, said):
    found = classify("ACCESS_DENIED", text, 403)
    assert type(found) is kind
    assert (found.trouble if kind is PortalTrouble else found.meaning) == said


@pytest.mark.contract("4.5")
def test_s4_a_missing_method_is_the_plan_not_a_fault():
    found = classify("ERROR_METHOD_NOT_FOUND", "", 404)
    assert isinstance(found, CommandRefused)
    assert found.meaning == errors.NOT_IN_PLAN


def test_a_robots_own_call_beyond_the_scope_or_its_rights_is_no_trouble_of_the_portal():
    for code in ("insufficient_scope", "INVALID_CREDENTIALS"):
        assert isinstance(classify(code, "", 403, "user.add"), CommandRefused)
        for ours in ("", "batch", "bizproc.robot.add", "event.bind", "app.info"):
            assert isinstance(classify(code, "", 403, ours), PortalTrouble)


@pytest.mark.parametrize("code", ["404", "499"])
def test_bare_numbers_are_final(code):
    found = classify(code, "", 400, "bizproc.event.send")
    assert type(found) is CommandRefused
    assert found.code == code


@pytest.mark.contract("7.8")
def test_s7_bare_numbers_that_pass_or_wait():
    assert type(classify("423", "", 400, "bizproc.event.send")) is Passes
    assert classify("402", "", 400, "bizproc.activity.log").trouble == "licence"
    assert type(classify("402", "", 400, "crm.deal.get")) is CommandRefused


@pytest.mark.contract("4.2")
@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (200, b'{"error": 404, "error_description": "x"}', CommandRefused, "404"),
        (400, b'{"error": "", "error_description": "x"}', CommandRefused, ""),
        (400, b'{"error": null}', CommandRefused, ""),
        (200, b'{"error": "expired_token"}', TokenRefused, "expired_token"),
        (200, b"<html>maintenance</html>", UnknownAnswer, "no_json"),
        (403, b"<html>blocked</html>", Passes, "no_json"),
        (500, b"<html>oops</html>", UnknownAnswer, "no_json"),
        (503, b"<html>busy</html>", Passes, "no_json"),
        (200, b'{"result": tr', UnknownAnswer, "no_json"),
        (200, b"[" * 100_000, UnknownAnswer, "no_json"),
        (404, b"{}", CommandRefused, ""),
        (301, b"", PortalTrouble, "redirect"),
        (302, b'{"result": true}', PortalTrouble, "redirect"),
        (307, b"", PortalTrouble, "redirect"),
        (308, b"", PortalTrouble, "redirect"),
        (418, b'{"error": "SOMETHING_NEW"}', CommandRefused, "SOMETHING_NEW"),
        (500, b'{"error": "SOMETHING_NEW"}', UnknownAnswer, "SOMETHING_NEW"),
        (429, b'{"error": "SOMETHING_NEW"}', Passes, "SOMETHING_NEW"),
    ],
)
def test_s4_answers(status, body, kind, code):
    with pytest.raises(kind) as raised:
        read(status, body, "bizproc.event.send")
    assert type(raised.value) is kind
    assert raised.value.code == code


def test_an_answer_without_error_is_returned():
    assert read(200, b'{"result": []}') == {"result": []}


def test_secrets_are_taken_out():
    told = scrub("access_token=abcdef123456&x=1 auth[application_token]=zzzzzzzz tail hunter22", "hunter22")
    assert "abcdef123456" not in told
    assert "zzzzzzzz" not in told
    assert "hunter22" not in told
    assert "x=1" in told


@pytest.mark.contract("2.10")
def test_s2_a_token_is_known_by_its_shape():
    told = scrub(
        "wrong: 5f1|A51601_82584|hsyU.ab-c and " + "0f" * 35 + " of 0123456789abcdef0123456789abcdef"
    )
    assert told == "wrong: [hidden] and [hidden] of 0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("depth", [500, 900, 950, 970, 985, 995, 2000, 100_000])
def test_an_error_that_is_nested_deeply_is_an_error_like_others(depth):
    deep = "[" * depth + "]" * depth
    for body in (f'{{"error": {deep}}}', f'{{"error": {{"code": {deep}}}}}'):
        with pytest.raises(errors.RestError):
            errors.read(400, body.encode())
    answer = {"result": {"result": [], "result_error": {"a": deep}}}
    for told in (deep, f'{{"error": {deep}}}'):
        try:
            answer["result"]["result_error"] = {"a": json.loads(told)}
        except RecursionError:
            continue
        assert "a" in batch.read(answer, {"a": ("app.info", {})}, 0.1).errors
