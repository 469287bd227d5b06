"""§4: batch, the leaky bucket, operating time, and the faults that can be ordered."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from tests.sandbox.lab import Lab


@pytest.mark.contract("4.9", "4.10")
def test_s4_batch_answers_by_key_and_empty_maps_as_lists(lab: Lab) -> None:
    found = lab.batch({"who": ("profile", {}), "none": ("no.such.method", {})})
    assert found["result"]["who"]["ID"] == "1"
    assert found["result_error"] == {
        "none": {"error": "ERROR_METHOD_NOT_FOUND", "error_description": "Method not found!"}
    }
    assert found["result_total"] == found["result_next"] == []
    assert found["result_time"]["who"]["operating"] >= 0
    good = lab.batch({"who": ("profile", {})})
    assert good["result_error"] == []
    assert lab.rest("batch", {"cmd": {}}).result["result"] == []


def test_s4_batch_takes_lists_and_answers_with_lists(lab: Lab) -> None:
    found = lab.rest("batch", {"cmd": ["profile", "server.time"]}).result
    assert [type(item) for item in found["result"]] == [dict, str]


@pytest.mark.contract("4.11")
def test_s4_batch_of_more_than_50(lab: Lab) -> None:
    found = lab.batch({f"k{number}": ("profile", {}) for number in range(53)})
    assert len(found["result"]) == 50
    assert {key: item["error"] for key, item in found["result_error"].items()} == dict.fromkeys(
        ("k50", "k51", "k52"), "ERROR_BATCH_LENGTH_EXCEEDED"
    )


@pytest.mark.contract("4.11")
def test_s4_batch_in_a_batch(lab: Lab) -> None:
    found = lab.batch({"inner": ("batch", {}), "who": ("profile", {})})
    assert found["result_error"]["inner"]["error"] == "ERROR_BATCH_METHOD_NOT_ALLOWED"
    assert found["result"]["who"]["ID"] == "1"


def test_s4_batch_halts_where_asked(lab: Lab) -> None:
    commands: dict[str, tuple[str, dict[str, Any]]] = {
        "a": ("profile", {}),
        "b": ("no.such.method", {}),
        "c": ("profile", {}),
    }
    assert set(lab.batch(commands, halt=1)["result"]) == {"a"}
    assert set(lab.batch(commands)["result"]) == {"a", "c"}


@pytest.mark.contract("4.12")
def test_s4_batch_substitutes_earlier_answers(lab: Lab) -> None:
    lab.robot()
    process, form = lab.run()
    values = {
        "EVENT_TOKEN": form["event_token"],
        "RETURN_VALUES": {"total": "<$result[who][NAME]>"},
        "LOG_MESSAGE": "$error[no]",
    }
    lab.batch(
        {"who": ("profile", {}), "no": ("no.such.method", {}), "send": ("bizproc.event.send", values)},
    )
    assert lab.ended(process)["values"] == {"total": "<Anna>"}
    names = lab.batch({"who": ("profile", {}), "get": ("method.get", {"name": "$result[who][NAME]"})})
    assert names["result"]["get"]["isExisting"] is False
    missing = lab.batch({"get": ("method.get", {"name": "$result[nobody][NAME]"})})
    assert missing["result_error"]["get"]["error"] == "ERROR_ARGUMENT", "nothing there is nothing sent"


def test_s4_batch_without_a_token_is_one_error(lab: Lab) -> None:
    assert lab.rest("batch", {"cmd": {"a": "profile"}}, token=None).error[:2] == (401, "NO_AUTH_FOUND")


@pytest.mark.contract("4.7")
def test_s4_bucket_holds_50_and_drains_2_a_second(lab: Lab, sandbox: Any) -> None:
    sandbox.post("clock", {"advance": 0})
    answers = [lab.rest("profile").status for _ in range(60)]
    assert answers[:50] == [200] * 50
    assert 503 in answers
    failure = lab.rest("profile")
    if failure.status == 200:
        failure = lab.rest("profile")
    assert failure.error[:2] == (503, "QUERY_LIMIT_EXCEEDED")
    sandbox.post("clock", {"advance": 10})
    more = [lab.rest("profile").status for _ in range(20)]
    assert more == [200] * 20, "ten seconds drain twenty"
    assert lab.stats()["limit_503"] >= 1


@pytest.mark.contract("4.8")
def test_s4_bucket_counts_requests_not_commands_and_not_on_a_box(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    for _ in range(10):
        assert len(lab.batch({f"k{number}": ("profile", {}) for number in range(50)})["result"]) == 50
    box = make_lab(edition="box")
    assert [box.rest("profile").status for _ in range(80)] == [200] * 80
    rich = make_lab(enterprise=True)
    assert [rich.rest("profile").status for _ in range(120)] == [200] * 120


@pytest.mark.contract("4.8", "1.2")
def test_s1_s4_bucket_is_shared_by_the_applications_of_a_portal(lab: Lab) -> None:
    for _ in range(50):
        lab.rest("profile")
    statuses = [lab.rest("profile", token="nonsense").status for _ in range(5)]
    assert 503 in statuses, "whoever asks: it is the portal's"


@pytest.mark.contract("4.14")
def test_s4_operating_time_closes_a_method_until_the_oldest_basket_falls_out(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(operating={"scope": 200})
    moments = []
    for _ in range(3):
        moments.append(lab.rest("scope").json["time"])
        lab.sandbox.post("clock", {"advance": 60})
    assert [round(moment["operating"]) for moment in moments] == [200, 400, 600]
    assert lab.rest("scope").error[:2] == (429, "OPERATION_TIME_LIMIT")
    assert lab.rest("profile").status == 200, "it is counted by method"
    inside = lab.batch({"a": ("scope", {}), "b": ("profile", {})})
    assert inside["result_error"]["a"]["error"] == "OPERATION_TIME_LIMIT"
    assert inside["result"]["b"]["ID"] == "1"
    reset_at = moments[-1]["operating_reset_at"]
    lab.sandbox.post("clock", {"advance": reset_at - lab.sandbox.get("clock")["now"] + 0.1})
    assert round(lab.rest("scope").json["time"]["operating"]) == 600
    assert lab.stats()["limit_429"] == 2


def test_s4_operating_counts_in_a_batch_but_not_for_the_batch(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(operating={"scope": 10})
    body = lab.rest("batch", {"cmd": {"a": "scope", "b": "scope"}}).json
    assert [round(item["operating"]) for item in body["result"]["result_time"].values()] == [10, 20]
    assert body["time"]["operating"] == 0
    box = make_lab(edition="box", operating={"scope": 1000})
    assert [box.rest("scope").status for _ in range(3)] == [200] * 3


@pytest.mark.contract("4.15")
def test_s4_one_request_runs_its_time_at_most(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(generation="at_once", continuation_seconds=0.15, request_seconds=0.2, edition="box")
    lab.robot()
    tokens = [lab.run()[1] for _ in range(4)]
    commands = {
        f"k{number}": ("bizproc.event.send?" + urlencode({"EVENT_TOKEN": form["event_token"]}))
        for number, form in enumerate(tokens)
    }
    answer = lab.rest("batch", {"cmd": commands})
    assert answer.status == 504
    assert answer.json is None
    assert 1 <= lab.stats()["finished"] < 4, "some took effect, what was not reached did not"


def order(lab: Lab, **fault: Any) -> Any:
    return lab.control("faults", **fault)


@pytest.mark.contract("4.2")
def test_s4_faults_before_the_request_takes_effect(lab: Lab) -> None:
    for kind, wanted in (
        ("503", (503, "QUERY_LIMIT_EXCEEDED")),
        ("429", (429, "OPERATION_TIME_LIMIT")),
        ("500", (500, "INTERNAL_SERVER_ERROR")),
        ("expired_token", (401, "expired_token")),
    ):
        order(lab, kind=kind, count=1)
        assert lab.rest("profile").error[:2] == wanted
    order(lab, kind="html", count=1)
    page = lab.rest("profile")
    assert (page.status, page.json) == (502, None)
    order(lab, kind="error", count=1, error="OVERLOAD_LIMIT", status=503, description="busy")
    assert lab.rest("profile").error == (503, "OVERLOAD_LIMIT", "busy")
    order(lab, kind="error", count=1, error="", status=200)
    assert lab.rest("profile").error == (200, "", "ordered fault"), "an error may be empty, and come with 200"
    order(lab, kind="drop_before", count=1)
    with pytest.raises(requests.ConnectionError):
        lab.robot()
    order(lab, kind="silence", seconds=0.1, count=1)
    with pytest.raises(requests.ConnectionError):
        lab.robot()
    assert lab.rest("bizproc.robot.list").result == []
    assert lab.read("faults")["items"] == [], "a used-up fault is gone"
    assert lab.stats()["faults_played"] == 9


def test_faults_after_the_request_took_effect(lab: Lab) -> None:
    order(lab, kind="drop_after", count=1)
    with pytest.raises(requests.ConnectionError):
        lab.robot("one")
    order(lab, kind="silence_after", seconds=0.1, count=1)
    with pytest.raises(requests.ConnectionError):
        lab.robot("two")
    assert lab.rest("bizproc.robot.list").result == ["one", "two"]


def test_faults_by_method_by_command_and_by_chance(lab: Lab) -> None:
    order(lab, kind="500", methods=["scope"])
    order(lab, kind="error", error="423", level="command", methods=["profile"], count=1)
    assert lab.rest("scope").status == 500
    assert lab.rest("server.time").status == 200
    found = lab.batch({"a": ("profile", {}), "b": ("profile", {})})
    assert found["result_error"]["a"]["error"] == 423
    assert found["result"]["b"]["ID"] == "1"
    assert lab.sandbox.delete(f"portals/{lab.name}/faults")["ended"] == 1
    order(lab, kind="500", probability=0.5, seed=7)
    played = [lab.rest("scope").status for _ in range(30)]
    assert 5 < played.count(500) < 25
    again = Lab(lab.sandbox, lab.hub)
    order(again, kind="500", probability=0.5, seed=7)
    assert [again.rest("scope").status for _ in range(30)] == played, "the same seed plays the same"


def test_faults_latency_holds_one_request_not_the_others(lab: Lab) -> None:
    order(lab, kind="latency", seconds=0.3, count=1)
    started = time.monotonic()
    lab.rest("profile")
    assert time.monotonic() - started >= 0.3
    assert lab.stats()["max_request_seconds"] >= 0.3


def test_faults_that_make_no_sense_are_refused(lab: Lab) -> None:
    assert "nonsense" in lab.control("faults", 400, kind="nonsense")["error"]
    assert "probability" in lab.control("faults", 400, kind="500", probability=2)["error"]
    assert "colour" in lab.control("faults", 400, kind="500", colour="red")["error"]
