"""Every page: no violation of WCAG 2.2 A and AA that axe finds, light and dark; nothing out of reach at 390 px."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser import pages
from tests.browser.world import World

# Dozens of pages a test: a loaded machine takes its time over each.
pytestmark = pytest.mark.timeout(1200)

Person = Callable[..., BrowserContext]
AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
OF_COLOURS = ["color-contrast", "link-in-text-block"]
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PLACES: dict[str, Callable[[World], list[str]]] = {
    "hub": pages.hub_pages,
    "sandbox": pages.sandbox_pages,
    "signed out": pages.signed_out_pages,
}
# Visible things right of the edge that no ancestor scrolls to: what a phone cuts off.
CUT = """() => {
    const found = [];
    if (document.scrollingElement.scrollWidth > window.innerWidth) {
        found.push(`the page is ${document.scrollingElement.scrollWidth} px wide`);
    }
    for (const each of document.body.querySelectorAll("*")) {
        const box = each.getBoundingClientRect();
        if (box.width < 2 || box.height < 2 || box.right <= window.innerWidth + 1 || box.left < 0) continue;
        if (getComputedStyle(each).visibility === "hidden" || each.closest("svg, [aria-hidden=true]")) continue;
        // Hidden from eyes on purpose, for those who hear the page.
        let hidden = each;
        while (hidden && getComputedStyle(hidden).clip === "auto" && getComputedStyle(hidden).clipPath === "none") {
            hidden = hidden.parentElement;
        }
        if (hidden) continue;
        let over = each.parentElement;
        while (over && !["auto", "scroll"].includes(getComputedStyle(over).overflowX)) over = over.parentElement;
        if (!over || over === document.documentElement) found.push(each.outerHTML.slice(0, 160));
    }
    return found.slice(0, 5);
}"""


def opened(page: Page, address: str) -> Page:
    """Loaded, with everything that can be unfolded unfolded."""
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    return page


def violations(page: Page) -> list[str]:
    """In light what axe knows, in dark what colours can break."""
    page.add_script_tag(content=AXE)
    found, passed = _judged(page, {"type": "tag", "values": LEVELS})
    assert passed, "axe looked at nothing"
    # A colour on its way from one scheme to the other would be judged.
    page.add_style_tag(content="*, ::before, ::after { transition: none !important }")
    page.emulate_media(color_scheme="dark")
    found += _judged(page, {"type": "rule", "values": OF_COLOURS})[0]
    page.emulate_media(color_scheme="light")
    return found


def _judged(page: Page, rules: dict[str, Any]) -> tuple[list[str], int]:
    # Another site's script in a frame is not ours to judge; ours are pages of their own here.
    options = {"runOnly": rules, "iframes": False}
    told: dict[str, Any] = page.evaluate("options => axe.run(document, options)", options)
    found = [
        f"{each['id']}: {node['html'][:160]} {node['any'][0]['message'] if node['any'] else ''}"
        for each in told["violations"]
        for node in each["nodes"][:3]
    ]
    return found, len(told["passes"])


@pytest.mark.parametrize("place", PLACES)
def test_axe_finds_nothing(person: Person, world: World, place: str) -> None:
    context = person("admin", color_scheme="light")
    if place == "signed out":
        context.clear_cookies()
    page = context.new_page()
    found = {
        address: broken for address in PLACES[place](world) if (broken := violations(opened(page, address)))
    }
    assert found == {}


@pytest.mark.parametrize("language", ["en-US", "ru-RU"])
@pytest.mark.parametrize("place", PLACES)
def test_at_390_px_nothing_is_out_of_reach(person: Person, world: World, place: str, language: str) -> None:
    context = person(
        "admin", viewport={"width": 390, "height": 844}, locale=language, is_mobile=True, has_touch=True
    )
    if place == "signed out":
        context.clear_cookies()
    page = context.new_page()
    found = {address: cut for address in PLACES[place](world) if (cut := opened(page, address).evaluate(CUT))}
    assert found == {}


LONG = """
from django.utils import timezone
from handlers.models import Invocation
from portals.models import Portal
now = timezone.now()
portal = Portal.objects.first()
for number in range(2):
    call = Invocation.objects.create(portal=portal, lane_portal=portal, event_token=b"x", call="{}",
        token_hash=bytes([number]) * 32, run=1,
        robot_code="unknowncode" * 11, workflow_id="of-a-long-code", state="not_awaited", due_at=now, called_at=now,
        received_at=now, waits=False)
print(call.pk)
"""
FORGET_LONG = """
from handlers.models import Invocation
Invocation.objects.filter(workflow_id="of-a-long-code").delete()
"""


@pytest.mark.parametrize("width", [390, 1250])
def test_a_long_code_stays_on_its_page(person: Person, world: World, width: int) -> None:
    number = world.hub.manage("shell", "-c", LONG).split()[-1]
    page = person("admin", viewport={"width": width, "height": 844}).new_page()
    try:
        for path in (f"{number}/change/", "?q=of-a-long-code"):
            assert opened(page, f"{world.url}/admin/handlers/invocation/{path}").evaluate(CUT) == []
    finally:
        world.hub.manage("shell", "-c", FORGET_LONG)


def test_the_marks_themselves_would_be_found(person: Person, world: World) -> None:
    """The two checks above see a page that is wrong."""
    page = person("admin", viewport={"width": 390, "height": 844}).new_page()
    page.goto(f"{world.url}/admin/login/")
    page.set_content("<html><body><p style='width: 900px'>wide</p><img src='x'><input></body></html>")
    assert page.evaluate(CUT)
    assert any("label" in each for each in violations(page))
