"""The public API of robot code and the registries behind it."""

from __future__ import annotations

import base64
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from robots import compute
from robots.compute import Call, CodeMissing, NotInTestRun, PortalError, Result, robot_handler
from robots.computing import compute_job
from robots.hiding import Scrubber
from robots.job import Job
from tests.robots.runner_jobs import job


class Client:
    """A portal that is not asked for anything."""

    def call(self, method: str, params: Any = None) -> Any:
        raise PortalError("QUERY_LIMIT_EXCEEDED", "later", 5.0)


@pytest.fixture(autouse=True)
def _samples() -> None:
    import tests.robots.sample_handlers.robot_handlers  # noqa: F401  (registers its names)


@pytest.fixture
def _clean_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "_handlers", dict(compute._handlers))


def run(what: Job) -> tuple[Any, list[str], list[str]]:
    lines: list[str] = []
    started: list[str] = []
    return compute_job(what, Client(), lines.append, started.append), lines, started


def test_the_designs_example() -> None:
    outcome, lines, started = run(job("discount"))
    assert outcome.ok
    assert outcome.values == {"total": "900.45"}
    assert outcome.log == "total 900.45"
    assert lines == ["counting call-1"]
    assert started == [outcome.revision]


def test_an_expression_job() -> None:
    what = job("", compute={"type": "expression", "returns": {"total": "amount * percent"}, "log": "{total}"})
    outcome, _lines, _started = run(what)
    assert (outcome.values, outcome.log, outcome.ok) == ({"total": "10005.00"}, "10005.00", True)


def test_an_expression_that_fails_is_the_robots_error() -> None:
    outcome, _lines, _started = run(
        job("", compute={"type": "expression", "returns": {"total": "amount / 0"}})
    )
    assert outcome.cause == "robot_error"
    assert outcome.error["type"] == "ExpressionError"
    assert "Division by zero" in outcome.sentence
    assert outcome.error["file"] == ""


@pytest.mark.parametrize(
    ("function", "cause"),
    [
        ("raises", "robot_error"),
        ("exits", "robot_error"),
        ("undeclared", "output_wrong"),
        ("wrong_type", "output_wrong"),
        ("no_result", "output_wrong"),
        ("large", "output_wrong"),
        ("gone", "code_unknown"),
    ],
)
def test_causes(function: str, cause: str) -> None:
    outcome, _lines, _started = run(job(function))
    assert (outcome.ok, outcome.cause) == (False, cause)
    assert outcome.sentence
    assert outcome.values == {}


def test_wrong_inputs() -> None:
    outcome, _lines, started = run(job("discount", inputs={"amount": "much"}))
    assert outcome.cause == "input_wrong"
    assert "“amount” came as “much”" in outcome.sentence
    assert started, "the revision is known all the same"


def test_unknown_compute_types() -> None:
    for wrong in ({}, {"type": "magic"}, {"type": None}, {"type": ["python"]}):
        assert run(job("", compute=wrong))[0].cause == "code_unknown"


def _line_of(text: str) -> int:
    source = Path(__file__).with_name("sample_handlers") / "robot_handlers.py"
    return next(n for n, line in enumerate(source.read_text().splitlines(), 1) if text in line)


def test_errors_tell_the_line_of_the_integrators_code_and_no_secret() -> None:
    outcome, lines, _started = run(job("raises"))
    assert outcome.error == {
        "type": "ValueError",
        "message": "invalid literal for int() with base 10: 'no number •••'",
        "file": "tests/robots/sample_handlers/robot_handlers.py",
        "line": _line_of("# the line that tests look for"),
    }
    assert lines == ["before •••"]
    assert "secret" not in str(outcome)


def test_an_error_deep_in_a_library_is_told_by_the_line_that_called_it() -> None:
    outcome, _lines, _started = run(job("json_error"))
    assert outcome.error["type"] == "JSONDecodeError"
    assert outcome.error["line"] == _line_of('json.loads("{")')


def test_settings_are_at_hand_and_scrubbed_from_the_log() -> None:
    outcome, _lines, _started = run(job("settings"))
    assert outcome.values == {"text": "ve"}
    assert outcome.log == "key is •••"


def test_scrubber_knows_the_usual_spellings() -> None:
    hide = Scrubber({"a": "very/secret key", "b": "very", "c": "x", "d": "line\nbreak"})
    said = "very/secret key very%2Fsecret%20key very%2Fsecret+key very line\\nbreak x \x00\ud800"
    assert hide(said) == "••• ••• ••• ••• ••• x ?"


def test_scrubber_knows_encodings_and_cases() -> None:
    secret = "Ünt/er+Secret?42"
    hide = Scrubber({"key": secret})
    written = [
        secret.upper(),
        secret.lower(),
        quote(secret.lower(), safe=""),
        re.sub("%..", lambda escape: escape[0].lower(), quote(secret, safe="")),
        json.dumps(secret)[1:-1],
        str(secret.encode())[2:-1],
        str(ValueError(secret.lower().encode()))[2:-1],
        secret.encode().hex(),
        secret.encode().hex().upper(),
    ]
    assert set(hide("|".join(written))) == {"•", "|"}


