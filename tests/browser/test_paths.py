"""The integrator's path and the auditor's: what they click, counted; by keyboard; without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.people import Hand, Keys
from tests.browser.world import World
from tests.system import life

Person = Callable[..., BrowserContext]
ROBOTS = "/admin/robots/robot"


def describe(page: Page, world: World, code: str) -> None:
    """Fills the form of a new robot."""
    page.goto(f"{world.url}{ROBOTS}/add/")
    page.select_option("#id_application", label="Demo")
    page.fill("#id_code", code)
    page.fill("[name=name_en]", "Doubles an amount")
    page.fill("#id_returns", "twice = amount * 2")
    for prefix, identifier in (("properties", "amount"), ("properties-2", "twice")):
        page.fill(f"#id_{prefix}-0-identifier", identifier)
        page.fill(f"#id_{prefix}-0-type", "double")
        page.fill(f"[name={prefix}-0-name_en]", identifier.title())


def push_is_done(page: Page) -> None:
    """Without loading the page again."""
    expect(page.locator("#hub-live > div")).to_have_attribute("data-open", "", timeout=60_000)


def test_a_new_robot_is_on_all_portals_after_three_clicks(person: Person, world: World) -> None:
    page = person("integrators").new_page()
    describe(page, world, "twice")
    hand = Hand(page)
    hand.click(page.get_by_role("button", name="Save and publish").first)
    expect(page.locator(".messagelist")).to_contain_text("Published as version 1")
    hand.click(page.locator(".object-tools").get_by_role("link", name="Push"))
    hand.click(page.get_by_role("button", name=re.compile("Push [0-9]+ change")))
    assert hand.clicks == 3
    address = page.url
    assert re.search(r"/admin/robots/push/\d+/change/$", address)
    push_is_done(page)
    assert page.url == address
    for name in ("alfa", "beta"):
        assert "twice" in world.hub.control.robots(name, life.CLIENT_ID)
    # The portal whose plan lapsed says so, and what to do.
    row = page.get_by_role("row", name=re.compile("gamma"))
    expect(row).to_contain_text("held by the portal")
    expect(row).to_contain_text("plan lapsed")
    expect(row).to_contain_text("Ask the client to renew")
    # It can be left and found again.
    page.goto(f"{world.url}/admin/robots/push/")
    page.locator("#result_list").get_by_role("link").first.click()
    assert page.url == address


def test_a_test_run_is_filling_and_one_click(person: Person, world: World) -> None:
    page = person("integrators").new_page()
    robot = world.one("SELECT id FROM robots_robot WHERE code = 'discount'")
    page.goto(f"{world.url}{ROBOTS}/{robot}/change/")
    page.fill("#hub-trial [name=in_amount]", "200")
    page.fill("#hub-trial [name=in_percent]", "15")
    hand = Hand(page)
    hand.click(page.get_by_role("button", name="Run"))
    assert hand.clicks == 1
    result = page.get_by_role("region", name="Result")
    expect(result).to_contain_text("computed")
    expect(result.get_by_role("row", name=re.compile("total"))).to_contain_text("170")
    result.get_by_text("The exact event.send").click()
    expect(result.locator("pre")).to_contain_text("RETURN_VALUES")


def test_a_failed_call_is_found_from_its_deal_and_replayed_in_two_clicks_each(
    person: Person, world: World
) -> None:
    page = person("operators").new_page()
    page.goto(f"{world.url}/admin/")
    page.get_by_role("searchbox", name="Find calls").fill("4711")
    hand = Hand(page)
    hand.click(page.get_by_role("search").get_by_role("button", name="Search"))
    hand.click(page.locator("#result_list .field-number a, #result_list th a").first)
    assert hand.clicks == 2
    expect(page.locator(".hub-verdict")).to_contain_text("failed")
    expect(page.locator(".hub-verdict")).to_contain_text(world.deal)
    hand = Hand(page)
    hand.click(page.locator(".object-tools").get_by_role("link", name="Replay"))
    page.get_by_label("Why").fill("The robot was mended")
    hand.click(page.get_by_role("button", name="Replay"))
    assert hand.clicks == 2
    expect(page.locator(".hub-timeline")).to_contain_text("The robot was mended")


def test_an_auditor_reads_the_story_and_is_offered_no_deed(person: Person, world: World) -> None:
    page = person("auditors").new_page()
    page.goto(f"{world.url}/admin/")
    page.get_by_role("link", name=re.compile("failed call")).click()
    page.locator("#result_list th a").last.click()
    story = page.locator(".hub-timeline")
    for words in ("Received from", "Computing went wrong", "Division by zero"):
        expect(story).to_contain_text(words)
    assert page.get_by_role("link", name="Replay", exact=True).count() == 0
    assert page.get_by_role("button", name="Run this input on the draft").count() == 0


def test_the_failed_only_is_tried_again_and_the_rest_cancelled(person: Person, world: World) -> None:
    page = person("operators").new_page()
    member = world.members["gamma"]
    portal = world.one(f"SELECT id FROM portals_portal WHERE member_id = '{member}'")
    page.goto(f"{world.url}/admin/robots/robot/push/?portal={portal}")
    page.get_by_role("button", name=re.compile("Push")).click()
    push_is_done(page)
    expect(page.locator("#hub-live")).to_contain_text("held by")
    page.get_by_role("button", name="Try what was not done again").click()
    push_is_done(page)
    expect(page.locator("#content")).to_contain_text("did not bring about")
    page.get_by_role("button", name="Cancel the rest").click()
    expect(page.locator("#hub-live")).to_contain_text("cancelled the rest")


def test_by_keyboard_alone_from_signing_in_to_a_push(person: Person, world: World) -> None:
    context = person("admin")
    context.clear_cookies()
    page = context.new_page()
    keys = Keys(page)
    page.goto(f"{world.url}/admin/login/?next={ROBOTS}/add/")
    keys.type(page.locator("#id_username"), "admin")
    keys.type(page.locator("#id_password"), world.password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/robot/add/")
    keys.go_to(page.locator("#id_application"))
    page.keyboard.type("Demo")
    keys.type(page.locator("#id_code"), "by_keyboard")
    keys.type(page.locator("[name=name_en]"), "By keyboard")
    keys.type(page.locator("#id_returns"), "twice = amount * 2")
    for prefix, identifier in (("properties", "amount"), ("properties-2", "twice")):
        keys.type(page.locator(f"#id_{prefix}-0-identifier"), identifier)
        keys.type(page.locator(f"#id_{prefix}-0-type"), "double")
        keys.type(page.locator(f"[name={prefix}-0-name_en]"), identifier)
    keys.press(page.get_by_role("button", name="Save and publish").last)
    expect(page.locator(".messagelist")).to_contain_text("Published as version 1")
    keys.press(page.locator(".object-tools").get_by_role("link", name="Push"))
    page.wait_for_url("**/push/?robot=*")
    for box in page.locator(".hub-plan input[name=portal]").all():
        keys.press(box, " ")
    keys.press(page.locator(".hub-plan input[name=portal]").first, " ")
    keys.press(page.get_by_role("button", name=re.compile("Push")))
    page.wait_for_url("**/change/")
    push_is_done(page)
    held = [name for name in world.members if "by_keyboard" in world.hub.control.robots(name, life.CLIENT_ID)]
    assert len(held) == 1


def test_without_javascript_describe_publish_push_and_look_again(person: Person, world: World) -> None:
    page = person("admin", java_script_enabled=False).new_page()
    describe(page, world, "without_script")
    page.get_by_role("button", name="Save and publish").first.click()
    expect(page.locator(".messagelist")).to_contain_text("Published as version 1")
    page.locator(".object-tools").get_by_role("link", name="Push").click()
    page.get_by_role("button", name=re.compile("Push")).click()
    address = page.url
    assert re.search(r"/push/\d+/change/$", address)
    for _look in range(200):
        again = page.get_by_role("link", name="Look again")
        if not again.count():
            break
        again.click()
    assert page.url == address
    assert "without_script" in world.hub.control.robots("alfa", life.CLIENT_ID)
    # A list: filters, search, an action.
    page.goto(f"{world.url}/admin/portals/portal/")
    page.get_by_role("link", name="paused", exact=True).click()
    assert "standing=paused" in page.url
    page.goto(f"{world.url}/admin/portals/portal/?q=beta")
    page.locator("#result_list input.action-select").first.check()
    page.select_option("select[name=action]", "pause_portals")
    page.get_by_role("button", name="Go").click()
    expect(page.locator(".messagelist")).to_contain_text("1 portal paused")
    page.locator("#result_list tbody th a").first.click()
    page.get_by_role("button", name=re.compile("Resume")).click()
    expect(page.locator(".messagelist")).to_contain_text("1 portal resumed")
