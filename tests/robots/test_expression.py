"""Expressions: what they compute, what they refuse, and that hostile ones stay small (design §3)."""

from __future__ import annotations

import resource
import time
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from robots.compute import Call, CallPortal
from robots.compute_types.expression import ExpressionCompute
from robots.expression import ExpressionError, parse
from robots.text_template import parse_template

VALUES: dict[str, Any] = {
    "amount": Decimal("1000.50"),
    "percent": Decimal(10),
    "count": 7,
    "title": "Straße",
    "nothing": None,
    "empty": "",
    "yes": True,
    "no": False,
    "tags": ["a", "", "b"],
    "numbers": [3, 1, 2],
    "day": date(2026, 11, 24),
    "moment": datetime(2026, 11, 24, 10, 30),
}


def value(source: str) -> Any:
    return parse(source, VALUES.keys()).value(VALUES)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("round(amount * (100 - percent) / 100, 2)", Decimal("900.45")),
        ("amount * 0.9", Decimal("900.450")),
        ("0.1 + 0.2 == 0.3", True),
        ("round(2.5)", Decimal(3)),
        ("round(-2.5)", Decimal(-3)),
        ("round(1.005, 2)", Decimal("1.01")),
        ("text(round(1234, -2))", "1200"),
        ("floor(-1.5)", Decimal(-2)),
        ("ceil(1.01, 1)", Decimal("1.1")),
        ("int('12.9')", Decimal(12)),
        ("number('1e3') + 1", Decimal(1001)),
        ("count % 4", Decimal(3)),
        ("-count + +1", Decimal(-6)),
        ("abs(-3)", Decimal(3)),
        ("min(3, 1, 2)", Decimal(1)),
        ("max(numbers)", Decimal(3)),
        ("sum(numbers)", Decimal(6)),
        ("sum(1, nothing, 2)", Decimal(3)),
        ("len(tags)", Decimal(3)),
        ("len(nothing)", Decimal(0)),
        ("upper(title)", "STRASSE"),
        ("lower('ABC') + '!'", "abc!"),
        ("trim('  a ')", "a"),
        ("concat(title, ' ', count, ' ', yes)", "Straße 7 Y"),
        ("join(tags, '-')", "a--b"),
        ("replace('aXbX', 'X', '--')", "a--b--"),
        ("left('abc', 2) + right('abc', 1) + right('abc', 9)", "abcabc"),
        ("contains(title, 'aß')", True),
        ("'a' in tags and 'z' not in tags", True),
        ("startswith(title, 'S') and endswith(title, 'e')", True),
        ("coalesce(nothing, empty, 'x')", "x"),
        ("first(tags)", "a"),
        ("nothing or empty or 'x'", "x"),
        ("'big' if amount > 1000 else 'small'", "big"),
        ("1 < 2 < 3 and not (1 < 3 < 2)", True),
        ("yes == 1", False),
        ("nothing == None", True),
        ("nothing != 5", True),
        ("'5' == 5", False),
        ("year(day) * 100 + month(day)", Decimal(202611)),
        ("add_days(day, 8)", date(2026, 12, 2)),
        ("days_between(day, add_days(moment, 3))", Decimal(3)),
        ("text(day) + ' ' + text(moment)", "2026-11-24 2026-11-24 10:30"),
        ("text(1 / 3)", "0." + "3" * 30),
        ("amount\n  * 2", Decimal("2001.00")),
        ("  count  ", Decimal(7)),
    ],
)
def test_values(source: str, expected: Any) -> None:
    got = value(source)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    "source",
    [
        "().__class__",
        "title.upper()",
        "'x'.ljust(2000000000)",
        "tags[0]",
        "tags[:]",
        "2 ** 3",
        "10 // 3",
        "1 << 9",
        "1 | 2",
        "~1",
        "lambda: 1",
        "[1, 2]",
        "(1, 2)",
        "{'a': 1}",
        "{1}",
        "[x for x in tags]",
        "f'{title}'",
        "b'x'",
        "1j",
        "...",
        "0x10",
        "0b1",
        "1_000",
        "(x := 5)",
        "yield 5",
        "await title",
        "amount = 5",
        "amount; amount",
        "import os",
        "__import__('os')",
        "eval('1')",
        "open('x')",
        "round(number=2.5)",
        "max(*tags)",
        "round()",
        "round(1, 2, 3)",
        "(round)(1)(2)",
        "round",
        "nobody + 1",
        "amount is None",
        "'\\x00'",
        "'\\ud800'",
        "\ud800",
        "a\x00b",
        "",
        "   ",
        "1 if",
        "9" * 31,
        "1e31",
        "amount # 2\n+ 5",
    ],
)
def test_refused_at_import(source: str) -> None:
    with pytest.raises(ExpressionError):
        parse(source, VALUES.keys())


@pytest.mark.parametrize("source", [None, 5, ["1"], {"a": 1}])
def test_only_text_is_an_expression(source: Any) -> None:
    with pytest.raises(ExpressionError):
        parse(source, ())


