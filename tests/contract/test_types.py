"""Each field type through the whole hub: the portal's form → typed → computed → `event.send` (contract §5–§7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handlers.models import Invocation
from portals.models import Portal
from tests.handlers.calls import form, post
from tests.handlers.rig import Rig
from tests.system.processes import until

pytestmark = pytest.mark.django_db(transaction=True)

KINDS = {
    "flag": "bool",
    "day": "date",
    "moment": "datetime",
    "clock": "time",
    "amount": "double",
    "count": "int",
    "doc": "file",
    "choice": "select",
    "line": "string",
    "words": "text",
    "person": "user",
    "place": "UF:address",
}
LISTS = {"tags": "string", "people": "user", "days": "date", "sums": "double"}


def _payload() -> dict[str, Any]:
    inputs: dict[str, Any] = {
        name: {"Name": {"en": name}, "Type": kind, "Multiple": "N"} for name, kind in KINDS.items()
    }
    inputs["choice"]["Options"] = {"a": "First", "b": "Second"}
    inputs |= {name: {"Name": {"en": name}, "Type": kind, "Multiple": "Y"} for name, kind in LISTS.items()}
    outputs = {f"r_{name}": dict(spelled) for name, spelled in inputs.items()}
    outputs["r_doc"]["Type"] = "string"
    return {
        "USE_SUBSCRIPTION": "Y",
        "NAME": {"en": "Echo"},
        "PROPERTIES": inputs,
        "RETURN_PROPERTIES": outputs,
    }


class Echo:
    """A robot that returns what it was given, each value under `r_` and its name."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        payload = _payload()
        returns = {f"r_{name}": name for name in payload["PROPERTIES"]}
        rig.robot("echo", payload=payload, compute={"type": "expression", "returns": returns})

    def __call__(self, odd: dict[str, str] | None = None, **properties: Any) -> dict[str, Any]:
        """What the portal was given back, by the input's name."""
        before = Invocation.objects.count()
        number = self.rig.run("echo", properties=properties, odd=odd or {})
        until(lambda: Invocation.objects.count() > before, "the call is in", 20)
        self.rig.work()
        row = Invocation.objects.latest("id")
        assert row.state == "delivered", (row.cause, list(row.attempts.values("code", "text")))
        step = until(
            lambda: (p := self.rig.process(number))["state"] == "finished" and p["steps"][0], "it goes on", 20
        )
        return {name.removeprefix("r_"): value for name, value in step["values"].items()}


@pytest.fixture
def echo(make_rig: Callable[..., Rig]) -> Echo:
    """On a portal in New York that writes `MM/DD/YYYY HH:MI:SS am`."""
    rig = make_rig(
        language="en",
        time_zone="America/New_York",
        date_format="MM/DD/YYYY",
        datetime_format="MM/DD/YYYY HH:MI:SS T",
    )
    Portal.objects.filter(pk=rig.portal.pk).update(time_zone="America/New_York")
    return Echo(rig)


WHOLE: dict[str, Any] = {
    "flag": True,
    "day": "2026-11-24",
    "moment": "2026-11-24T15:30:00",
    "clock": "18:30",
    "amount": "1000.50",
    "count": "7",
    "doc": "1742",
    "choice": "b",
    "line": "a & b = c + d %41 ё 🦊",
    "words": "one\r\ntwo",
    "person": "user_5",
    "place": "Main street|;|12",
    "tags": ["a", "b", "a"],
    "people": ["user_5", "group_g1"],
    "days": ["2026-01-31", "2026-07-31"],
    "sums": ["1", "2.50"],
}
TOLD: dict[str, Any] = {
    **WHOLE,
    "flag": "Y",
    "day": "2026-11-24T00:00:00-05:00",
    "moment": "2026-11-24T15:30:00-05:00",
    "days": ["2026-01-31T00:00:00-05:00", "2026-07-31T00:00:00-04:00"],
}


@pytest.mark.contract("5.11", "6.9", "6.13", "6.14", "7.18")
def test_s5_s6_s7_each_type_goes_in_and_comes_back(echo: Echo) -> None:
    assert echo(**WHOLE) == TOLD


@pytest.mark.contract("6.7")
@pytest.mark.parametrize("odd", ["list", "keys"])
def test_s6_a_single_value_in_a_list_or_under_another_key_is_that_value(echo: Echo, odd: str) -> None:
    assert echo(odd=dict.fromkeys(WHOLE, odd), **WHOLE) == TOLD


@pytest.mark.contract("6.6", "6.7")
def test_s6_an_unset_value_is_an_empty_text_and_an_empty_list_vanishes(echo: Echo) -> None:
    assert echo(odd=dict.fromkeys(WHOLE, "empty"), **WHOLE) == {name: [] for name in LISTS}
    assert echo() == {name: [] for name in LISTS}


@pytest.mark.contract("6.8", "6.9")
def test_s6_bools_as_digits_and_dates_as_iso_with_offset(echo: Echo) -> None:
    assert echo(odd={"flag": "digit"}, flag=False)["flag"] == "N"
    assert echo(odd={"flag": "digit"}, flag=True)["flag"] == "Y"
    told = echo(odd={"moment": "iso", "day": "iso"}, moment="2026-11-24T15:30:00+03:00", day="2026-11-24")
    assert told["moment"] == "2026-11-24T07:30:00-05:00"
    assert told["day"] == "2026-11-24T00:00:00-05:00"


