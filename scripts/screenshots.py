"""Pictures of the running product for README and docs: `python scripts/screenshots.py [NAME …]`.

Starts a hub and a sandbox of its own (the ones that system tests use), seeds what an integrator would meet
(three portals, one of them in trouble, the demo's robots, calls that went well and calls that did not), and
takes each page with Debian's Chromium (`CHROMIUM` names another) into `docs/screenshots/`, or where
`SCREENSHOTS_DIR` says. Needs requirements-dev.txt.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402  (found only now)

from scripts.pictures import smaller  # noqa: E402
from tests.system import life, servers  # noqa: E402
from tests.system.hub import Hub, running  # noqa: E402

FOLDER = Path(os.environ.get("SCREENSHOTS_DIR") or ROOT / "docs" / "screenshots")
WIDE, NARROW = 1200, 390
PORTALS: dict[str, dict[str, Any]] = {
    "alfa": {
        "edition": "cloud",
        "generation": "background",
        "language": "en",
        "time_zone": "America/New_York",
        "date_format": "MM/DD/YYYY",
        "datetime_format": "MM/DD/YYYY H:MI:SS T",
    },
    "beta": {
        "edition": "box",
        "generation": "at_once",
        "language": "ru",
        "time_zone": "Europe/Moscow",
        "date_format": "DD.MM.YYYY",
        "datetime_format": "DD.MM.YYYY HH:MI:SS",
    },
    "gamma": {"edition": "cloud", "language": "de"},
}
# Since some time, so that it is an alarm: told after ten minutes only.
LAPSED = """
import datetime as dt
from portals.models import Portal
portal = Portal.objects.get(trouble="plan_lapsed")
since = portal.trouble_since - dt.timedelta(minutes=15)
Portal.objects.filter(pk=portal.pk).update(trouble_since=since)
"""
# (portal, robot, inputs, the deal's number): the last ones go wrong, each in its own way.
CALLS: list[tuple[str, str, dict[str, Any], int]] = [
    ("alfa", "discount", {"amount": "1000.50", "percent": "15"}, 42),
    ("alfa", "full_name", {"last": "Smith", "first_name": "Anna"}, 42),
    ("alfa", "days_between", {"start": "11/20/2026", "end": "12/31/2026"}, 43),
    ("alfa", "note", {"text": "the customer called"}, 43),
    ("alfa", "who_asks", {}, 43),
    ("beta", "discount", {"amount": "24900", "percent": "7"}, 7),
    ("beta", "full_name", {"last": "Иванов", "first_name": "Пётр"}, 7),
    ("beta", "split_list", {"text": "красный, зелёный,, красный", "separator": ","}, 8),
    ("beta", "phone", {"number": "8 (495) 123-45-67"}, 8),
    ("alfa", "working_day", {"start": "11/20/2026", "days": "soon"}, 44),
    ("beta", "working_day", {"start": "20.11.2026", "days": "9999999"}, 9),
]


@dataclass(frozen=True)
class Shot:
    """One picture. `page`: a path of the hub, or of the sandbox where it begins with `sandbox:`; `tall` in
    pixels (0: the whole page)."""

    name: str
    page: str
    wide: int = WIDE
    tall: int = 820
    dark: bool = False
    language: str = "en"
    signed_in: bool = True


def main(wanted: list[str]) -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not chromium:
        print(
            "Chromium is not here. On Debian: apt-get install chromium. Or CHROMIUM=/path.", file=sys.stderr
        )
        return 1
    with running(servers.STACKS[0]) as hub:
        hub.start()
        print("seeding …", flush=True)
        ids = _seed(hub)
        shots = [shot for shot in _shots(ids) if not wanted or shot.name in wanted]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for shot in shots:
                target = FOLDER / f"{shot.name}.png"
                _take(browser, hub, shot, target)
                print(f"{target.name}: {target.stat().st_size // 1024} kB", flush=True)
            browser.close()
    whole = sum(file.stat().st_size for file in FOLDER.glob("*.png"))
    print(f"{len(shots)} pictures; the folder holds {whole // 1024} kB.")
    return 0


def _shots(ids: dict[str, int]) -> list[Shot]:
    discount = f"/admin/robots/robot/{ids['discount']}"
    failed = f"/admin/handlers/invocation/{ids['failed']}/change/"
    return [
        Shot("first-page", "/admin/"),
        Shot("first-page-dark", "/admin/", dark=True),
        Shot("first-page-ru", "/admin/", language="ru"),
        Shot("first-page-phone", "/admin/", wide=NARROW, tall=780),
        Shot("alarms", "/admin/b24app/alarm/", tall=420),
        Shot("portals", "/admin/portals/portal/", tall=620),
        Shot("robot", f"{discount}/change/", tall=1400),
        Shot("robot-names", f"{discount}/change/", tall=560),
        Shot("test-run", f"{discount}/trial/"),
        Shot("push-plan", f"/admin/robots/robot/push/?robot={ids['discount']}", tall=620),
        Shot("log", "/admin/handlers/invocation/"),
        Shot("log-phone", "/admin/handlers/invocation/", wide=NARROW, tall=780),
        Shot("call", f"/admin/handlers/invocation/{ids['well']}/change/", tall=0),
        Shot("call-failed", failed, tall=0),
        Shot("call-failed-ru-dark", failed, dark=True, language="ru", tall=0),
        Shot("call-phone", failed, wide=NARROW, tall=780),
        Shot("sandbox", "sandbox:/portal/alfa", tall=900, signed_in=False),
        Shot("sandbox-dark-phone", "sandbox:/portal/beta", wide=NARROW, tall=780, dark=True, signed_in=False),
    ]


def _seed(hub: Hub) -> dict[str, int]:
    """Portals, robots, calls; ids of the pages that are taken."""
    life.sign_in(hub)
    life.make_application(hub)
    hub.manage("import_catalog", life.CATALOG, "--publish")
    for name, settings in PORTALS.items():
        life.install(hub, name, "event" if name == "beta" else "frame", **settings)
    hub.manage("push_robots")
    hub.control.post("portals", name="gamma", commercial=False)
    hub.manage("check_robots", status=None)
    hub.manage("shell", "-c", LAPSED)
    started = [
        hub.control.run(
            portal,
            life.CLIENT_ID,
            code,
            properties=values,
            document=["crm", "CCrmDocumentDeal", f"DEAL_{deal}"],
        )
        for portal, code, values, deal in CALLS
    ]
    # A draft that is published and not pushed yet: the plan has something to say.
    catalog = (ROOT / life.CATALOG).read_text(encoding="utf-8")
    changed = catalog.replace(
        "{en: Percent, ru: Процент}, default: 10", "{en: Percent, ru: Процент}, default: 12"
    )
    if changed == catalog:
        raise SystemExit(f"{life.CATALOG} no longer has the line that is changed here.")
    hub.manage("import_catalog", "-", "--publish", text=changed)
    _until_ended(hub, len(started))
    rows = dict(hub.rows("SELECT code, id FROM robots_robot"))
    calls = hub.rows("SELECT robot_code, state, id FROM handlers_invocation ORDER BY id")
    well = next(number for code, state, number in calls if code == "discount" and state == "delivered")
    failed = max(number for _code, state, number in calls if state == "failed")
    return {"discount": rows["discount"], "well": well, "failed": failed}


def _until_ended(hub: Hub, number: int) -> None:
    """Until every call came and ended, and those that arrived are known to have arrived; two minutes at most."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        [(came, open_calls, owed)] = hub.rows(
            f"SELECT COUNT(*), COALESCE(SUM(state IN {life.OPEN}), 0), COUNT(confirm_at) FROM handlers_invocation"
        )
        if came == number and not open_calls and not owed:
            return
        time.sleep(0.5)
    raise SystemExit(
        f"After two minutes {came} of {number} calls came, {open_calls} are open, {owed} unconfirmed."
    )


