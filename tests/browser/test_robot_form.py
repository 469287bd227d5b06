"""The form of a robot as its integrator meets it: names completed, no empty rows, publishing within reach."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Dialog, Page, expect

from tests.browser.test_looks import violations
from tests.browser.world import World

Person = Callable[..., BrowserContext]
ROBOTS = "/admin/robots/robot"
IN_SIGHT = """all => all.map(each => {
    const box = each.getBoundingClientRect();
    return each.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2));
})"""


def new_robot(page: Page, world: World) -> Page:
    page.goto(f"{world.url}{ROBOTS}/add/")
    page.fill("#id_properties-0-identifier", "amount")
    page.fill("#id_properties-2-0-identifier", "total")
    return page


def page_of(world: World, code: str) -> str:
    robot = world.one(f"SELECT id FROM robots_robot WHERE code = '{code}'")
    return f"{world.url}{ROBOTS}/{robot}/change/"


def test_names_are_completed_by_keyboard_as_one_types(person: Person, world: World) -> None:
    page = new_robot(person("integrators").new_page(), world)
    field = page.get_by_role("combobox", name="Expressions")
    options = page.get_by_role("listbox", name="Names that fit").get_by_role("option")
    field.focus()
    keys = page.keyboard
    # The output's id at the beginning of a line, then functions, then the input's id: none of them saved yet.
    keys.type("t")
    expect(options).to_have_text(["total output"])
    expect(field).to_have_attribute("aria-expanded", "true")
    keys.press("Enter")
    expect(field).to_have_value("total")
    expect(field).to_have_attribute("aria-expanded", "false")
    keys.type(" = r")
    expect(options).to_have_text(
        ["replace each old as new", "right its last characters", "round half up"], use_inner_text=True
    )
    keys.press("ArrowUp")
    marked = options.and_(page.locator("[aria-selected=true]"))
    expect(marked).to_have_text("round half up")
    expect(field).to_have_attribute("aria-activedescendant", str(marked.get_attribute("id")))
    assert violations(page) == []
    keys.press("Tab")
    expect(field).to_have_value("total = round(")
    keys.type("am")
    expect(options).to_have_text(["amount input"])
    # Escape leaves what was typed; Enter is a new line then.
    keys.press("Escape")
    expect(options).to_have_count(0)
    keys.press("Enter")
    expect(field).to_have_value("total = round(am\n")
    # What is named already, a number and text in quotes ask for nothing.
    field.fill("")
    keys.type("total = amount * 2 + len('ro")
    expect(options).to_have_count(0)
    field.fill("total = ")
    keys.press("Alt+ArrowDown")
    expect(options.first).to_have_text("amount input")
    keys.press("Escape")
    keys.press("Tab")
    expect(field).not_to_be_focused()


def test_a_name_is_taken_with_the_mouse(person: Person, world: World) -> None:
    page = new_robot(person("integrators").new_page(), world)
    field = page.get_by_role("combobox", name="Expressions")
    field.focus()
    page.keyboard.type("total = r")
    field.evaluate("each => each.scrollIntoView({block: 'center'})")
    # All of them, and not cut off by what is around the field.
    assert page.locator(".hub-completion [role=option]").evaluate_all(IN_SIGHT) == [True] * 3
    option = page.get_by_role("option", name="round")
    box = option.bounding_box()
    assert box is not None and box["height"] >= 24
    option.click()
    expect(field).to_have_value("total = round(")
    expect(field).to_be_focused()


@pytest.mark.parametrize("script", [True, False])
def test_the_functions_are_told_on_the_page(person: Person, world: World, script: bool) -> None:
    page = person("integrators", java_script_enabled=script).new_page()
    page.goto(f"{world.url}{ROBOTS}/add/")
    line = page.locator(".hub-functions").get_by_text("round(number, digits=0)")
    expect(line).to_be_hidden()
    page.get_by_text("What can stand in an expression").click()
    expect(line).to_be_visible()
    expect(page.locator("#id_returns")).to_have_count(1)
    assert page.get_by_role("combobox", name="Expressions").count() == int(script)
    if script:
        assert violations(page) == []


@pytest.mark.parametrize("script", [True, False])
def test_an_empty_property_comes_when_it_is_asked_for(person: Person, world: World, script: bool) -> None:
    page = person("integrators", java_script_enabled=script).new_page()
    page.goto(page_of(world, "half"))
    inputs = page.locator("#properties-group .inline-related:not(.empty-form)")
    expect(inputs).to_have_count(2 if script else 3)
    expect(page.locator("#id_properties-0-position")).to_be_visible(visible=not script)
    if script:
        page.get_by_role("button", name="Add another Input").click()
        expect(inputs).to_have_count(3)
        page.fill("#id_properties-2-identifier", "third")
        page.locator("#properties-2").get_by_role("button", name="Move up").click()
    else:
        page.fill("#id_properties-2-identifier", "third")
    page.fill("[name=properties-2-name_en]", "Third")
    page.get_by_role("button", name="Save", exact=True).first.click()
    expect(page.locator(".messagelist .success")).to_be_visible()
    page.goto(page_of(world, "half"))
    ids = [page.locator(f"#id_properties-{row}-identifier").input_value() for row in range(3)]
    assert ids == (["amount", "third", "parts"] if script else ["amount", "parts", "third"])
    # As it was, for whoever comes after.
    page.check(f"#id_properties-{ids.index('third')}-DELETE")
    page.get_by_role("button", name="Save", exact=True).first.click()
    expect(page.locator(".messagelist .success")).to_be_visible()


def test_what_is_moved_first_and_named_then_stays_where_it_is(person: Person, world: World) -> None:
    page = person("integrators").new_page()
    page.goto(page_of(world, "half"))
    add = page.get_by_role("button", name="Add another Input")
    add.click()
    page.locator("#properties-2").get_by_role("button", name="Move up").click()
    page.fill("[name=properties-2-name_en]", "Third")
    # One more is added and taken away: the stock script numbers the forms anew, saved ones first.
    add.click()
    page.locator("#properties-3 a.inline-deletelink").click()
    expect(page.locator("#properties-3")).to_have_count(0)
    shown = "#properties-group .inline-related:not(.empty-form)"
    names = page.locator(f"{shown} [name$='-name_en']")
    assert names.evaluate_all("all => all.map(each => each.name)") == [
        f"properties-{row}-name_en" for row in (0, 2, 1)
    ]
    page.fill("#id_properties-2-identifier", "2 wrong")
    page.get_by_role("button", name="Save", exact=True).first.click()
    expect(page.locator(".errornote")).to_be_visible()
    ids = page.locator(f"{shown} [name$='-identifier']")
    assert ids.evaluate_all("all => all.map(each => each.value)") == ["amount", "2 wrong", "parts"]
    page.fill("#id_properties-2-identifier", "third")
    page.get_by_role("button", name="Save", exact=True).first.click()
    expect(page.locator(".messagelist .success")).to_be_visible()
    page.goto(page_of(world, "half"))
    assert ids.evaluate_all("all => all.map(each => each.value)") == ["amount", "third", "parts"]
    page.check("#id_properties-1-DELETE")
    page.get_by_role("button", name="Save", exact=True).first.click()
    expect(page.locator(".messagelist .success")).to_be_visible()


def test_what_is_typed_is_not_left_without_a_question(person: Person, world: World) -> None:
    page = person("integrators").new_page()
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    address = page_of(world, "half")
    page.goto(address)
    run = page.locator("#hub-trial").get_by_role("button", name="Run")
    page.fill("[name=name_en]", "Typed and not saved")
    run.click(no_wait_after=True)
    page.wait_for_timeout(1000)
    assert (asked, page.url) == (["beforeunload"], address)
    expect(page.locator("[name=name_en]")).to_have_value("Typed and not saved")
    # Nothing is asked where nothing was typed, and of Save itself.
    page.fill("[name=name_en]", str(page.locator("[name=name_en]").get_attribute("value")))
    page.get_by_role("button", name="Save", exact=True).first.click()
    expect(page.locator(".messagelist .success")).to_be_visible()
    page.goto(address)
    run.click()
    expect(page).to_have_url(re.compile("/trial/"))
    assert asked == ["beforeunload"]


def test_a_selects_options_are_open(person: Person, world: World) -> None:
    page = new_robot(person("integrators").new_page(), world)
    options = page.locator("#id_properties-0-options")
    expect(options).to_be_hidden()
    page.fill("#id_properties-0-type", "select")
    expect(options).to_be_visible()


def test_publishing_is_in_sight_without_scrolling(person: Person, world: World) -> None:
    page = person("integrators", viewport={"width": 1200, "height": 700}).new_page()
    page.goto(page_of(world, "discount"))
    expect(page.get_by_role("button", name="Save and publish").first).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_robot_is_removed_and_brought_back_on_its_page(person: Person, world: World, scheme: str) -> None:
    page = person("integrators", color_scheme=scheme, viewport={"width": 390, "height": 800}).new_page()
    page.goto(page_of(world, "half"))
    assert violations(page) == []
    page.get_by_role("button", name="Remove this robot").click()
    expect(page.locator(".hub-top")).to_contain_text("removed")
    assert violations(page) == []
    page.get_by_role("button", name="Bring it back").click()
    expect(page.locator(".messagelist .success")).to_contain_text("is back")
    expect(page.get_by_role("button", name="Remove this robot")).to_be_visible()
