"""Bad input of every kind: a clear error where somebody sees it, nothing lost, others not delayed, memory
bounded (issue 12)."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from handlers import compute, refusals
from handlers.models import Invocation, ReceivedCall, RefusedCall
from portals.models import Portal
from robots.models import RobotVersion
from robots.runner import Runner
from tests.contract.office import Office
from tests.factories import PortalFactory
from tests.fuzz import wsgi
from tests.fuzz.budget import largest_mb
from tests.handlers.calls import FORM, form, post
from tests.handlers.rig import Rig
from tests.system.processes import until

pytestmark = pytest.mark.django_db(transaction=True)
MEGABYTE = 1024 * 1024


class Endless(io.RawIOBase):
    """A body that goes on; fails where more is read than a form may have."""

    def __init__(self, most: int) -> None:
        self.left = most

    def read(self, size: int = -1) -> bytes:
        assert 0 <= size <= self.left, "more was read than a form may hold"
        self.left -= size
        return b"x" * size


def knock(portal: Portal, body: bytes, kind: str = FORM, **more: Any) -> wsgi.Answer:
    return wsgi.knock(f"/b24/{portal.application.slug}/handler/", "POST", body, kind, **more)


def wire(portal: Portal, *more: tuple[str, str], **changes: Any) -> bytes:
    return urlencode([*form(portal, **changes).items(), *more]).encode()


RUBBISH: list[tuple[str, Callable[[Portal], tuple[bytes, str]], int, str]] = [
    ("brackets", lambda portal: (b"a" + b"[b]" * 10_000 + b"=1", FORM), 400, "form_unreadable"),
    ("fields", lambda portal: (b"&".join(b"a%d=1" % n for n in range(200_000)), FORM), 413, "form_too_big"),
    ("large", lambda portal: (b"a=" + b"x" * 3 * MEGABYTE, FORM), 413, "form_too_big"),
    (
        "json",
        lambda portal: (json.dumps({"auth": {"member_id": "x"}}).encode(), "application/json"),
        415,
        "type_wrong",
    ),
    ("multipart", lambda portal: (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"), 415, "type_wrong"),
    ("nothing", lambda portal: (b"", FORM), 400, "form_unreadable"),
    ("list", lambda portal: (wire(portal, ("auth[application_token][]", "x")), FORM), 400, "form_unreadable"),
    (
        "no token",
        lambda portal: (wire(portal, **{"auth[application_token]": None}), FORM),
        400,
        "form_unreadable",
    ),
    (
        "empty token",
        lambda portal: (wire(portal, **{"auth[application_token]": ""}), FORM),
        400,
        "form_unreadable",
    ),
    (
        "other portal",
        lambda portal: (wire(portal, **{"auth[member_id]": PortalFactory().member_id}), FORM),
        403,
        "portal_unknown",
    ),
    (
        "other token",
        lambda portal: (wire(portal, **{"auth[application_token]": "of-another"}), FORM),
        403,
        "token_wrong",
    ),
]


@pytest.mark.contract("6.18", "3.9")
@pytest.mark.parametrize(
    ("made", "status", "reason"), [row[1:] for row in RUBBISH], ids=[row[0] for row in RUBBISH]
)
def test_s6_s3_rubbish_is_told_and_noted_and_the_next_call_is_taken(
    portal: Portal, version: RobotVersion, made: Any, status: int, reason: str
) -> None:
    body, kind = made(portal)
    started = largest_mb()
    answer = knock(portal, body, kind)
    assert answer.status == status
    assert json.loads(answer.body)["error_description"]
    noted = RefusedCall.objects.get()
    assert (noted.reason, noted.application, noted.address) == (
        reason,
        portal.application.slug,
        "203.0.113.7",
    )
    assert largest_mb() - started < 150
    assert knock(portal, wire(portal)).status == 200
    assert Invocation.objects.count() == 1


@pytest.mark.contract("6.18")
@pytest.mark.parametrize("path", ["handler/", "install/", "events/", ""])
def test_s6_a_hundred_megabytes_are_refused_unread(portal: Portal, path: str) -> None:
    answer = wsgi.knock(
        f"/b24/{portal.application.slug}/{path}",
        "POST",
        kind=FORM,
        **{"CONTENT_LENGTH": str(100 * MEGABYTE), "wsgi.input": Endless(0)},
    )
    assert answer.status == 413


@pytest.mark.contract("6.1")
@pytest.mark.parametrize(("size", "status"), [(0, 200), (3 * MEGABYTE, 413)])
def test_s6_a_form_in_chunks_is_read_and_a_large_one_is_not_read_to_its_end(
    portal: Portal, version: RobotVersion, size: int, status: int
) -> None:
    whole = wire(portal) + b"&x=" + b"y" * size
    body = io.BytesIO(whole)
    chunked = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    assert knock(portal, b"", **chunked, **{"wsgi.input": body}).status == status
    assert body.tell() <= 2 * MEGABYTE + 1
    assert Invocation.objects.count() == (1 if status == 200 else 0)


def test_chunks_that_are_none_are_no_form(portal: Portal) -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError("Invalid chunk size")

    chunked = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    assert knock(portal, b"", **chunked, **{"wsgi.input": Broken()}).status == 400


@pytest.mark.contract("6.17")
def test_s6_of_equal_names_the_last_counts_and_conflicting_ones_are_read_as_php_does(
    portal: Portal, version: RobotVersion
) -> None:
    body = wire(
        portal, ("properties[amount]", "7"), ("properties[amount][x]", "8"), ("properties[amount]", "9")
    )
    assert knock(portal, body).status == 200
    assert json.loads(ReceivedCall.objects.get().call)["properties"] == {"amount": "9"}


@pytest.mark.contract("6.12")
@pytest.mark.parametrize("number", ["9" * 40, "1e999999", "NaN", "0x10", "1,000.5", "-", "1" * 100_000])
def test_s6_what_is_no_number_fails_with_a_sentence_and_others_go_on(rig: Rig, number: str) -> None:
    rig.robot()
    bad = rig.run(properties={"amount": number})
    until(lambda: Invocation.objects.count() == 1, "the call is in", 20)
    good = rig.run(properties={"amount": "21"})
    until(lambda: Invocation.objects.count() == 2, "the calls are in", 20)
    rig.work()
    row = Invocation.objects.get(workflow_id=rig.process(bad)["id"])
    assert (row.state, row.cause) == ("failed", "input_wrong")
    told = row.attempts.get().text
    assert "amount" in told and len(told) < 1000
    until(lambda: rig.process(good)["state"] == "finished", "the good one goes on", 20)


# Robots that misbehave --------------------------------------------------------------------------------------


@pytest.fixture
def sample_robots(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    """A runner of this test's own, that knows the sample functions and has little time and memory."""
    monkeypatch.setenv("ROBOT_APPS", "tests.robots.sample_handlers")
    settings.ROBOT_TIME_LIMIT = 2
    own = Runner(memory_mb=128)
    monkeypatch.setattr(compute, "_runner", own)
    yield
    own.close()