def _take(browser: Browser, hub: Hub, shot: Shot, target: Path) -> None:
    with _page(browser, shot) as page:
        if shot.signed_in:
            page.goto(f"{hub.url}/admin/login/")
            page.fill("#id_username", "admin")
            page.fill("#id_password", "a-password-of-the-tests")
            page.click("[type=submit]")
        address = shot.page.removeprefix("sandbox:")
        page.goto((hub.control.base if address != shot.page else hub.url) + address)
        if shot.name == "test-run":
            page.fill("[name=in_amount]", "1000.50")
            page.click("#content [type=submit]")
        if shot.name == "robot-names":
            page.locator("#id_returns").evaluate("each => each.scrollIntoView({block: 'center'})")
            page.locator("#id_returns").press("Control+End")
            page.keyboard.type("\nshare = r")
        if shot.name == "push-plan":
            page.click("details summary >> nth=0")
        page.wait_for_load_state("load")
        page.screenshot(path=target, full_page=shot.tall == 0)
    smaller(target)


@contextmanager
def _page(browser: Browser, shot: Shot) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": shot.wide, "height": shot.tall or 800},
        color_scheme="dark" if shot.dark else "light",
        locale={"en": "en-US", "ru": "ru-RU"}[shot.language],
        reduced_motion="reduce",
    )
    try:
        yield context.new_page()
    finally:
        context.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
