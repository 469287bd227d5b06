"""A catalog file is taken whole or refused whole, each problem with its line and field (design §3)."""

from __future__ import annotations

import pytest

from robots.catalog_read import Catalog, CatalogRefused, read_catalog

GOOD = """\
application: main
robots:
  - code: discount
    kind: robot
    name: {ru: Скидка, en: Discount, no: Rabatt}
    description: {en: Takes a percentage off}
    subscription: wait
    auth_user_id: 1
    document_type: [crm, CCrmDocumentDeal, DEAL]
    filter: {include: [[crm, CCrmDocumentDeal]], exclude: [box]}
    properties:
      - {id: amount, type: double, name: {en: Amount}, required: true}
      - {id: percent, type: double, name: {en: Percent}, default: 10}
      - {id: no, type: select, name: yes, options: {01: 1, b: {en: Second}}, default: 01}
      - {id: tags, type: string, name: Tags, multiple: true, default: [a, no]}
    return_properties:
      - {id: total, type: double, name: {en: Total}}
    compute:
      type: expression
      returns: {total: "round(amount * (100 - percent) / 100, 2)"}
      log: "{amount} less {percent}% is {total}"
"""


def read(text: str) -> Catalog:
    return read_catalog(text.encode())


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(CatalogRefused) as refused:
        read_catalog(text if isinstance(text, bytes) else text.encode())
    return [str(problem) for problem in refused.value.problems]


def one_robot(rest: str) -> str:
    return "robots:\n  - code: a\n    name: A\n    compute: {type: expression, returns: {}}\n" + "".join(
        f"    {line}\n" for line in rest.split("\n")
    )


def test_scalars_are_texts_typed_by_the_schema() -> None:
    (robot,) = read(GOOD).definitions
    assert list(robot["name"].items()) == [("en", "Discount"), ("no", "Rabatt"), ("ru", "Скидка")]
    select = robot["properties"][2]
    assert (select["id"], select["name"], select["options"], select["default"]) == (
        "no",
        "yes",
        {"01": "1", "b": {"en": "Second"}},
        "01",
    )
    assert robot["auth_user_id"] == 1
    assert robot["properties"][0]["required"] is True
    assert robot["properties"][1]["default"] == "10"
    assert robot["properties"][3]["default"] == ["a", "no"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b: c", "line 1: This is no YAML"),
        ("", "line 1: The file is empty."),
        ("application: main\nrobots: []\n---\nrobots: []\n", "line 3: A second document"),
        ("application: main\nrobots: []\nrobots: []\n", "line 3: robots: This key stands"),
        ("application: &here main\nrobots: []\n", "line 1: application: Anchors are not read"),
        ("application: !!str main\nrobots: []\n", "line 1: application: Tags are not read"),
        ("application: !x main\nrobots: []\n", "line 1: application: Tags are not read"),
        ("robots: !!python/object:os.system []\n", "line 1: robots: Tags are not read"),
        ("%TAG ! tag:example.com,2000:\n---\nrobots: []\n", "line 1: Tags are not read"),
        (b"robots:\n# \xff\n", "line 2: The file is not UTF-8 here."),
        (b"robots:\n# \x01\n", "line 2: Character U+0001"),
        ("robots: " + "[" * 5000, "line 1: "),
        ("robots: " + "[" * 40 + "]" * 40, "Nested deeper than 16 levels."),
        ("# " + "x" * (2 * 1024 * 1024), "larger than 2 MB"),
        ("robots: 5\n", "line 1: robots: Must be a list, not '5'."),
        ("application: main\n", "line 1: robots: Is missing."),
        ("robots: []\nportals: []\n", "line 2: portals: Unknown key"),
        ("robots:\n  - ? [a]\n    : b\n", "robots[0]: A key must be a text"),
        (
            one_robot("properties:\n  - {id: x, type: string}"),
            "line 6: robots[0].properties[0].name: Is missing.",
        ),
        (one_robot("properties: {a: b}"), "line 5: robots[0].properties: Must be a list, not a map."),
        (one_robot("kind: rubot"), "line 5: robots[0].kind: Must be robot or activity, not 'rubot'."),
        (one_robot("auth_user_id: 1e3"), "robots[0].auth_user_id: Must be a user's number"),
        (one_robot("document_type: [crm]"), "robots[0].document_type: Must be [module, object, type]"),
        (one_robot("description: " + "x" * 4001), "line 5: robots[0].description: 4001 characters"),
        (one_robot('description: "\\0"'), "robots[0].description: NUL"),
        (one_robot('description: "\\uD800"'), "line 5: "),
        (one_robot("properties:\n  - {id: x, type: number, name: X}"), "robots[0].properties[0].type: "),
        (one_robot("properties:\n  - {id: x, type: int, name: X, required: maybe}"), "Must be true or false"),
        (one_robot(f"properties:\n  - {{id: x, type: 'UF:{'y' * 62}', name: X}}"), "at most 64 characters"),
        (
            one_robot("properties:\n  - {id: Title, type: string, name: X}"),
            "line 6: robots[0].properties[0].id: ",
        ),
        (one_robot("on_failure: shrug"), "robots[0].on_failure: Must be hold or release"),
    ],
)  # fmt: skip
def test_a_problem_names_its_line_and_field(text: str | bytes, said: str) -> None:
    assert any(said in problem for problem in problems(text)), problems(text)


def test_an_expression_with_an_unknown_name_is_refused() -> None:
    told = problems(GOOD.replace("amount * (100", "amuont * (100"))
    assert len(told) == 1
    assert told[0].startswith("line 20: robots[0].compute.returns.total: ")


def test_a_code_that_stands_twice() -> None:
    body = GOOD.split("robots:\n")[1]
    told = problems("application: main\nrobots:\n" + body + body)
    assert told == ["line 22: robots[1].code: Has the code of robots[0] too: discount"]


def test_everything_wrong_is_told_at_once_in_the_order_of_lines() -> None:
    told = problems(one_robot("kind: x\nsubscription: y\nproperties:\n  - {id: 1a, type: z, name: X}"))
    assert [text.split(":")[0] for text in told] == ["line 5", "line 6", "line 8", "line 8"]


def test_an_alias_bomb_is_refused_without_being_unfolded() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    told = problems(bomb)
    assert any("Aliases are not read" in text for text in told)


def test_a_quotation_is_short() -> None:
    told = problems(one_robot("kind: " + "k" * 4000))
    assert all(len(text) < 400 for text in told)
    assert any("k" * 199 + "…" in text for text in told)


def test_a_file_that_is_wrong_everywhere_tells_a_hundred_and_counts_the_rest() -> None:
    with pytest.raises(CatalogRefused) as refused:
        read("robots:\n" + "  - 1\n" * 300)
    assert (len(refused.value.problems), refused.value.more) == (100, 200)


def test_a_left_out_subscription_is_warned_of() -> None:
    catalog = read(GOOD.replace("subscription: wait", "subscription: choice"))
    assert [(warning.line, warning.field) for warning in catalog.warnings] == [(7, "robots[0].subscription")]
