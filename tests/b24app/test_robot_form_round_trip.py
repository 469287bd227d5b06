"""The robot's form and the catalog file say the same things: what one holds, the other neither loses nor changes."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portals.models import Application
from robots.catalog_import import import_catalog
from robots.catalog_read import read_catalog
from robots.catalog_write import export_catalog, write_catalog
from robots.definition import definition_of, normal, write_definition
from robots.models import Robot
from tests.b24app.people import signed_in
from tests.b24app.rendered_form import sent_by_browser
from tests.b24app.test_admin_robots import ADD, typed
from tests.factories import ApplicationFactory

pytestmark = pytest.mark.django_db

PLAIN = {
    "code": "plain",
    "name": {"en": "Plain"},
    "return_properties": [{"id": "total", "type": "string", "name": "Total"}],
    "compute": {"type": "expression", "returns": {"total": "'x'"}},
}
CRM = "Bitrix\\Crm\\Integration\\BizProc\\Document\\"
DEAL = ["crm", "CCrmDocumentDeal"]
LEAD = ["crm", "CCrmDocumentLead"]


@pytest.fixture
def integrator():
    return signed_in("integrators")


def change_url(robot):
    return reverse("admin:robots_robot_change", args=[robot.pk])


def shown(client, robot):
    """What the page of the robot would send."""
    page = client.get(change_url(robot))
    assert page.status_code == 200
    return sent_by_browser(page.content.decode(), "robot_form")


def saved(client, robot, **changed):
    """The robot after *Save* on its page, with `changed` typed before."""
    answer = client.post(change_url(robot), shown(client, robot) | changed)
    assert answer.status_code == 302, errors_of(answer)
    return Robot.objects.get(pk=robot.pk)


def errors_of(answer):
    forms = [answer.context["adminform"].form]
    for inline in answer.context["inline_admin_formsets"]:
        forms += inline.formset.forms
    return {form.add_prefix(name): " ".join(errors) for form in forms for name, errors in form.errors.items()}


# Filters


FILTERS = [
    ([DEAL, LEAD], ["box"]),
    ([DEAL, "box", ["lists"]], []),
    (["b24", DEAL], []),
    (["b24"], ["box"]),
    (["box", "b24"], [["crm"], DEAL]),
    ([["crm"]], [["crm", "CCrmDocumentContact"], ["crm", "CCrmDocumentCompany", "COMPANY"]]),
    ([["crm", CRM + kind] for kind in ("Quote", "SmartInvoice", "Order", "Dynamic")], []),
    ([["crm", CRM + "Dynamic", "DYNAMIC_177"], ["crm", CRM + "Dynamic", "DYNAMIC_31"]], [["tasks"]]),
    ([["tasks", "Bitrix\\Tasks\\Integration\\Bizproc\\Document\\Task", "TASK_PROJECT_1"]], []),
    (
        [["lists", "BizprocDocument", "iblock_7"], ["lists", "Bitrix\\Lists\\BizprocDocumentLists"]],
        [["disk"]],
    ),
    ([["disk", "Bitrix\\Disk\\BizProcDocument", "STORAGE_3"]], [["my.module"], ["crm"], ["my.module"]]),
    ([], [LEAD, "b24", DEAL]),
]


@pytest.mark.parametrize(("include", "exclude"), FILTERS)
def test_a_filter_stays_as_it_is_however_often_it_is_saved(integrator, include, exclude):
    wanted = {"include": include, "exclude": exclude}
    robot, _changed = write_definition(ApplicationFactory(), PLAIN | {"filter": wanted})
    for _time in range(2):
        assert saved(integrator, robot).filter == wanted
    # And where something else of the filter is typed.
    both = saved(integrator, robot, exclude_others="a, b\r\nc").filter
    assert both["include"] == include
    assert [entry for entry in both["exclude"] if entry in (["a", "b"], ["c"])] == [["a", "b"], ["c"]]


def test_what_was_ticked_is_ticked_again(integrator):
    ticks = {
        "include_known": ["crm, CCrmDocumentDeal", "crm, CCrmDocumentLead"],
        "exclude_known": ["box"],
    }
    answer = integrator.post(ADD, typed(ApplicationFactory(), **ticks))
    assert answer.status_code == 302, errors_of(answer)
    robot = Robot.objects.get()
    page = shown(integrator, robot)
    assert {name: page[name] for name in ("include_known", "exclude_known")} == {
        "include_known": ["crm, CCrmDocumentDeal", "crm, CCrmDocumentLead"],
        "exclude_known": "box",
    }
    wanted = {"include": [DEAL, LEAD], "exclude": ["box"]}
    assert saved(integrator, robot, name_en="Another").filter == wanted
    assert saved(integrator, robot, include_known=["crm, CCrmDocumentLead", "b24"]).filter == {
        "include": [LEAD, "b24"],
        "exclude": ["box"],
    }
    assert definition_of(Robot.objects.get())["name"]["en"] == "Another"


@pytest.mark.parametrize(
    "entry", ["['crm', 'CCrmDocumentLead']", '["crm"]', "crm, my deal", "crm, DYNAMIC_…"]
)
def test_what_is_no_document_type_is_refused(integrator, entry):
    answer = integrator.post(ADD, typed(ApplicationFactory(), include_others=entry))
    assert "no filter entry" in errors_of(answer)["include"]
    assert not Robot.objects.exists()


# Everything a catalog can say

ODD = [
    "\n",
    "\r",
    "\x85",
    "\u2028",
    '"',
    "=",
    "[",
    "]",
    " ",
    "\t",
    ":",
    "a",
    "Ж",
    "<",
    "&",
    "\\",
    "\x01",
    "\x0b",
]
TEXT = st.one_of(
    st.text(st.sampled_from(ODD), min_size=1, max_size=12),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=30),
).filter(lambda text: text.strip())
ANY_TEXT = st.one_of(TEXT, st.sampled_from(["", " ", "\n", "two\nlines", "  in\n    dented\n", "a\n\nb\n"]))


def languages(first: Any, others: Any) -> Any:
    codes = st.sampled_from(["ru", "de", "pt-BR", "*", "no", "ua"])
    return st.builds(lambda en, more: {"en": en} | more, first, st.dictionaries(codes, others, max_size=3))


NAME = st.one_of(TEXT, languages(TEXT, ANY_TEXT))
DESCRIPTION = st.one_of(ANY_TEXT, languages(ANY_TEXT, ANY_TEXT), st.dictionaries(st.just("ru"), ANY_TEXT))


@st.composite
def properties(draw: Any, prefix: str) -> list[Any]:
    found = []
    for number in range(draw(st.integers(0, 2))):
        item = {"id": f"{prefix}{number}", "name": draw(NAME), "description": draw(DESCRIPTION)}
        item |= {"required": draw(st.booleans()), "multiple": draw(st.booleans())}
        if draw(st.booleans()):
            options = draw(st.dictionaries(TEXT, NAME, min_size=1, max_size=3))
            found.append(
                item
                | {"type": "select", "options": options, "default": draw(st.sampled_from([*options, None]))}
            )
        else:
            several = item["multiple"] and draw(st.booleans())
            default = draw(st.lists(ANY_TEXT, max_size=4) if several else ANY_TEXT)
            found.append(
                item | {"type": draw(st.sampled_from(["string", "text", "UF:x"])), "default": default}
            )
    return found


SOURCES = [
    "'a=b'",
    '"so"',
    "upper(\n\t'x')\n",
    "concat('x',\n    1,\n\n  2)",
    " 1 +\n2",
    "len('Ж\x85\u2028')",
    "'='",
]


SIDE = st.lists(st.sampled_from(["b24", "box", DEAL, ["crm"], ["&", "<"]]))


@st.composite
def definitions(draw: Any) -> Any:
    outputs = draw(properties("out"))
    compute: dict[str, Any] = {"type": "expression"}
    if outputs or draw(st.booleans()):
        compute["returns"] = {item["id"]: draw(st.sampled_from(SOURCES)) for item in outputs}
    if draw(st.booleans()):
        compute["log"] = draw(ANY_TEXT).replace("{", "").replace("}", "")
    return normal(
        {
            "code": "any.robot",
            "kind": draw(st.sampled_from(["robot", "activity"])),
            "name": draw(NAME),
            "description": draw(DESCRIPTION),
            "subscription": draw(st.sampled_from(["wait", "no_wait", "choice"])),
            "auth_user_id": draw(st.sampled_from([None, 1, 2**31 - 1])),
            "document_type": draw(st.sampled_from([None, [*DEAL, "DEAL"], ["x.y", "A\\B", "&<>"]])),
            "filter": draw(st.fixed_dictionaries({"include": SIDE, "exclude": SIDE})),
            "properties": draw(properties("in")),
            "return_properties": outputs,
            "compute": compute,
            "on_failure": draw(st.sampled_from(["hold", "release"])),
        }
    )


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(definition=definitions())
def test_save_alone_changes_nothing_of_what_a_catalog_says(integrator, definition):
    written = write_catalog("main", [definition])
    application = Application.objects.filter(slug="main").first() or ApplicationFactory(slug="main")
    Robot.objects.filter(application=application).delete()
    import_catalog(read_catalog(written.encode()), application)
    first = export_catalog(application)
    assert first == written
    saved(integrator, Robot.objects.get())
    assert export_catalog(application) == written


ODD_CATALOG = """\
application: main
robots:
  - code: odd
    name: {en: "Odd\\none", de: "Eins\\nNote: zwei"}
    description: {en: "First line\\nsecond", de: "Zeile eins\\nNote: Zeile zwei\\n\\n  eingerückt"}
    properties:
      - {id: size, type: select, name: Size, options: {a=b: First, " lead": Second, "c [x]": {en: Third, ru: Три}}}
      - {id: list, type: string, name: List, multiple: true, default: [one, " two ", "", '"x"', "a\\nb"]}
    return_properties:
      - {id: total, type: string, name: Total}
      - {id: other, type: string, name: Other}
    compute:
      type: expression
      returns:
        total: |-
          concat("=",
            2)
        other: '"so"'
      log: "line one\\nline two {size} "
