"""§5, §6: what a handler call brings, typed by the robot's properties."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from robots.types import InputError, UserRef, learned_date_format, typed_inputs

BERLIN = ZoneInfo("Europe/Berlin")


def one(kind: str, raw: Any, zone: str = "Europe/Berlin", date_format: str = "", **spelled: Any) -> Any:
    """The value of one property `x`; raw ABSENT leaves it out."""
    came = {} if raw is ABSENT else {"x": raw}
    return typed_inputs({"x": {"Type": kind, **spelled}}, came, zone, date_format)["x"]


ABSENT = object()


@pytest.mark.contract("6.8")
@pytest.mark.parametrize(
    ("raw", "value"),
    [("Y", True), ("N", False), ("1", True), ("0", False), ("true", True), ("FALSE", False), (["y"], True)],
)
def test_s6_bool(raw: Any, value: bool) -> None:
    assert one("bool", raw) is value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("1000.50", "1000.50"),
        ("-0.1", "-0.1"),
        (" 5 ", "5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1.0E+25", "10000000000000000000000000"),
        ("9" * 30, "9" * 30),
        ("-0", "0"),
        ("0E+30", "0"),
        ({"0": "7"}, "7"),
    ],
)
def test_double_is_an_exact_decimal(raw: Any, value: str) -> None:
    got = one("double", raw)
    assert isinstance(got, Decimal)
    assert got == Decimal(value)
    assert str(got)[0] != "-" or got < 0


@pytest.mark.contract("6.12")
@pytest.mark.parametrize(
    "raw",
    [
        "9" * 31,
        "1e31",
        "1e-31",
        "1e999999999",
        "NaN",
        "Infinity",
        "1,5",
        "1 000",
        "0x10",
        "1_0",
        "٣",
        "--1",
        ".",
    ],
)
def test_s6_numbers_that_are_refused(raw: str) -> None:
    with pytest.raises(InputError) as caught:
        one("double", raw)
    assert caught.value.id == "x"
    assert raw[:150] in str(caught.value)


def test_a_long_number_is_refused_quickly_and_quoted_shortly() -> None:
    with pytest.raises(InputError) as caught:
        one("double", "9" * 1_000_000)
    assert len(caught.value.came) <= 200


def test_int_takes_whole_numbers_only() -> None:
    assert one("int", "42") == 42
    assert one("int", "42.00") == 42
    with pytest.raises(InputError, match="whole number"):
        one("int", "4.2")


def test_empty_is_the_default_else_nothing() -> None:
    assert one("double", "") is None
    assert one("double", ABSENT) is None
    assert one("double", ABSENT, Default=10) == Decimal(10)
    assert one("double", [""], Default="2.5") == Decimal("2.5")
    assert one("bool", "", Default=True) is True
    assert one("string", ABSENT, Multiple="Y") == []
    assert one("string", ABSENT, Multiple="Y", Default=["a", "b"]) == ["a", "b"]
    assert one("string", {}, Multiple=True) == []
    assert one("string", "0", Default="d") == "0", "a zero is a value"


def test_lists_in_every_form_they_come() -> None:
    """§6: a list with other keys than 0…n, a single value, `x[0]` of one that is not multiple."""
    assert one("string", {"3": "a", "7": "b"}, Multiple="Y") == ["a", "b"]
    assert one("int", ["1", "", "2"], Multiple="Y") == [1, 2]
    assert one("string", "a", Multiple="Y") == ["a"]
    assert one("string", ["a"]) == "a"
    assert one("string", {"n0": "a"}) == "a"
    with pytest.raises(InputError, match="one value"):
        one("string", ["a", "b"])
    with pytest.raises(InputError):
        one("string", {"0": {"1": "deep"}}, Multiple="Y")


def test_whatever_properties_are_not_a_map_counts_as_absent() -> None:
    for raw in (None, [], "text", 5):
        assert typed_inputs({"x": {"Type": "string"}}, raw) == {"x": None}


def test_what_is_not_declared_is_ignored() -> None:
    assert typed_inputs({"x": {"Type": "string"}}, {"x": "1", "y": "2"}) == {"x": "1"}


def test_text_arrives_untouched() -> None:
    """A value that reads like a batch reference is only text (§4)."""
    for text in ("$result[x]", "  spaces  ", "a\nb", "ё😀"):
        assert one("string", text) == text
        assert one("text", text) == text


@pytest.mark.contract("6.13")
@pytest.mark.parametrize(
    ("raw", "reference"),
    [
        ("user_5", "user_5"),
        ("[user_5]", "user_5"),
        ("5", "user_5"),
        ("Ann Lee [5]", "user_5"),
        ("group_g1", "group_g1"),
        ("[group_g1]", "group_g1"),
    ],
)
def test_s6_users(raw: str, reference: str) -> None:
    got = one("user", raw)
    assert got == reference
    assert isinstance(got, UserRef)
    assert got.user_id == (5 if reference == "user_5" else None)


def test_users_as_lists() -> None:
    assert one("user", ["user_1", "[group_g1]"], Multiple="Y") == ["user_1", "group_g1"]
    assert one("user", "user_1, user_2", Multiple="Y") == ["user_1", "user_2"]
    with pytest.raises(InputError, match="user_5"):
        one("user", "nobody")


def test_select_is_one_of_its_keys() -> None:
    assert one("select", "b", Options={"a": "First", "b": "Second"}) == "b"
    with pytest.raises(InputError, match="one of: a, b"):
        one("select", "c", Options={"a": "First", "b": "Second"})


@pytest.mark.contract("6.14")
def test_s6_file_time_and_bound_types() -> None:
    assert one("file", "123") == "123"
    assert one("file", "https://p.example/f?id=1") == "https://p.example/f?id=1"
    assert one("time", "18:30") == time(18, 30)
    assert one("time", "06:30:05 pm") == time(18, 30, 5)
    assert one("UF:money", "12|RUB") == "12|RUB"
    with pytest.raises(InputError):
        one("time", "25:00")


MOMENT = datetime(2026, 11, 24, 15, 30, tzinfo=BERLIN)


@pytest.mark.parametrize("date_format", ["", "DMY", "MDY", "YMD"])
@pytest.mark.parametrize(
    "raw",
    [
        "24.11.2026 15:30:00",
        "24.11.2026 15:30",
        "24.11.2026 03:30 pm",
        "2026-11-24 15:30:00",
        "2026-11-24T15:30:00",
        "11/24/2026 03:30:00 pm",
        "11/24/2026 3:30 PM",
        "11/24/2026 3:30 p.m.",
        "24/11/2026 15:30:00",
        "2026-11-24T15:30:00+01:00",
        "2026-11-24T17:30:00+03:00",
        "2026-11-24T14:30:00Z",
        "2026-11-24T14:30:00.000Z",
        "2026-11-24T20:00:00+0530",
    ],
)
def test_one_reading_only_is_read_whatever_the_setting(raw: str, date_format: str) -> None:
    got = one("datetime", raw, date_format=date_format)
    assert got == MOMENT
    assert got.utcoffset() == timedelta(hours=1)


@pytest.mark.parametrize(
    ("raw", "date_format", "day"),
    [
        ("05/06/2026", "DMY", date(2026, 6, 5)),
        ("05/06/2026", "MDY", date(2026, 5, 6)),
        ("05/06/2026", "", date(2026, 5, 6)),
        ("05-06-2026", "MDY", date(2026, 5, 6)),
        ("05-06-2026", "", date(2026, 6, 5)),
        ("05.06.2026", "MDY", date(2026, 6, 5)),
        ("5.6.2026", "", date(2026, 6, 5)),
        ("2026/06/05", "", date(2026, 6, 5)),
        ("05/06/2026 12:00:00 am", "MDY", date(2026, 5, 6)),
    ],
)
def test_two_readings_follow_the_portals_format(raw: str, date_format: str, day: date) -> None:
    assert one("date", raw, date_format=date_format) == day


@pytest.mark.parametrize("date_format", ["", "DMY", "MDY", "YMD"])
def test_s6_am_and_pm_come_with_the_month_first_whatever_the_setting(date_format: str) -> None:
    assert one("date", "04/05/2026 10:00:00 am", date_format=date_format) == date(2026, 4, 5)
    assert one("date", "04.05.2026 10:00:00 am", date_format=date_format) == date(2026, 5, 4)


@pytest.mark.parametrize(
    "raw",
    [
        "31.02.2026",
        "24.13.2026",
        "13/13/2026",
        "2026-11-24 25:00",
        "24.11.26",
        "tomorrow",
        "24.11.2026 13:00 pm",
        "1",
    ],
)
def test_dates_that_are_none(raw: str) -> None:
    with pytest.raises(InputError, match="expected a date"):
        one("datetime", raw)


def test_noon_and_midnight() -> None:
    assert one("datetime", "11/24/2026 12:00 am").hour == 0
    assert one("datetime", "11/24/2026 12:00 pm").hour == 12


@pytest.mark.contract("6.11")
def test_s6_across_the_change_to_summer_time() -> None:
    """Berlin, 29 March 2026: 02:00 is followed by 03:00; 25 October: 02:30 comes twice."""
    before, after = one("datetime", "29.03.2026 01:59:59"), one("datetime", "29.03.2026 03:00:00")
    assert after - before == timedelta(hours=1, seconds=1)  # naive subtraction of one zone
    assert after.astimezone(UTC) - before.astimezone(UTC) == timedelta(seconds=1)
    assert one("datetime", "29.03.2026 02:30:00").isoformat() == "2026-03-29T03:30:00+02:00"
    assert one("datetime", "25.10.2026 02:30:00").isoformat() == "2026-10-25T02:30:00+02:00"


def test_a_moment_with_offset_is_the_portals_day() -> None:
    assert one("date", "2026-11-24T23:30:00Z", zone="Europe/Moscow") == date(2026, 11, 25)
    assert one("date", "24.11.2026 23:30:00", zone="Europe/Moscow") == date(2026, 11, 24)


def test_zones_by_offset_and_unknown_ones() -> None:
    assert one("datetime", "24.11.2026 10:00", zone="+05:30").isoformat() == "2026-11-24T10:00:00+05:30"
    with pytest.raises(InputError, match="time zone"):
        one("datetime", "24.11.2026 10:00", zone="Mars/Olympus")
    with pytest.raises(InputError, match="time zone"):
        one("datetime", "24.11.2026 10:00", zone="../../etc/passwd")
    assert one("string", "x", zone="Mars/Olympus") == "x", "a zone nobody needs harms nobody"


def test_the_ends_of_the_calendar_are_refused_not_raised() -> None:
    with pytest.raises(InputError):
        one("datetime", "0001-01-01T00:00:00+14:00", zone="America/New_York")
    with pytest.raises(InputError):
        one("datetime", "31.12.9999 23:59:59", zone="America/New_York")


@pytest.mark.parametrize(
    ("raws", "learned"),
    [
        (["24.11.2026"], None),
        (["03.02.2026"], None),
        (["24/11/2026 10:00"], "DMY"),
        (["11/24/2026 03:30 pm"], "MDY"),
        (["04/05/2026 10:00:00 am"], "MDY"),
        (["24-11-2026"], "DMY"),
        (["2026-11-24 10:00:00"], None),
        (["05/06/2026"], None),
        (["2026-11-24T10:00:00+03:00"], None),
        (["24.11.2026", "11/24/2026"], "MDY"),
        (["24/11/2026", "11/24/2026"], None),
        (["05/06/2026", "24/11/2026"], "DMY"),
        (["nonsense", ""], None),
    ],
)
def test_the_format_is_learned_from_values_with_one_reading(raws: list[str], learned: str | None) -> None:
    properties = {"d": {"Type": "date", "Multiple": "Y"}, "s": {"Type": "string"}}
    assert learned_date_format(properties, {"d": raws, "s": "24.11.2026"}) == learned


def test_flags_and_keys_in_either_case() -> None:
    """§8: keys in either case, flags boolean or Y/N."""
    assert typed_inputs({"x": {"TYPE": "int", "MULTIPLE": "Y"}}, {"x": "1"}) == {"x": [1]}
    assert typed_inputs({"x": {"type": "int", "multiple": True}}, {"x": "1"}) == {"x": [1]}