OUT = {
    "USE_SUBSCRIPTION": "Y",
    "NAME": {"en": "Sample"},
    "RETURN_PROPERTIES": {
        "text": {"Name": "T", "Type": "string"},
        "total": {"Name": "N", "Type": "double"},
    },
}
MISBEHAVIOUR = {
    "raises": "robot_error",
    "exits": "robot_error",
    "hangs_in_c": "time_limit",
    "loops": "time_limit",
    "eats_memory": "memory",
    "os_exit": "process_died",
    "segfault": "process_died",
    "undeclared": "output_wrong",
    "wrong_type": "output_wrong",
    "no_result": "output_wrong",
    "large": "output_wrong",
    "no_such_function": "code_unknown",
    "prints": "",
    "forks": "",
    "scribbles": "process_died",
}


@pytest.mark.contract("6.18")
@pytest.mark.parametrize("function", MISBEHAVIOUR)
def test_s6_a_robot_that_misbehaves_costs_its_own_call_alone(
    sample_robots: None, make_rig: Callable[..., Rig], function: str
) -> None:
    rig = make_rig()
    compute_of = {"type": "python", "function": f"sample.{function}"}
    rig.robot("bad", compute=compute_of, payload=OUT)
    rig.robot("good")
    bad, good = rig.run("bad", properties={}), rig.run("good")
    until(lambda: Invocation.objects.count() == 2, "the calls are in", 20)
    rig.work()
    for _ in range(4):
        # The next tries are due at once: what their delays are is tested elsewhere.
        Invocation.objects.filter(state="received").update(due_at="2020-01-01T00:00:00+00:00")
        rig.work()
    row = Invocation.objects.get(robot_code="bad")
    cause = MISBEHAVIOUR[function]
    assert (row.state, row.cause) == ("failed" if cause else "delivered", cause)
    if cause:
        assert row.attempts.last().text
        assert rig.process(bad)["state"] == "waiting"
    until(lambda: rig.process(good)["state"] == "finished", "the good one goes on", 20)
    assert rig.stats()["doubled"] == 0


