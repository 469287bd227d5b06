"""§7: what a result may hold, and how it is sent."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from robots.types import OutputError, wire_outputs


def one(kind: str, value: Any, zone: str = "Europe/Moscow", **spelled: Any) -> Any:
    return wire_outputs({"x": {"Type": kind, **spelled}}, {"x": value}, zone).get("x", "left out")


@pytest.mark.contract("7.18")
@pytest.mark.parametrize(
    ("kind", "value", "wire"),
    [
        ("bool", True, "Y"),
        ("bool", False, "N"),
        ("int", 5, "5"),
        ("int", Decimal("5.00"), "5"),
        ("double", Decimal("900.450"), "900.450"),
        ("double", Decimal("1E+5"), "100000"),
        ("double", Decimal("-0.00"), "0.00"),
        ("double", 0.1, "0.1"),
        ("double", 1e22, "10000000000000000000000"),
        ("double", Decimal(1) / 3, "0.3333333333333333333333333333"),
        ("double", Decimal("1E-40"), "0"),
        ("date", date(2026, 11, 24), "2026-11-24T00:00:00+03:00"),
        ("date", datetime(2026, 11, 23, 22, tzinfo=UTC), "2026-11-24T00:00:00+03:00"),
        ("datetime", datetime(2026, 11, 24, 7, 5, 9, 123, tzinfo=UTC), "2026-11-24T10:05:09+03:00"),
        ("datetime", date(2026, 11, 24), "2026-11-24T00:00:00+03:00"),
        ("time", time(9, 5), "09:05"),
        ("string", "ё", "ё"),
        ("string", "", ""),
        ("text", "$result[x]", "$result[x]"),
        ("user", 5, "user_5"),
        ("user", "user_5", "user_5"),
        ("user", "group_g1", "group_g1"),
        ("file", "https://p.example/a.pdf", "https://p.example/a.pdf"),
        ("UF:money", "5|RUB", "5|RUB"),
        ("UF:money", Decimal("5.5"), "5.5"),
    ],
)
def test_s7_wire_form(kind: str, value: Any, wire: str) -> None:
    assert one(kind, value) == wire


def test_a_day_that_has_no_midnight() -> None:
    """Havana moved its clocks at 00:00 on 8 March 2026: the day began at 01:00."""
    assert one("date", date(2026, 3, 8), zone="America/Havana") == "2026-03-08T01:00:00-04:00"


@pytest.mark.contract("7.18")
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bool", "Y"),
        ("bool", 1),
        ("int", 5.5),
        ("int", True),
        ("int", "5"),
        ("double", "5"),
        ("double", float("nan")),
        ("double", float("inf")),
        ("double", Decimal("NaN")),
        ("double", 10**30),
        pytest.param("double", 10**5000, id="huge"),
        ("date", "2026-11-24"),
        ("date", datetime(2026, 11, 24, 10)),
        ("datetime", datetime(2026, 11, 24, 10)),
        ("string", 5),
        ("string", b"bytes"),
        ("string", "a\x00b"),
        ("string", "\ud800"),
        ("string", ["a"]),
        ("string", {"a": 1}),
        ("user", "nobody"),
        ("user", True),
        ("file", "SGVsbG8="),
        ("file", "javascript:alert(1)"),
        ("time", "10:00"),
    ],
)
def test_s7_wrong_values_are_refused_with_their_id(kind: str, value: Any) -> None:
    with pytest.raises(OutputError) as caught:
        one(kind, value)
    assert caught.value.id == "x"
    assert "“x”" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_none_and_the_unnamed_are_left_out() -> None:
    declared = {"x": {"Type": "int"}, "y": {"Type": "int"}}
    assert wire_outputs(declared, {"x": None}) == {}


def test_lists() -> None:
    assert one("int", [1, None, 2], Multiple="Y") == ["1", "2"]
    assert one("int", 1, Multiple="Y") == ["1"]
    assert one("int", [], Multiple="Y") == []
    with pytest.raises(OutputError, match="not declared as multiple"):
        one("int", [1])


def test_select_is_one_of_its_options() -> None:
    assert one("select", "a", Options={"a": "First"}) == "a"
    with pytest.raises(OutputError, match="one of: a"):
        one("select", "b", Options={"a": "First"})


def test_undeclared_names_and_other_shapes() -> None:
    with pytest.raises(OutputError, match="nowhere"):
        wire_outputs({}, {"nowhere": 1})
    with pytest.raises(OutputError, match="mapping"):
        wire_outputs({}, [1])


def test_size_counts_together_and_in_bytes() -> None:
    declared = {"x": {"Type": "text"}, "y": {"Type": "text"}, "z": {"Type": "text", "Multiple": "Y"}}
    assert wire_outputs(declared, {"x": "a" * 40}, limit=100)
    with pytest.raises(OutputError, match="larger"):
        wire_outputs(declared, {"x": "a" * 60, "y": "b" * 60}, limit=100)
    with pytest.raises(OutputError, match="larger"):
        wire_outputs(declared, {"x": "ё" * 60}, limit=100)
    with pytest.raises(OutputError, match="larger"):
        wire_outputs(declared, {"z": ["a" * 10] * 20}, limit=100)
