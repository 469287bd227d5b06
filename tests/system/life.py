"""Steps of a robot's life that several tests take."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.system.hub import Hub
from tests.system.processes import until

SLUG, CLIENT_ID, SECRET = "demo", "app.system", "a-client-secret-of-the-tests"
CATALOG = "demo/catalog.yaml"
CODES = {"discount", "full_name", "days_between", "working_day", "split_list", "phone", "note", "who_asks"}
DEAL = ["crm", "CCrmDocumentDeal", "DEAL_42"]
OPEN = "('received', 'computing', 'ready', 'sending')"


def make_application(hub: Hub) -> None:
    """On both sides: the hub's command, its secret by standard input; the sandbox's registry."""
    hub.manage("create_application", SLUG, "--name", "Demo", "--client-id", CLIENT_ID, text=SECRET + "\n")
    base = f"{hub.url}/b24/{SLUG}/"
    hub.control.post(
        "apps",
        client_id=CLIENT_ID,
        client_secret=SECRET,
        install_url=f"{base}install/",
        main_url=base,
        event_url=f"{base}install/",
        redirect_url=f"{base}oauth/",
    )


def install(hub: Hub, name: str, way: str, **settings: Any) -> str:
    """By frame or event; returns the member_id once the hub holds a working token."""
    member_id = hub.control.portal(name, **settings)
    told = hub.control.post(f"portals/{name}/install", client_id=CLIENT_ID, way=way)
    assert told["status"] == 200, told
    if way == "frame":
        assert "installFinish" in told["body"], "the page must finish the installation in the browser"
        hub.control.post(f"portals/{name}/finish", client_id=CLIENT_ID)
    until_installed(hub, member_id)
    return member_id


def connect(hub: Hub, name: str, **settings: Any) -> str:
    """By full OAuth, as a signed-in integrator does it; returns the member_id."""
    member_id = hub.control.portal(name, **settings)
    domain = hub.control.get(f"portals/{name}")["domain"]
    person = sign_in(hub)
    asked = person.get(f"{hub.url}/b24/{SLUG}/connect/", params={"portal": domain}, allow_redirects=False)
    assert asked.status_code == 302, asked.text[:500]
    target = urlsplit(asked.headers["Location"])
    assert target.netloc == domain and target.path == "/oauth/authorize/", asked.headers["Location"]
    # The portal's name need not resolve on the machine of a test: its address and its Host header do.
    answered = requests.get(
        f"{hub.control.base}{target.path}?{target.query}",
        headers={"Host": domain},
        allow_redirects=False,
        timeout=30,
    )
    assert answered.status_code == 302, answered.text[:500]
    back = person.get(answered.headers["Location"], allow_redirects=True)
    assert back.status_code == 200, back.text[:500]
    until_installed(hub, member_id)
    # OAuth brings tokens and no application_token: that comes with the first opening (§3).
    opened = hub.control.post(f"portals/{name}/open", client_id=CLIENT_ID)
    assert opened["status"] == 200, opened
    return member_id


def sign_in(hub: Hub) -> requests.Session:
    """As a superuser, who is made at the first time."""
    name, password = "admin", "a-password-of-the-tests"
    if not hub.rows(f"SELECT 1 FROM auth_user WHERE username = '{name}'"):
        hub.environment["DJANGO_SUPERUSER_PASSWORD"] = password
        hub.manage("createsuperuser", "--noinput", "--username", name, "--email", "admin@example.com")
        del hub.environment["DJANGO_SUPERUSER_PASSWORD"]
    person = requests.Session()
    page = person.get(f"{hub.url}/admin/login/", timeout=30)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token, page.text[:500]
    form = {"username": name, "password": password, "csrfmiddlewaretoken": token[1], "next": "/admin/"}
    answer = person.post(f"{hub.url}/admin/login/", data=form, timeout=30, headers={"Referer": hub.url})
    assert answer.status_code == 200 and "csrfmiddlewaretoken" in answer.text, answer.text[:500]
    return person


def until_installed(hub: Hub, member_id: str) -> None:
    statement = (
        "SELECT 1 FROM portals_portal WHERE state = 'installed' AND token_state = 'working' "
        f"AND member_id = '{member_id}'"
    )
    until(lambda: hub.rows(statement), f"{member_id} is installed with a working token")


def publish_and_push(hub: Hub, catalog: str = CATALOG) -> None:
    hub.manage("import_catalog", catalog, "--publish")
    hub.manage("push_robots")


def until_held(hub: Hub, name: str, codes: set[str] = CODES) -> None:
    """Nobody pushes: the hub itself brings the robots there."""
    until(lambda: codes <= set(hub.control.robots(name, CLIENT_ID)), f"{name} holds its robots", 90)


def arrives(hub: Hub, name: str, code: str, **properties: Any) -> dict[str, Any]:
    """Runs a robot that waits; the values its process went on with."""
    process = hub.control.run(name, CLIENT_ID, code, properties=properties, document=DEAL)
    told = hub.control.finished(name, process)
    assert told["state"] == "finished", (told, hub.tails())
    values: dict[str, Any] = told["steps"][0]["values"]
    return values


def until_all_ended(hub: Hub, seconds: float = 60.0) -> dict[str, int]:
    """How many calls ended in each state, once none is open."""
    question = f"SELECT count(*) FROM handlers_invocation WHERE state IN {OPEN}"
    until(lambda: hub.rows(question) == [(0,)], "every call has ended", seconds)
    return dict(hub.rows("SELECT state, count(*) FROM handlers_invocation GROUP BY state"))
