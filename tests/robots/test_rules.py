"""§5: what a portal would refuse or drop in silence is refused here, with its place."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from robots.property_map import property_map, stored_bytes
from robots.rules import check_definition, check_warnings
from robots.rules_properties import RESERVED

GOOD: dict[str, Any] = {
    "code": "discount",
    "kind": "robot",
    "name": {"en": "Discount", "ru": "Скидка"},
    "description": {"en": "Takes a percentage off"},
    "subscription": "wait",
    "auth_user_id": 1,
    "document_type": ["crm", "CCrmDocumentDeal", "DEAL"],
    "filter": {"include": [["crm", "CCrmDocumentDeal"]], "exclude": ["box"]},
    "properties": [
        {"id": "amount", "type": "double", "name": {"en": "Amount"}, "required": True},
        {"id": "percent", "type": "double", "name": "Percent", "default": 10},
        {
            "id": "how",
            "type": "select",
            "name": "How",
            "options": {"a": "First", "b": {"en": "Second"}},
            "default": "a",
        },
    ],
    "return_properties": [{"id": "total", "type": "double", "name": "Total"}],
    "compute": {
        "type": "expression",
        "returns": {"total": "round(amount * (100 - percent) / 100, 2)"},
        "log": "{amount} less {percent}% is {total}",
    },
    "on_failure": "hold",
}


def broken(path: str, value: Any) -> list[str]:
    """Problems ("where: message") of the good definition with one thing changed, at "properties.0.id"."""
    definition = copy.deepcopy(GOOD)
    place: Any = definition
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return [str(problem) for problem in check_definition(definition)]


GONE = object()


def only(problems: list[str]) -> str:
    assert len(problems) == 1, problems
    return problems[0]


def test_the_designs_example_is_good() -> None:
    assert check_definition(GOOD) == []
    assert check_warnings(GOOD) == []


def test_the_least_definition_is_good() -> None:
    least = {"code": "a", "name": "A", "compute": {"type": "expression"}, "subscription": "wait"}
    assert check_definition(least) == []


@pytest.mark.contract("5.3")
@pytest.mark.parametrize("code", ["", None, "a b", "ж", "a\n", "a/b", 5, ["a"], "a" * 129])
def test_s5_code(code: Any) -> None:
    assert only(broken("code", code)).startswith("code: ")


@pytest.mark.contract("5.3")
def test_s5_code_at_its_limits() -> None:
    assert broken("code", "aZ09.-_" + "x" * 121) == []


@pytest.mark.contract("5.5")
@pytest.mark.parametrize(
    "name", ["", None, {}, {"ru": "Скидка"}, {"en": ""}, "  ", {"en": "A", "no!": "B"}, 5]
)
def test_s5_name_needs_words_and_english(name: Any) -> None:
    assert only(broken("name", name)).startswith("name")
    assert only(broken("properties.0.name", name)).startswith("properties[0].name")


def test_no_as_a_language_is_text() -> None:
    assert broken("name", {"en": "Discount", "no": "Rabatt"}) == []


@pytest.mark.parametrize("text", ["x" * 4001, {"en": "x" * 4001}, {"en": 5}, ["x"], "a\x00b", "\ud800"])
def test_texts(text: Any) -> None:
    assert only(broken("description", text)).startswith("description")


@pytest.mark.contract("5.9", "5.10")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "Robot"),
        ("kind", 1),
        ("subscription", "Y"),
        ("on_failure", "stop"),
        ("auth_user_id", 0),
        ("auth_user_id", True),
        ("auth_user_id", "1"),
        ("auth_user_id", 2**31),
        ("document_type", ["crm", "CCrmDocumentDeal"]),
        ("document_type", "crm"),
        ("document_type", ["crm", "", "DEAL"]),
        ("document_type", ["crm", 5, "DEAL"]),
        ("filter", []),
        ("filter", ["b24"]),
        ("filter.include", "b24"),
        ("filter.only", ["b24"]),
        ("filter.include.0", "crm"),
        ("filter.include.0", []),
        ("filter.include.0", ["a", "b", "c", "d"]),
        ("filter.include.0", [["crm"]]),
        ("filter.exclude.0", "cloud"),
        ("filter.include.0", ["b24"]),
        ("filter.include.0", ["['crm'", "'CCrmDocumentLead']"]),
        ("filter.include.0", ["crm", "DYNAMIC_…"]),
        ("document_type", ["lists", "BizprocDocument", "iblock_…"]),
        ("document_type", ["crm", "CCrm,Document", "DEAL"]),
        ("handler", "https://x.example"),
        ("properties", "amount"),
        ("properties.0", "amount"),
        ("properties.0.size", 5),
        ("properties.0.required", "yes"),
        ("properties.0.multiple", 1),
    ],
)
def test_s5_fields(field: str, value: Any) -> None:
    if value == []:
        value = [1]
    problems = broken(field, value)
    assert problems
    head = "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in field.split(".")).lstrip(".")
    assert problems[0].startswith(head), problems


@pytest.mark.contract("5.8")
@pytest.mark.parametrize("identifier", ["", None, "1a", "a-b", "a b", "ж", "_a", "a\n", 5, "a" * 129])
def test_s5_ids(identifier: Any) -> None:
    problems = broken("properties.2.id", identifier)
    assert only(problems).startswith("properties[2].id: ")


@pytest.mark.contract("5.12")
@pytest.mark.parametrize("identifier", ["Title", "istimeout", "AUTHUSERID", *sorted(RESERVED)])
@pytest.mark.parametrize("where", ["properties.2.id", "return_properties.0.id"])
def test_s5_reserved_ids_whatever_their_case(identifier: str, where: str) -> None:
    assert any("owns" in problem for problem in broken(where, identifier))


def test_all_eight_reserved_ids_are_known() -> None:
    assert len(RESERVED) == 8


@pytest.mark.contract("5.12")
def test_s5_ids_that_collide() -> None:
    assert "differ only in case" in only(broken("properties.2.id", "PERCENT"))
    assert "is there twice" in only(broken("properties.2.id", "percent"))
    assert any("share one slot" in p for p in broken("return_properties.0.id", "Amount"))
    assert any("share one slot" in p for p in broken("return_properties.0.id", "amount"))


@pytest.mark.contract("5.11")
@pytest.mark.parametrize("kind", ["Double", "number", "", None, 5, "UF:", ":x", "a b:c", "UF:ж"])
def test_s5_types(kind: Any) -> None:
    assert only(broken("properties.0.type", kind)).startswith("properties[0].type: ")


@pytest.mark.parametrize(
    "kind",
    [
        "bool",
        "date",
        "datetime",
        "double",
        "file",
        "int",
        "string",
        "text",
        "user",
        "time",
        "UF:iblock_element",
    ],
)
def test_types_a_portal_knows(kind: str) -> None:
    assert broken("properties.0.type", kind) == []


def test_options() -> None:
    assert "needs options" in broken("properties.2.options", {})[0]
    assert "map" in broken("properties.2.options", ["a"])[0]
    assert "properties[2].options.a" in broken("properties.2.options", {"a": {"ru": "только"}})[0]
    assert "properties[2].options.a: " in broken("properties.2.options", {"a": "", "b": "B"})[0]
    assert "not empty" in broken("properties.2.options", {"": "none", "a": "A"})[0]
    assert "Only a select" in broken("properties.0.options", {"a": "A"})[0]


@pytest.mark.parametrize(
    ("kind", "default"),
    [
        ("double", "ten"),
        ("int", "1.5"),
        ("bool", "maybe"),
        ("date", "soon"),
        ("date", "24.11.2026"),
        ("datetime", "11/24/2026 10:00"),
        ("user", "nobody"),
        ("string", ["a"]),
        ("string", {"en": "a"}),
        ("time", "25:00"),
    ],
)
def test_defaults_are_of_their_type(kind: str, default: Any) -> None:
    definition = copy.deepcopy(GOOD)
    definition["properties"][1] |= {"type": kind, "default": default}
    assert only([str(p) for p in check_definition(definition)]).startswith("properties[1].default: ")


def test_good_defaults() -> None:
    for kind, default in [
        ("date", "2026-11-24"),
        ("bool", True),
        ("bool", "N"),
        ("int", 0),
        ("user", "user_1"),
    ]:
        definition = copy.deepcopy(GOOD)
        definition["properties"][1] |= {"type": kind, "default": default}
        assert check_definition(definition) == []


@pytest.mark.contract("5.11")
def test_s5_a_selects_default_is_one_of_its_keys() -> None:
    assert only(broken("properties.2.default", "First")).startswith("properties[2].default: ")


def test_a_multiple_default_is_checked_one_by_one() -> None:
    definition = copy.deepcopy(GOOD)
    definition["properties"][1] |= {"multiple": True, "default": [1, "x"]}
    assert only([str(p) for p in check_definition(definition)]).startswith("properties[1].default[1]: ")


@pytest.mark.contract("5.8")
def test_s5_each_map_stays_below_what_a_portal_stores() -> None:
    """65,535 bytes serialised, counted as PHP would: Cyrillic letters take two."""
    items = [{"id": f"p{n}", "type": "string", "name": "Имя " * 100} for n in range(100)]
    assert only(broken("return_properties", [*GOOD["return_properties"], *items])).startswith(
        "return_properties: "
    )
    assert broken("properties", [*GOOD["properties"], *items[:50]]) == []


def test_stored_bytes_is_phps_serialize_where_that_is_larger() -> None:
    # php > echo serialize(["a" => "x", "b" => ["1"]]);
    value = {"a": "x", "b": ["1"]}
    serialised = 'a:2:{s:1:"a";s:1:"x";s:1:"b";a:1:{i:0;s:1:"1";}}'
    assert stored_bytes(value) == len(serialised)
    assert stored_bytes({"a": "ж"}) == len('a:1:{s:1:"a";s:2:"ж";}'.encode())


def test_the_payloads_spelling() -> None:
    assert property_map(GOOD["properties"])["how"] == {
        "Name": "How",
        "Type": "select",
        "Options": {"a": "First", "b": {"en": "Second"}},
        "Required": "N",
        "Multiple": "N",
        "Default": "a",
    }
    assert property_map(GOOD["properties"])["amount"]["Required"] == "Y"


def test_compute_is_checked_by_its_type() -> None:
    assert only(broken("compute", {})).startswith("compute: ")
    assert only(broken("compute", "expression")).startswith("compute: ")
    assert only(broken("compute.type", "magic")).startswith("compute.type: ")
    assert only(broken("compute.returns.total", "amont * 2")).startswith("compute.returns.total: “amont”")
    assert only(broken("compute.returns.sum", "amount")).startswith("compute.returns.sum: ")
    assert only(broken("compute.log", "{nobody}")).startswith("compute.log: ")
    assert only(broken("compute.code", "import os")).startswith("compute.code: ")
    assert only(broken("compute.returns", ["total"])).startswith("compute.returns: ")


def test_a_python_function_must_be_registered() -> None:
    import tests.robots.sample_handlers.robot_handlers  # noqa: F401  (registers its names)

    assert broken("compute", {"type": "python", "function": "sample.discount"}) == []
    assert "sample.gone" in only(broken("compute", {"type": "python", "function": "sample.gone"}))
    assert only(broken("compute", {"type": "python"})).startswith("compute.function: ")


@pytest.mark.parametrize("definition", [None, 5, "text", [], [{}]])
def test_no_map_at_all(definition: Any) -> None:
    assert [problem.path for problem in check_definition(definition)] == [()]


def test_hostile_shapes_give_problems_not_errors() -> None:
    """Every field of every wrong kind."""
    for value in (
        None,
        5,
        True,
        1.5,
        "x" * 10_000,
        [],
        [[]],
        {},
        {"a": {"b": 1}},
        {1: 2},
        [None, 5],
        object(),
    ):
        for path in (*GOOD, *(f"properties.0.{key}" for key in ("id", "type", "name", "options", "default"))):
            for problem in broken(path, value):
                assert len(problem) < 1_000


@pytest.mark.contract("5.7")
def test_s5_warnings() -> None:
    left_out = {**GOOD, "subscription": "choice"}
    assert [w.where for w in check_warnings(left_out)] == ["subscription"]
    everywhere = {**GOOD, "filter": {"include": ["b24", ["crm", "CCrmDocumentDeal"]]}}
    assert [w.where for w in check_warnings(everywhere)] == ["filter.include"]
    assert check_definition(everywhere) == []
    newer = {**GOOD, "properties": [{"id": "t", "type": "time", "name": "T"}]}
    assert [w.where for w in check_warnings(newer)] == ["properties[0].type"]