"""


@pytest.fixture
def odd():
    application = ApplicationFactory(slug="main")
    import_catalog(read_catalog(ODD_CATALOG.encode()), application)
    return Robot.objects.get()


def test_an_odd_robot_is_saved_as_it_is_and_where_each_of_its_boxes_is_typed_into(integrator, odd):
    before, exported = definition_of(odd), export_catalog(odd.application)
    page = shown(integrator, odd)
    saved(integrator, odd)
    assert export_catalog(odd.application) == exported
    assert odd.history.count() == 1
    # Another entry in every box: those that were there stay to the letter.
    robot = saved(
        integrator,
        odd,
        name_others=page["name_others"] + "\r\nfr: Un",
        description_others=page["description_others"] + "\r\nfr: Un\r\n deux",
        returns=page["returns"].replace("other = ", "other = \r\n  "),
        log=page["log"] + "!",
        **{
            "properties-0-options": page["properties-0-options"] + '\r\n"d=e" [ru] = Ещё\r\n"d=e" = More',
            "properties-1-default": page["properties-1-default"] + "\r\nlast",
        },
    )
    after = definition_of(robot)
    assert after["name"] == before["name"] | {"fr": "Un"}
    assert after["description"] == before["description"] | {"fr": "Un\ndeux"}
    assert after["compute"]["returns"] == before["compute"]["returns"]
    assert after["compute"]["log"] == before["compute"]["log"] + "!"
    size, several = after["properties"]
    assert size["options"] == before["properties"][0]["options"] | {"d=e": {"en": "More", "ru": "Ещё"}}
    assert several["default"] == ["one", " two ", "", '"x"', "a\nb", "last"]


def test_a_text_of_several_lines_gets_a_box_that_keeps_them(integrator, odd):
    page = integrator.get(change_url(odd)).content.decode()
    assert '<textarea name="name_en"' in page and '<input type="text" name="name_ru"' in page


# Nothing typed is dropped without a word


@pytest.mark.parametrize(
    ("changed", "where", "said"),
    [
        (
            {"returns": "total = amount\r\ntotal = amount * 2"},
            "returns",
            "“total = amount * 2” is about “total” again",
        ),
        (
            {"properties-0-options": "a = First\r\na = Second"},
            "properties-0-options",
            "“a = Second” is about “a” again",
        ),
        ({"properties-0-options": "a [en] = x\r\na = y"}, "properties-0-options", "again"),
        ({"properties-0-options": '"a = First'}, "properties-0-options", "no option"),
        ({"name_others": "de: Eins\r\nde: Zwei"}, "name", "“de: Zwei” is about “de” again"),
        ({"name_others": "en: Other"}, "name", "box of its own"),
        ({"compute_type": "python", "function": "x"}, "returns", "would lose this"),
        ({"compute_type": "python", "function": "x"}, "log", "would lose this"),
        ({"function": "shop.discount"}, "function", "would lose this"),
    ],
)
def test_what_would_be_lost_is_refused(integrator, changed, where, said):
    answer = integrator.post(ADD, typed(ApplicationFactory(), **changed))
    assert said in errors_of(answer)[where]
    assert not Robot.objects.exists()