@pytest.mark.contract("6.9", "6.11")
@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("03/08/2026 01:59:59 am", "2026-03-08T01:59:59-05:00"),
        ("03/08/2026 02:30:00 am", "2026-03-08T03:30:00-04:00"),
        ("03/08/2026 03:00:00 am", "2026-03-08T03:00:00-04:00"),
        ("11/01/2026 01:30:00 am", "2026-11-01T01:30:00-04:00"),
        ("11/01/2026 12:00:00 pm", "2026-11-01T12:00:00-05:00"),
        ("11/24/2026 12:00:00 am", "2026-11-24T00:00:00-05:00"),
    ],
)
def test_s6_site_times_with_am_and_pm_across_the_change_of_clocks(
    echo: Echo, written: str, told: str
) -> None:
    Portal.objects.update(date_format="MDY")
    assert echo(moment=written)["moment"] == told


@pytest.mark.contract("6.10")
def test_s6_the_date_format_is_learned_from_a_value_with_one_reading(echo: Echo) -> None:
    portal = Portal.objects.get()
    assert (portal.date_format, portal.date_format_source) == ("DMY", "default")
    # Read as 11 March until a value of this portal proves the other order.
    assert echo(day="11/03/2026")["day"].startswith("2026-03-11")
    assert echo(day="11/24/2026")["day"].startswith("2026-11-24")
    portal.refresh_from_db()
    assert (portal.date_format, portal.date_format_source) == ("MDY", "learned")
    assert echo(day="11/03/2026")["day"].startswith("2026-11-03")


def test_s6_a_portal_that_changed_its_format_is_learned_anew(echo: Echo) -> None:
    assert echo(day="11/24/2026")["day"].startswith("2026-11-24")
    assert echo(day="24/11/2026")["day"].startswith("2026-11-24")
    # One may be odd; more of them than there were of the former are none.
    assert echo(day="11/03/2026")["day"].startswith("2026-11-03")
    assert echo(day="24/11/2026")["day"].startswith("2026-11-24")
    assert Portal.objects.get().date_format == "DMY"
    assert echo(day="11/03/2026")["day"].startswith("2026-03-11")


def test_s6_a_date_as_iso_says_nothing_of_a_format_that_is_known(echo: Echo) -> None:
    assert echo(day="25/11/2026")["day"].startswith("2026-11-25")
    # A form of our own: the sandbox would write the date in its site format.
    portal = echo.rig.portal
    token = {"auth[application_token]": portal.application_token, "properties[day]": "2026-11-24"}
    assert post(portal, form(portal, "echo", **token)).status_code == 200
    echo.rig.work()
    assert Portal.objects.get().date_format == "DMY"


def test_s6_a_format_that_a_person_chose_stays(echo: Echo) -> None:
    Portal.objects.update(date_format="DMY", date_format_source="person")
    assert echo(day="11/24/2026")["day"].startswith("2026-11-24")
    assert echo(day="11/03/2026")["day"].startswith("2026-03-11")
    assert Portal.objects.get().date_format_source == "person"


REFERENCES = [
    "$result[x]",
    "$result[x][0] and $error[y]",
    "$time[a] $total[b] $next[c]",
    "$RESULT[x]",
    "a $ result[x]",
    "100$ [x]",
    "{amount} ${x} %(x)s {{7*7}}",
]


@pytest.mark.contract("4.12")
@pytest.mark.parametrize("text", REFERENCES)
def test_s4_text_that_reads_like_a_reference_arrives_untouched(echo: Echo, text: str) -> None:
    told = echo(line=text, words=text, tags=[text, "plain"], place=text)
    assert (told["line"], told["words"], told["tags"], told["place"]) == (text, text, [text, "plain"], text)


@pytest.mark.contract("6.13")
@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("5", "user_5"),
        ("user_5", "user_5"),
        ("[user_5]", "user_5"),
        ("Ann Lee [5]", "user_5"),
        ("group_g1", "group_g1"),
        ("[group_g1]", "group_g1"),
    ],
)
def test_s6_users_and_groups_in_each_spelling(echo: Echo, written: str, told: str) -> None:
    assert echo(person=written)["person"] == told
    assert echo(people=[written, "user_9"])["people"] == [told, "user_9"]


@pytest.mark.contract("6.14")
def test_s6_a_file_is_its_id_or_its_address(echo: Echo) -> None:
    for file in ("1742", "https://p.bitrix24.com/disk/1?token=a&b=c"):
        assert echo(doc=file)["doc"] == file


@pytest.mark.contract("6.12")
@pytest.mark.parametrize("written", ["1e5", "-0.10", "+7", "0001", ".5", "9" * 30])
def test_s6_numbers_with_a_dot(echo: Echo, written: str) -> None:
    from decimal import Decimal

    assert Decimal(echo(amount=written)["amount"]) == Decimal(written)