@pytest.mark.parametrize(
    "source",
    [
        "nothing + 1",
        "title + 1",
        "title * 3",
        "3 * 'ab'",
        "tags + tags",
        "-title",
        "yes + 1",
        "1 / 0",
        "5 % (count - 7)",
        "'a' < 1",
        "nothing < 1",
        "day < moment",
        "upper(5)",
        "round('x')",
        "round(1, 0.5)",
        "round(1, 31)",
        "number('x')",
        "number('1e999999999')",
        "int('1e999999')",
        "min(1, 'a')",
        "replace('a', '', 'b')",
        "add_days(day, 9999999999)",
        "add_days(day, 3000000)",
        "left('a', -1)",
        "5 in 'x'",
    ],
)
def test_refused_at_run_time_with_a_place(source: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(source)
    assert caught.value.column is not None


def test_columns_count_characters() -> None:
    for source in ("'ж' + nobody", "  amount + nobody", "amount\n+ nobody"):
        with pytest.raises(ExpressionError) as caught:
            parse(source, VALUES.keys())
        assert caught.value.column == source.index("nobody") + 1
    with pytest.raises(ExpressionError) as caught:
        value("  'ж' + (1 / 0)")
    assert caught.value.column == 10


def test_an_expression_knows_the_inputs_it_reads() -> None:
    assert parse("round(amount) + count", VALUES.keys()).names == {"amount", "count"}


BOMBS = [
    "(" * 490 + "1" + ")" * 490,
    "-" * 990 + "1",
    "not " * 240 + "1",
    "+".join(["1"] * 500),
    "1" + " if 1 else 1" * 80,
    "'x'" * 300,
    "replace(" * 20 + "'aaaaaaaaaa'" + ",'a','aaaaaaaaaa')" * 20,
    "concat(" * 14 + "'" + "x" * 500 + "'" + ")" * 14,
    "*".join(["9e29"] * 190),
    "/".join(["1e-29"] * 100),
    "9e30*" * 100 + "9e30",
    "join(tags, '" + "x" * 900 + "')",
    "==".join(["title"] * 140),
    "round(" * 120 + "1" + ")" * 120,
    "[" * 300,
    "a." * 400 + "a",
    "'%s' % title",
    "'{0.__class__}'.format(1)",
    "title + title + " * 55 + "title",
]


@pytest.mark.parametrize("source", BOMBS, ids=range(len(BOMBS)))
def test_bombs_stay_small(source: str) -> None:
    """Whatever they give, they take neither memory nor time. The peak may only grow by a little."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    huge = {**VALUES, "title": "x" * 60_000}
    try:
        parse(source, huge.keys()).value(huge)
    except ExpressionError:
        pass
    assert time.process_time() - began < 5, "runs away (a guard against hours, not a benchmark)"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_text_is_bounded_at_every_step() -> None:
    text = {"t": "x" * 60_000}
    for source in (
        "t + t",
        "concat(t, t)",
        "replace(t, 'x', 'xx')",
        "replace(t, 'x', t)",
        "left(t + t, 1)",
        "len(t + t)",
    ):
        with pytest.raises(ExpressionError, match="65536"):
            parse(source, ["t"]).value(text)
    assert parse("len(t)", ["t"]).value(text) == 60_000


def test_numbers_are_bounded() -> None:
    with pytest.raises(ExpressionError, match="grows"):
        value("*".join(["9e29"] * 60))


def _call(inputs: dict[str, Any]) -> Call:
    return Call("c", "code", inputs, CallPortal(None, {}))  # type: ignore[arg-type]  # no REST in an expression


def test_the_compute_type() -> None:
    compute = {
        "type": "expression",
        "returns": {"total": "amount * 2"},
        "log": "{amount} gives {total}{other} {{x}}",
    }
    result = ExpressionCompute().run(compute, _call({"amount": Decimal("1.50")}))
    assert result.values == {"total": Decimal("3.00")}
    assert result.log == "1.50 gives 3.00 {x}"


def test_the_compute_type_names_the_output_that_failed() -> None:
    with pytest.raises(ExpressionError, match="total: Division by zero"):
        ExpressionCompute().run({"returns": {"total": "1 / a"}}, _call({"a": Decimal(0)}))


def test_results_together_are_bounded() -> None:
    returns = dict.fromkeys(("a", "b"), "t")
    with pytest.raises(ExpressionError, match="larger"):
        ExpressionCompute().run({"returns": returns}, _call({"t": "x" * 40_000}))


@pytest.mark.parametrize(
    "source", ["{nobody}", "{amount.real}", "{amount!r}", "{}", "{amount:>10}", "{", "}", "{a{b}"]
)
def test_templates_know_names_only(source: str) -> None:
    with pytest.raises(ExpressionError):
        parse_template(source, ["amount"])


def test_a_template_is_cut_at_its_limit() -> None:
    template = parse_template("{t}" * 1000, ["t"])
    assert template.filled({"t": "x" * 1_000_000}, 4_000) == "x" * 4_000
