"""A running hub and sandbox with something to see, and a browser that looks at them as people do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.browser.world import World, build
from tests.system import servers
from tests.system.hub import running

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        reason = f"no Chromium at {CHROMIUM} (apt-get install chromium, or set CHROMIUM)"
        if servers.in_ci():
            pytest.fail(f"{reason}, and CI=true says that it must be there")
        pytest.skip(reason)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def world(browser: Browser) -> Iterator[World]:
    """After the browser, so that nothing is started where there is none."""
    with running(servers.Stack("SQLite", "filesystem")) as hub:
        hub.start()
        yield build(hub)


@pytest.fixture(scope="session")
def cookies(browser: Browser, world: World) -> Callable[[str], Any]:
    """The session of a person, signed in once through the form."""
    known: dict[str, Any] = {}

    def of(name: str) -> Any:
        if name not in known:
            context = browser.new_context(java_script_enabled=False)
            page = context.new_page()
            page.goto(f"{world.url}/admin/login/")
            page.fill("#id_username", name)
            page.fill("#id_password", world.password)
            page.click("input[type=submit]")
            expect(page).to_have_title("What needs a person | Robot hub")
            known[name] = context.storage_state()
            context.close()
        return known[name]

    return of


@pytest.fixture
def person(browser: Browser, cookies: Callable[[str], Any]) -> Iterator[Callable[..., BrowserContext]]:
    """`person("admin", color_scheme="dark", …)`: a browser of its own, signed in."""
    opened: list[BrowserContext] = []

    def make(name: str = "admin", **options: Any) -> BrowserContext:
        # Axe is put into pages as a script of the page.
        context = browser.new_context(storage_state=cookies(name), bypass_csp=True, **options)
        context.set_default_timeout(20_000)
        opened.append(context)
        return context

    yield make
    for context in opened:
        context.close()
