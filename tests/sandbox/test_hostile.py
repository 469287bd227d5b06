"""Whatever is sent, a portal answers in its own words:
nothing breaks the sandbox, and its form parser is PHP's."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox import php_forms
from sandbox.values import site_format
from tests.sandbox.lab import Lab, eventually

ODD: list[Any] = [
    None,
    "",
    "x",
    "0",
    0,
    -1,
    1e308,
    True,
    [],
    {},
    [1],
    {"a": 1},
    {"a": {"b": []}},
    "$result[x]",
    "я",
    "\x00",
    "9" * 5000,
]
METHODS = (
    "bizproc.robot.add",
    "bizproc.robot.update",
    "bizproc.robot.delete",
    "bizproc.robot.list",
    "bizproc.activity.add",
    "bizproc.event.send",
    "bizproc.activity.log",
    "bizproc.workflow.instances",
    "bizproc.workflow.terminate",
    "event.bind",
    "event.unbind",
    "event.get",
    "batch",
    "method.get",
    "app.info",
    "profile",
)
NAMES = (
    "CODE",
    "HANDLER",
    "NAME",
    "DESCRIPTION",
    "AUTH_USER_ID",
    "USE_SUBSCRIPTION",
    "PROPERTIES",
    "RETURN_PROPERTIES",
    "DOCUMENT_TYPE",
    "FILTER",
    "FIELDS",
    "USE_PLACEMENT",
    "PLACEMENT_HANDLER",
    "EVENT_TOKEN",
    "RETURN_VALUES",
    "LOG_MESSAGE",
    "SELECT",
    "ORDER",
    "start",
    "ID",
    "event",
    "handler",
    "cmd",
    "halt",
    "auth_type",
)


def test_no_parameters_break_a_method(make_lab: Any) -> None:
    lab: Lab = make_lab(edition="box")
    chance = random.Random(20261124)
    lab.robot()
    _, form = lab.run()
    good = {
        "CODE": "discount",
        "HANDLER": lab.handler,
        "NAME": "N",
        "EVENT_TOKEN": form["event_token"],
        "FIELDS": {"NAME": "M"},
        "cmd": {"a": "profile?x[]=1"},
        "event": "ONAPPUPDATE",
        "handler": lab.handler,
    }
    seen: dict[int, int] = {}
    for number in range(1500):
        params = {name: chance.choice(ODD) for name in NAMES if chance.random() < 0.3}
        params.update({name: value for name, value in good.items() if chance.random() < 0.5})
        answer = lab.rest(METHODS[number % len(METHODS)], params)
        seen[answer.status] = seen.get(answer.status, 0) + 1
        assert answer.status < 500, (METHODS[number % len(METHODS)], params, answer.text)
    assert set(seen) == {200, 400, 403}, seen
    for robot in lab.rest("bizproc.robot.list").result:
        lab.control("run", code=robot, document="DEAL")
        page = lab.sandbox.web.get(
            f"{lab.sandbox.base}/portal/{lab.name}/run/{lab.client_id}/{robot}", timeout=10
        )
        assert page.status_code == 200
    eventually(lambda: lab.stats()["queued"] == 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b'{"auth": "\\ud800"}',
        b'{"auth": NaN}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 2000,
    ],
)
def test_s4_json_that_is_none_is_an_empty_request(lab: Lab, body: bytes) -> None:
    answer = lab.raw(
        "POST", lab.endpoint + "profile", data=body, headers={"Content-Type": "application/json"}
    )
    assert answer.error[:2] == (401, "NO_AUTH_FOUND")


def test_deep_and_wide_forms(lab: Lab) -> None:
    deep = "auth=" + lab.token + "&PROPERTIES" + "[a]" * 5000 + "=1"
    assert lab.raw("POST", lab.endpoint + "profile", data=deep).status == 200
    wide = "auth=" + lab.token + "&x[]=1" * 15_000
    assert lab.raw("POST", lab.endpoint + "profile", data=wide).status == 200
    too_wide = "auth=" + lab.token + "&x[]=1" * 30_000
    assert lab.raw("POST", lab.endpoint + "profile", data=too_wide).error[1] == "NO_AUTH_FOUND"
    nested: Any = "x"
    for _ in range(700):
        nested = {"a": nested}
    lab.robot()
    _, form = lab.run()
    answer = lab.rest("bizproc.event.send", {"EVENT_TOKEN": form["event_token"], "RETURN_VALUES": nested})
    assert answer.status in (200, 500)
    assert lab.rest("profile").status == 200


@pytest.mark.contract("6.17")
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a=1&a=2", {"a": "2"}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a[5]=1&a[]=2", {"a": {"5": "1", "6": "2"}}),
        ("a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ("a=1&a[b]=2", {"a": {"b": "2"}}),
        ("a%5Bb%5D=%26+x", {"a": {"b": "& x"}}),
        ("a[b=1", {"a": "1"}),
        ("[a]=1", {}),
        ("a[b]c=1", {"a": {"b": "1"}}),
        ("a=", {"a": ""}),
        ("", {}),
    ],
)
def test_s6_php_forms_are_read_as_php_reads_them(text: str, wanted: Any) -> None:
    assert php_forms.parse(text) == wanted


def test_php_forms_round_trip() -> None:
    fields = {"a": {"b": ["x", "y&z"], "c": {"d": "1"}}, "e": "я", "f": [], "g": None, "h": True}
    assert php_forms.parse(php_forms.encode(fields)) == {
        "a": {"b": ["x", "y&z"], "c": {"d": "1"}},
        "e": "я",
        "h": "1",
    }
    assert json.loads(json.dumps(php_forms.parse("a[0]=x"))) == {"a": ["x"]}


@pytest.mark.contract("6.9")
@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("DD.MM.YYYY HH:MI:SS", "04.01.2026 00:05:09"),
        ("MM/DD/YYYY H:MI:SS T", "01/04/2026 12:05:09 am"),
        ("MM/DD/YYYY HH:MI TT", "01/04/2026 12:05 AM"),
        ("YYYY-MM-DD GG:MI", "2026-01-04 00:05"),
    ],
)
def test_s6_site_formats(pattern: str, wanted: str) -> None:
    assert site_format(datetime(2026, 1, 4, 0, 5, 9, tzinfo=UTC), pattern) == wanted


def test_s6_noon_and_evening() -> None:
    pattern = "H:MI T, HH:MI TT"
    assert site_format(datetime(2026, 1, 4, 12, 5, tzinfo=UTC), pattern) == "12:05 pm, 12:05 PM"
    assert site_format(datetime(2026, 1, 4, 21, 5, tzinfo=UTC), pattern) == "9:05 pm, 09:05 PM"
