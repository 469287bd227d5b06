"""§7: the table of event.send in both generations, and whether a result arrived."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.sandbox.lab import Lab, eventually

BOTH = pytest.mark.parametrize("generation", ["background", "at_once"])


@pytest.mark.contract("7.3")
@BOTH
def test_s7_a_wrong_signature_is_denied(make_lab: Callable[..., Lab], generation: str) -> None:
    lab = make_lab(generation=generation)
    lab.robot()
    process, form = lab.run()
    token = form["event_token"]
    head, name, signature = token.split("|")
    for wrong in (
        "",
        "x",
        token[:-1] + ("0" if token[-1] != "0" else "1"),
        f"{head}0|{name}|{signature}",
        f"{token}|x",
    ):
        assert lab.send({"event_token": wrong}).error == (403, "ACCESS_DENIED", "Access denied!")
    assert lab.process(process)["state"] == "waiting"


@pytest.mark.contract("7.1", "1.4")
@BOTH
def test_s1_s7_a_waiting_process_takes_the_values_and_goes_on(
    make_lab: Callable[..., Lab], generation: str
) -> None:
    lab = make_lab(generation=generation)
    lab.robot()
    process, form = lab.run(properties={"amount": 10})
    assert lab.send(form, {"TOTAL": "9.5", "unknown": "x"}, log="ten less five").result is True
    found = lab.ended(process)
    assert found["values"] == {"total": "9.5"}, "names are case-insensitive, unknown ones ignored"
    assert found["is_timeout"] == "0"
    assert found["log"][-1]["text"] == "ten less five"
    assert found["steps"][0]["unknown"] == ["unknown"]
    assert found["steps"][0]["results"][0]["outcome"] == "resumed"


@pytest.mark.contract("1.4")
def test_s1_s7_at_once_has_gone_on_when_the_answer_comes(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(generation="at_once", continuation_seconds=0.2)
    lab.robot()
    process, form = lab.run()
    block = lab.send(form).json["time"]
    assert block["duration"] >= 0.2, "the continuation's time counts inside the call"
    assert block["operating"] >= 0.2
    assert lab.process(process)["state"] == "finished"


@pytest.mark.contract("7.4", "7.9")
@BOTH
def test_s7_a_spent_token_is_true_and_nothing_happens(make_lab: Callable[..., Lab], generation: str) -> None:
    lab = make_lab(generation=generation)
    lab.robot()
    process, form = lab.run(steps=[{"code": "discount"}, {"code": "discount"}])
    lab.send(form, {"total": "1"})
    eventually(lambda: lab.process(process)["position"] == 1)
    assert lab.send(form, {"total": "1"}).result is True
    found = lab.process(process)
    assert (found["state"], found["position"]) == ("waiting", 1)
    second = lab.call_of(process, 1)
    assert second["event_token"] != form["event_token"]
    assert lab.send(second, {"total": "2"}).result is True
    done = lab.ended(process)
    assert [step["values"] for step in done["steps"]] == [{"total": "1"}, {"total": "2"}]
    assert lab.stats()["doubled"] == 0
    assert lab.stats()["sends_repeated"] == 1


@pytest.mark.contract("7.5")
@pytest.mark.parametrize("end", ["finished", "terminate", "kill"])
@BOTH
def test_s7_an_ended_process(make_lab: Callable[..., Lab], generation: str, end: str) -> None:
    lab = make_lab(generation=generation)
    lab.robot()
    process, form = lab.run()
    if end == "finished":
        lab.send(form)
        lab.ended(process)
    else:
        lab.control(f"processes/{process['id']}/{end}")
        assert lab.process(process)["state"] == "terminated"
    answer = lab.send(form)
    if generation == "background":
        assert answer.result is True
    else:
        assert answer.error[:2] == (400, 404)
        lab.set(error_404_as_text=True)
        assert lab.send(form).error[:2] == (400, "404")


@pytest.mark.contract("7.6")
def test_s7_not_saved_yet_background_loses_the_result(lab: Lab) -> None:
    lab.robot()
    process, form = lab.run(save=20)
    assert lab.send(form).result is True
    eventually(lambda: lab.stats()["sends_lost"] == 1)
    assert lab.process(process)["state"] == "waiting"
    assert lab.stats()["lost"] == 1
    lab.sandbox.post("clock", {"advance": 21})
    assert lab.send(form).result is True
    lab.ended(process)
    assert lab.stats()["lost"] == 0
    assert lab.stats()["distinct"] == 1


@pytest.mark.contract("7.6")
def test_s7_not_saved_yet_at_once_is_404(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(generation="at_once")
    lab.robot()
    process, form = lab.run(save=20)
    assert lab.send(form).error[:2] == (400, 404)
    lab.sandbox.post("clock", {"advance": 21})
    assert lab.send(form).result is True
    assert lab.process(process)["state"] == "finished"


@pytest.mark.contract("7.7")
def test_s7_locked_background_loses_at_once_answers_423(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    lab.robot()
    process, form = lab.run(lock=300)
    assert lab.send(form).result is True
    eventually(lambda: lab.stats()["sends_lost"] == 1)
    lab.set(generation="at_once")
    assert lab.send(form).error[:2] == (400, 423)
    lab.sandbox.post("clock", {"advance": 301})
    assert lab.send(form).result is True
    assert lab.process(process)["state"] == "finished"


@pytest.mark.contract("7.8")
def test_s7_402_and_499_are_orderable(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(generation="at_once")
    lab.robot()
    _, form = lab.run()
    for number in ("402", "499"):
        lab.control(
            "faults", kind="error", level="command", methods=["bizproc.event.send"], error=number, count=1
        )
        assert lab.send(form).error[:2] == (400, int(number))
    assert lab.send(form).result is True


@pytest.mark.contract("7.10")
def test_s7_two_requests_at_once_lock_each_other_out(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(generation="at_once", continuation_seconds=1)
    lab.robot()
    process, form = lab.run()
    first: list[int] = []
    thread = threading.Thread(target=lambda: first.append(Lab.send(lab, form).status))
    thread.start()
    eventually(lambda: lab.process(process)["owned_until"])
    assert lab.rest("bizproc.event.send", {"EVENT_TOKEN": form["event_token"]}).error[:2] == (400, 423)
    thread.join()
    assert first == [200]


def test_s7_random_times_and_locks_come_from_the_seed(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(save=[5, 10], lock={"probability": 0.5, "seconds": 300}, seed=3)
    lab.robot()
    for _ in range(12):
        lab.control("run", code="discount")
    found = lab.read("processes?full=1")["items"]
    waits = [item["steps"][0]["saved_at"] - item["started_at"] for item in found]
    assert all(5 <= wait <= 10.01 for wait in waits)
    assert len({round(wait, 3) for wait in waits}) > 6
    assert not any(item["saved"] for item in found)
    locked = [item["owned_until"] - item["started_at"] > 100 for item in found]
    assert 0 < sum(locked) < 12


@pytest.mark.contract("7.2")
def test_s7_any_token_of_the_portal_with_the_scope_may_send(lab: Lab) -> None:
    lab.robot()
    process, form = lab.run()
    assert (
        lab.rest("bizproc.event.send", {"EVENT_TOKEN": form["event_token"]}, token=lab.token_of(5)).result
        is True
    )
    lab.ended(process)


@pytest.mark.contract("7.19", "5.7")
def test_s5_s7_a_robot_that_does_not_wait(lab: Lab) -> None:
    lab.robot(USE_SUBSCRIPTION=None)
    process, form = lab.run()
    assert form["use_subscription"] == "N"
    assert lab.process(process)["state"] == "finished"
    assert lab.send(form).result is True
    assert lab.process(process)["values"] == {}
    waiting, form = lab.run(subscription="Y")
    assert form["use_subscription"] == "Y"
    assert lab.process(waiting)["state"] == "waiting"


@pytest.mark.contract("7.20", "5.13", "6.15")
def test_s5_s6_s7_timeout_goes_on_with_is_timeout_and_ignores_what_comes_late(lab: Lab) -> None:
    lab.robot()
    process, form = lab.run(timeout=60)
    assert form["timeout_duration"] == "60"
    lab.sandbox.post("clock", {"advance": 61})
    found = lab.ended(process)
    assert (found["is_timeout"], found["values"]) == ("1", {})
    assert lab.send(form).result is True
    assert lab.process(process)["values"] == {}
    assert lab.stats()["timed_out"] == 1


@pytest.mark.contract("7.17")
def test_s7_activity_log_writes_while_waiting(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    lab.robot()
    process, form = lab.run()

    def log(text: str, token: str = form["event_token"]) -> Any:
        return lab.rest("bizproc.activity.log", {"EVENT_TOKEN": token, "LOG_MESSAGE": text})

    assert log("half way").result is True
    assert "half way" in [line["text"] for line in lab.process(process)["log"]]
    assert log(" ").error[:2] == (400, "ERROR_EMPTY_LOG_MESSAGE")
    assert log("x", "wrong").error[:2] == (403, "ACCESS_DENIED")
    lab.control(f"processes/{process['id']}/lock", seconds=100)
    assert log("x").error[:2] == (400, 423), "at once, in both generations"
    lab.control(f"processes/{process['id']}/lock", seconds=0)
    lab.send(form)
    lab.ended(process)
    assert log("x").error[:2] == (400, 404)


@pytest.mark.contract("7.9")
def test_s7_two_different_results_for_one_token_are_counted(lab: Lab) -> None:
    lab.robot()
    process, form = lab.run(save=100)
    lab.send(form, {"total": 5})
    lab.batch(
        {"a": ("bizproc.event.send", {"EVENT_TOKEN": form["event_token"], "RETURN_VALUES": {"TOTAL": "5"}})}
    )
    assert lab.stats()["doubled"] == 0, "5 and '5' are one result"
    lab.send(form, {"total": 6})
    assert lab.stats()["doubled"] == 1
    assert [item["hash"] for item in lab.process(process)["steps"][0]["results"]][0:2] != []


def instances(lab: Lab, ids: Any, **more: Any) -> list[dict[str, Any]]:
    params = {"SELECT": ["ID", "MODIFIED", "OWNED_UNTIL"], "FILTER": {"ID": ids}, "start": -1, **more}
    found: list[dict[str, Any]] = lab.rest("bizproc.workflow.instances", params).result
    return found


@pytest.mark.contract("7.11")
def test_s7_instances_lists_what_is_saved_and_not_ended(lab: Lab) -> None:
    lab.robot()
    process, form = lab.run(save=10)
    assert instances(lab, [process["id"]]) == []
    lab.sandbox.post("clock", {"advance": 11})
    row = instances(lab, [process["id"]])[0]
    assert set(row) == {"ID", "MODIFIED", "OWNED_UNTIL"}
    assert row["OWNED_UNTIL"] is None
    lab.send(form)
    lab.ended(process)
    assert instances(lab, [process["id"]]) == []
    employee = lab.rest("bizproc.workflow.instances", {}, token=lab.token_of(2))
    assert employee.error[:2] == (403, "ACCESS_DENIED")


@pytest.mark.contract("7.13", "7.14")
def test_s7_modified_moves_when_saved_freed_and_gone_on(lab: Lab) -> None:
    lab.robot()

    def modified() -> datetime:
        moment = datetime.fromisoformat(instances(lab, process["id"])[0]["MODIFIED"])
        assert moment.microsecond == 0
        assert moment.utcoffset() is not None
        return moment

    def now() -> float:
        return float(lab.sandbox.get("clock")["now"])

    process, form = lab.run(steps=[{"code": "discount"}, {"code": "discount"}], save=10)
    lab.sandbox.post("clock", {"advance": 20})
    saved = modified()
    assert abs(saved.timestamp() - (process["started_at"] + 10)) <= 1
    lab.control(f"processes/{process['id']}/lock", seconds=30)
    owned = instances(lab, process["id"])[0]["OWNED_UNTIL"]
    assert abs(datetime.fromisoformat(owned).timestamp() - now() - 30) <= 2
    assert modified() == saved, "a lock that holds has not moved it yet"
    lab.sandbox.post("clock", {"advance": 40})
    freed = modified()
    assert 28 <= (freed - saved).total_seconds() <= 42
    lab.sandbox.post("clock", {"advance": 100})
    lab.send(form)
    eventually(lambda: lab.process(process)["position"] == 1)
    assert (modified() - freed).total_seconds() >= 99


def test_s7_instances_filters_orders_and_pages(lab: Lab) -> None:
    lab.robot()
    ids = [lab.control("run", code="discount")["id"] for _ in range(60)]
    everything = lab.rest("bizproc.workflow.instances", {"SELECT": ["ID"], "ORDER": {"ID": "ASC"}})
    assert len(everything.json["result"]) == 50
    assert (everything.json["total"], everything.json["next"]) == (60, 50)
    rest = lab.rest("bizproc.workflow.instances", {"SELECT": ["ID"], "ORDER": {"ID": "ASC"}, "start": 50})
    assert sorted(row["ID"] for row in everything.json["result"] + rest.json["result"]) == sorted(ids)
    assert "next" not in rest.json
    silent = lab.rest("bizproc.workflow.instances", {"start": -1})
    assert not {"total", "next"} & set(silent.json)
    found = lab.batch(
        {"a": ("bizproc.workflow.instances", {"SELECT": ["ID"], "FILTER": {"ID": ids[:3]}, "start": 0})}
    )
    assert sorted(row["ID"] for row in found["result"]["a"]) == sorted(ids[:3])
    assert found["result_total"] == {"a": 3}
    future = {"FILTER": {">MODIFIED": "2100-01-01T00:00:00+00:00"}}
    assert lab.rest("bizproc.workflow.instances", future).result == []
    past = {"FILTER": {">=STARTED": "2000-01-01T00:00:00+00:00", "!ID": ids[0]}}
    assert lab.rest("bizproc.workflow.instances", past).json["total"] == 59


@pytest.mark.contract("7.15")
def test_s7_whether_a_list_of_ids_is_taken_is_orderable(lab: Lab) -> None:
    lab.robot()
    ids = [lab.control("run", code="discount")["id"] for _ in range(3)]
    for mode, wanted in (("list", ids[:2]), ("one", ids[1:2]), ("none", []), ("all", ids)):
        lab.set(ids_filter=mode)
        assert sorted(row["ID"] for row in instances(lab, ids[:2])) == sorted(wanted)
        assert [row["ID"] for row in instances(lab, ids[0])] == ids[:1], "one id is taken"
    lab.set(ids_filter="never")
    assert not instances(lab, ids[:2]) and not instances(lab, ids[0])


def test_s7_terminate_by_rest(lab: Lab) -> None:
    lab.robot()
    process, _ = lab.run()
    assert lab.rest("bizproc.workflow.terminate", {"ID": process["id"]}).result is True
    assert lab.process(process)["state"] == "terminated"
    assert lab.rest("bizproc.workflow.kill", {"ID": process["id"]}).error[1] == "ERROR_ARGUMENT"
