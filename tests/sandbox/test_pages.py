"""The pages: both languages, nothing from other hosts, forms that do what the control API does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest

from sandbox.texts import RUSSIAN
from tests.sandbox.lab import ROOT, Lab, eventually

CHROMIUM = Path("/usr/bin/chromium")
PROPERTIES = {
    "amount": {"Name": "Amount", "Type": "double", "Required": "Y", "Description": "In roubles"},
    "day": {"Name": {"en": "Day", "ru": "День"}, "Type": "date"},
    "kind": {"Name": "Kind", "Type": "select", "Options": {"a": "First", "b": "Second"}, "Default": "b"},
    "tags": {"Name": "Tags <b>", "Type": "string", "Multiple": "Y"},
    "ok": {"Name": "Ready", "Type": "bool"},
}


def page(lab: Lab, path: str, status: int = 200, **headers: str) -> str:
    answer = lab.sandbox.web.get(lab.sandbox.base + path, headers=headers, timeout=10)
    assert answer.status_code == status, answer.text
    return answer.text


def submit(lab: Lab, path: str, **fields: str) -> Any:
    answer = lab.sandbox.web.post(
        f"{lab.sandbox.base}/do/{path}", data=fields, allow_redirects=False, timeout=10
    )
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def everything(lab: Lab) -> list[str]:
    lab.robot(PROPERTIES=PROPERTIES)
    process, form = lab.run(properties={"amount": 5})
    lab.send(form, {"total": "4.5"}, log="<i>done</i>")
    lab.ended(process)
    lab.control("faults", kind="latency", count=5, seconds=0)
    home = f"/portal/{lab.name}"
    return [
        "/",
        home,
        f"{home}/run/{lab.client_id}/discount?document=LEAD",
        f"{home}/process/{process['id']}",
        f"{home}/robot/{lab.client_id}/discount",
        f"{home}/open/{lab.client_id}?user=2",
        f"/app/{lab.client_id}",
        *(f"{home}/live/{part}" for part in ("figures", "processes", "traffic", "faults")),
        f"{home}/process/{process['id']}/live",
    ]


def test_pages_open_in_both_languages_without_other_hosts(lab: Lab) -> None:
    allowed = {lab.sandbox.base, lab.hub.url}
    for path in everything(lab):
        english = page(lab, path, **{"Accept-Language": "en"})
        russian = page(lab, path, **{"Accept-Language": "ru-RU,ru;q=0.9"})
        assert english != russian or "open" in path
        if "/live" not in path:
            assert '<html lang="ru">' in russian
            assert len(re.findall("<h1", english)) == 1
        sources = re.findall(r'(?:src|href|action)="(https?://[^"/]+)', english)
        assert set(sources) <= allowed
        assert "<b>" not in english
        assert "<i>done" not in english, "what came from outside is escaped"


def test_pages_language_by_query_stays_in_a_cookie(lab: Lab) -> None:
    answer = lab.sandbox.web.get(f"{lab.sandbox.base}/?lang=ru", timeout=10)
    assert "lang=ru" in answer.headers["Set-Cookie"]
    assert '<html lang="ru">' in page(lab, "/", Cookie="lang=ru")
    assert '<html lang="en">' in page(lab, "/", Cookie="lang=fr")
    lab.sandbox.web.cookies.clear()
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy


def test_pages_every_field_has_a_label(lab: Lab) -> None:
    for path in everything(lab):
        text = page(lab, path)
        ids = re.findall(r'<(?:input|select|textarea)\b(?![^>]*type="hidden")[^>]*\bid="([^"]+)"', text)
        fields = re.findall(r'<(?:input|select|textarea)\b(?![^>]*type="hidden")', text)
        assert len(ids) == len(fields), f"{path}: a field without an id"
        assert len(set(ids)) == len(ids), f"{path}: an id twice"
        for name in ids:
            assert f'for="{name}"' in text, f"{path}: {name} has no label"


def test_pages_run_a_robot_by_its_form(lab: Lab) -> None:
    lab.robot(PROPERTIES=PROPERTIES)
    text = page(lab, f"/portal/{lab.name}/run/{lab.client_id}/discount")
    assert 'type="date"' in text
    assert '<option value="b" selected>Second' in text
    where = submit(
        lab,
        f"portals/{lab.name}/run",
        _back="/",
        client_id=lab.client_id,
        code="discount",
        document="DEAL",
        subscription="",
        timeout="30",
        count="100",
        **{
            "properties[amount]": "5.5",
            "properties[day]": "2026-11-24",
            "multiple[tags]": "1",
            "properties[tags]": "a\r\nb\r\n",
            "odd[amount]": "list",
            "odd[day]": "",
        },
    )
    number = where.rsplit("/", 1)[1]
    form = lab.call_of({"id": number})
    assert form["properties[amount][0]"] == "5.5"
    assert form["properties[day]"] == "11/24/2026"
    assert (form["properties[tags][0]"], form["properties[tags][1]"]) == ("a", "b")
    assert form["timeout_duration"] == "30"
    # The page of the process shows what went out, not what was typed.
    text = page(lab, where)
    assert "day = 11/24/2026" in text and "tags = a, b" in text and "2026-11-24" not in text


def test_pages_say_what_was_done_in_the_readers_language(lab: Lab) -> None:
    home = f"/portal/{lab.name}"
    russian = {"Accept-Language": "ru"}

    def said(path: str, **fields: str) -> str:
        answer = lab.sandbox.web.post(
            f"{lab.sandbox.base}/do/{path}",
            data={"_back": home, **fields},
            headers=russian,
            allow_redirects=False,
            timeout=30,
        )
        return unquote_plus(answer.headers["Location"].partition("=")[2])

    assert said(f"portals/{lab.name}/faults", kind="503") == "Неисправность заказана."
    assert said(f"portals/{lab.name}/faults", _verb="DELETE") == "Снято неисправностей: 1"
    lab.robot()
    wish = {"client_id": lab.client_id, "code": "discount", "document": "DEAL", "count": "3"}
    assert said(f"portals/{lab.name}/burst", **wish) == "Запущено процессов: 3"
    assert said(f"portals/{lab.name}", commercial="1") == "Готово."


def test_a_new_portal_is_new(lab: Lab) -> None:
    before = lab.sandbox.get(f"portals/{lab.name}")
    where = submit(lab, "portals", _back="/", name=lab.name, edition="box", generation="at_once")
    assert "problem=" in where and "already" in where
    assert lab.sandbox.get(f"portals/{lab.name}") == before
    where = submit(lab, "portals", _back="/", name=f"{lab.name}-new", edition="box")
    assert "said=The+portal+was+made" in where
    where = submit(lab, f"portals/{lab.name}", _back="/", time_zone="Mars/X")
    assert "problem=" in where and "Mars" in where


def test_pages_forms_change_what_they_say(lab: Lab) -> None:
    home = f"/portal/{lab.name}"
    where = submit(
        lab,
        f"portals/{lab.name}",
        _back=f"{home}#settings",
        save="0-5",
        commercial="0",
        lock="",
        edition="box",
    )
    assert where.startswith(f"{home}?said=")
    assert where.endswith("#settings")
    found = lab.sandbox.get(f"portals/{lab.name}")
    assert (found["save"], found["commercial"], found["edition"]) == ([0, 5], False, "box")
    submit(
        lab,
        f"portals/{lab.name}/faults",
        _back=home,
        kind="503",
        count="",
        methods="batch, profile",
        probability="",
    )
    fault = lab.read("faults")["items"][0]
    assert (fault["methods"], fault["count"]) == (["batch", "profile"], None)
    submit(lab, f"portals/{lab.name}/faults/{fault['id']}", _back=home, _verb="DELETE")
    assert lab.read("faults")["items"] == []
    submit(lab, f"portals/{lab.name}/user", _back=home, id="2", active="0")
    assert [user["active"] for user in lab.sandbox.get(f"portals/{lab.name}")["users"]] == [True, False, True]


def test_pages_say_what_is_wrong(lab: Lab) -> None:
    where = submit(lab, f"portals/{lab.name}", _back=f"/portal/{lab.name}", save="soon")
    assert "problem=" in where
    assert 'role="alert"' in page(lab, where)
    assert submit(lab, f"portals/{lab.name}/expire", _back="//evil.example/").startswith("/?said")
    page(lab, "/portal/none", 404)
    page(lab, "/nothing", 404)
    page(lab, f"/portal/{lab.name}/process/none", 404)
    evil = {"Origin": "https://evil.example"}
    answer = lab.sandbox.web.post(f"{lab.sandbox.base}/do/reset", headers=evil, timeout=10)
    assert answer.status_code == 403


def test_pages_a_portals_own_address_leads_to_its_page(lab: Lab) -> None:
    answer = lab.raw("GET", f"{lab.sandbox.base}/p/{lab.name}/")
    assert (answer.status, answer.headers["Location"]) == (302, f"{lab.sandbox.base}/portal/{lab.name}")
    page(lab, "/p/none/rest/profile", 404)


@pytest.mark.contract("8.1")
def test_s8_the_settings_page_is_opened_with_its_options(lab: Lab) -> None:
    url = lab.hub.url + lab.install_path
    lab.robot("placed", PROPERTIES=PROPERTIES, USE_PLACEMENT="Y", PLACEMENT_HANDLER=url)
    answer = lab.control("placement", client_id=lab.client_id, code="placed", values={"amount": "5"}, user=1)
    assert answer["status"] == 200
    mail = lab.hub.at(lab.install_path)[-1]
    assert mail.form["PLACEMENT"] == "BIZPROC_ACTIVITY_PROPERTIES_DIALOG"
    assert '"current_values": {"amount": "5"}' in mail.form["PLACEMENT_OPTIONS"]
    assert set(mail.query) == {"DOMAIN", "PROTOCOL", "LANG", "APP_SID"}
    lab.control("placement", client_id=lab.client_id, code="placed")
    assert '"current_values": ""' in lab.hub.at(lab.install_path)[-1].form["PLACEMENT_OPTIONS"]
    lab.robot("plain")
    lab.control("placement", 409, client_id=lab.client_id, code="plain")
    text = page(lab, f"/portal/{lab.name}/run/{lab.client_id}/placed")
    assert 'name="placement"' in text
    assert 'id="p-amount"' not in text, "the portal's own form is not shown"


@pytest.fixture
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.mark.browser
def test_pages_in_a_browser(lab: Lab, browser: Any) -> None:
    """installFinish and setPropertyValue from a frame, a result that appears by itself, phone width."""
    script = f"<script src='{lab.sandbox.base}/api/v1/'></script>"
    call = "BX24.installFinish(); BX24.placement.call('setPropertyValue', {amount: '7', tags: ['a', 'b']});"
    lab.hub.answers[lab.install_path] = (
        200,
        f"<!doctype html>{script}<script>BX24.init(() => {{ {call} }})</script>",
    )
    lab.control("uninstall", client_id=lab.client_id)
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    tab = context.new_page()
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)

    home = f"{lab.sandbox.base}/portal/{lab.name}"
    tab.goto(f"{home}/open/{lab.client_id}?what=install")
    tab.locator("#frame-said").wait_for(state="visible")
    assert lab.sandbox.get(f"portals/{lab.name}")["installs"][lab.client_id]["installed"] is True
    mail = lab.hub.at(lab.install_path)[-1]
    lab.token = mail.form["AUTH_ID"]

    url = lab.hub.url + lab.install_path
    lab.robot("placed", PROPERTIES=PROPERTIES, USE_PLACEMENT="Y", PLACEMENT_HANDLER=url)
    tab.goto(f"{home}/run/{lab.client_id}/placed")
    tab.locator("#set-values li").nth(2).wait_for()
    tab.get_by_role("button", name="Start", exact=True).click()
    tab.wait_for_url("**/process/*")
    process = {"id": tab.url.rsplit("/", 1)[1]}
    form = lab.call_of(process)
    assert (form["properties[amount]"], form["properties[tags][1]"]) == ("7", "b")
    lab.send(form, {"total": "6.3"}, log="came by itself")
    tab.get_by_text("came by itself").wait_for()
    tab.get_by_text("total = 6.3").wait_for()

    lab.control("faults", kind="error", count=1, error="ERROR_ACTIVITY_VALIDATION_FAILURE")
    assert lab.rest("bizproc.robot.list").status != 200
    for path in everything(lab):
        if "/live" not in path:
            tab.goto(lab.sandbox.base + path)
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390, path
    assert problems == []
    eventually(lambda: lab.stats()["finished"] >= 2)


def test_pages_every_text_has_its_russian() -> None:
    words = set()
    for template in (ROOT / "sandbox" / "templates").glob("*.html"):
        words |= set(re.findall(r"""\bt\("([^"]+)"\)""", template.read_text("utf-8")))
    assert len(words) > 50
    assert words <= set(RUSSIAN), words - set(RUSSIAN)