@pytest.mark.contract("5.22")
def test_s5_a_property_removed_between_versions_is_still_there_for_calls_of_the_old_one(rig: Rig) -> None:
    old = rig.robot()
    number = rig.run(properties={"amount": "21"})
    until(lambda: Invocation.objects.count() == 1, "the call is in", 20)
    payload = {
        "CODE": "double",
        "USE_SUBSCRIPTION": "Y",
        "NAME": {"en": "D"},
        "RETURN_PROPERTIES": OUT["RETURN_PROPERTIES"],
    }
    from tests.factories import RobotVersionFactory

    RobotVersionFactory(
        robot=old.robot, number=2, payload=payload, compute={"type": "expression", "returns": {"total": "1"}}
    )
    rig.work()
    assert Invocation.objects.get().version_id == old.pk
    done = until(lambda: (p := rig.process(number))["state"] == "finished" and p, "it goes on", 20)
    assert float(done["steps"][0]["values"]["total"]) == 42


# What portals answer ------------------------------------------------------------------------------------------


@pytest.mark.contract("4.2", "4.17")
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "html", "status": 200},
        {"kind": "html", "status": 502},
        {"kind": "500"},
        {"kind": "drop_before"},
        {"kind": "drop_after"},
        {"kind": "error", "error": "", "status": 500},
        {"kind": "error", "error": "423", "level": "command", "methods": ["bizproc.event.send"]},
        {"kind": "error", "error": "QUERY_LIMIT_EXCEEDED", "status": 200},
    ],
    ids=str,
)
def test_s4_an_odd_answer_delays_its_own_portal_alone_and_loses_nothing(
    make_office: Callable[[], Office], settings: Any, fault: dict[str, Any]
) -> None:
    office = make_office()
    office.robot()
    odd, well = office.start(), office.start()
    office.control.post(f"portals/{odd}/faults", **fault, count=2)
    number, _row = office.run(odd)
    other, _row = office.run(well)
    office.work()
    office.finished(well, other)
    for _ in range(6):
        office.later(61, settings)
        office.work()
    office.finished(odd, number)
    stats = office.control.stats(odd)
    assert (stats["doubled"], stats["distinct"]) == (0, 1)


# The log of refused calls -------------------------------------------------------------------------------------


@pytest.mark.contract("3.9")
def test_s3_the_log_of_refused_calls_is_bounded_and_holds_no_token(
    portal: Portal, version: RobotVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "KEPT", 5)
    monkeypatch.setattr(refusals, "_PER_MINUTE", 10**6)
    for number in range(12):
        refused = {"auth[application_token]": f"secret-of-nobody-{number}", "auth[domain]": "evil.example"}
        assert post(portal, **refused).status_code == 403
    refusals.trim()
    rows = list(RefusedCall.objects.values())
    assert len(rows) == 5
    assert {row["domain"] for row in rows} == {"evil.example"}
    assert "secret-of" not in str(rows)


def test_a_flood_of_rubbish_writes_a_few_rows_a_minute(
    portal: Portal, version: RobotVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_minute", (0, 0))
    for _ in range(refusals._PER_MINUTE + 40):
        assert knock(portal, b"a=1").status == 400
    # Two minutes may have been touched, not more.
    assert RefusedCall.objects.count() <= 2 * refusals._PER_MINUTE