@pytest.mark.parametrize("before", ["", "u:", "us:", "usr:"])
@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_scrubber_finds_a_setting_within_base64(before: str, after: str, encode: Any) -> None:
    secret = "Ünt/er+Secret?>42"
    told = Scrubber({"key": secret})(
        f"Basic {encode(f'{before}{secret}{after}'.encode()).decode()} was refused"
    )
    assert told.startswith("Basic ") and told.endswith(" was refused") and "•••" in told
    # Nothing of the value's bits is left beside what was hidden.
    left = told[6:-12].replace("•••", "").rstrip("=")
    assert len(left) <= len(before) * 8 // 6 - (-len(after) * 8 // 6)


def test_a_short_setting_is_no_secret() -> None:
    assert Scrubber({"a": "ab", "b": "abc"})("ab abc abd") == "ab ••• abd"


@pytest.mark.parametrize("before", [3_990, 19_990])
def test_a_setting_across_the_cut_leaves_no_beginning(before: int) -> None:
    hide = Scrubber({"key": "the-secret-key-of-the-shop"})
    said = hide.cut("x" * before + "the-secret-key-of-the-shop" + "y" * 100, before + 5)
    assert "the" not in said and said.startswith("x" * 1_000)
    many = hide.cut("the-secret-key-of-the-shop" * 1_000, 4_000)
    assert set(many) == {"•"}


def test_a_robots_texts_are_hidden_before_they_are_cut() -> None:
    secret = "the-secret-key"
    for function in ("says_much", "logs_much", "raises_much"):
        outcome, lines, _started = run(job(function, settings={"erp_key": secret}))
        said = f"{outcome.log} {lines} {outcome.error} {outcome.sentence}"
        assert "x" * 1_000 in said and "the-" not in said, function


def test_a_test_run_has_no_portal() -> None:
    for function in ("rest", "settings"):
        what = job(function, trial=True)

        class Trial(Client):
            def call(self, method: str, params: Any = None) -> Any:
                raise NotInTestRun

        outcome = compute_job(what, Trial(), lambda line: None, lambda revision: None)
        assert (outcome.cause, outcome.error["message"]) == ("robot_error", "not in a test run")


def test_a_request_that_may_pass_says_when_to_try_again() -> None:
    outcome, _lines, _started = run(job("rest_uncaught"))
    assert (outcome.cause, outcome.retry_after) == ("robot_error", 5.0)
    assert run(job("raises"))[0].retry_after is None


def test_log_lines_are_bounded() -> None:
    _outcome, lines, _started = run(job("chatter"))
    assert lines == [str(number) for number in range(50)]


def test_call_hides_settings_in_its_repr() -> None:
    call = Call("c", "x", {}, compute.CallPortal(Client(), {"erp_key": "very secret"}))
    assert "very secret" not in repr(call)


@pytest.mark.usefixtures("_clean_registry")
def test_names_are_taken_once() -> None:
    def first(call: Call) -> Result:
        return Result()

    def second(call: Call) -> Result:
        return Result()

    robot_handler("test.once")(first)
    robot_handler("test.once")(first)
    with pytest.raises(ValueError, match="has that name already"):
        robot_handler("test.once")(second)


@pytest.mark.parametrize("name", ["", "a b", "1a", "a..b", ".a", "a.", "ж" * 3 + "-", "a" * 201])
def test_names_are_dotted_identifiers(name: str) -> None:
    with pytest.raises(ValueError, match="dotted names"):
        robot_handler(name)


@pytest.mark.usefixtures("_clean_registry")
def test_the_revision_is_that_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def revision(body: str) -> str:
        (tmp_path / "revised.py").write_text(
            textwrap.dedent(
                f"""
                from robots.compute import Result, robot_handler

                @robot_handler("test.revised")
                def revised(call):
                    return Result({{"x": {body}}})
                """
            )
        )
        sys.modules.pop("revised", None)
        compute._handlers.pop("test.revised", None)
        __import__("revised")
        return compute.handler("test.revised").revision

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    one, two, again = revision("1"), revision("2"), revision("1")
    assert one == again != two
    assert len(one) == 12
    sys.modules.pop("revised", None)


@pytest.mark.usefixtures("_clean_registry")
def test_a_broken_app_is_named_and_takes_no_other_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "load_errors", {"shop": ImportError("no module named erp")})
    assert compute.handler("sample.discount").name == "sample.discount"
    with pytest.raises(
        CodeMissing, match=r"shop\.robot_handlers could not be loaded \(ImportError: no module"
    ):
        compute.handler("shop.discount")


def test_both_compute_types_are_registered() -> None:
    assert {"python", "expression"} <= set(compute.compute_type_names())
