"""After a whole scenario, failures included, no secret stands in a log, a file or a column (issue 12, contract §2)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from tests.system import life, servers
from tests.system.hub import Hub, running
from tests.system.processes import until

pytestmark = pytest.mark.system

ERP_KEY = "erp/key+of the=client&7"
ROBOTS = """application: demo
robots:
  - code: uses
    kind: robot
    name: {en: Uses}
    subscription: wait
    return_properties: [{id: text, type: string, name: {en: Text}}]
    compute: {type: python, function: sample.settings}
  - code: raises
    kind: robot
    name: {en: Raises}
    subscription: wait
    on_failure: release
    auth_user_id: 1
    compute: {type: python, function: sample.raises}
"""
# What the hub itself knows in the clear, asked of it between the steps.
KNOWN = """
import json
from portals.models import Application, Portal
found = [a.client_secret for a in Application.objects.all()]
for p in Portal.objects.all():
    found += [p.access_token, p.refresh_token, p.application_token, p.former_application_token]
print(json.dumps([one for one in found if one]))
"""
SETTING = """
from portals.models import Portal, PortalSetting
PortalSetting.objects.create(portal=Portal.objects.get(), name="erp_key", value=%r)
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running(servers.STACKS[0], ROBOT_APPS="tests.robots.sample_handlers") as started:
        started.start()
        life.make_application(started)
        yield started


def known(hub: Hub) -> set[str]:
    told: list[str] = json.loads(hub.manage("shell", "--verbosity", "0", "-c", KNOWN).splitlines()[-1])
    return set(told)


def event_tokens(hub: Hub, name: str) -> set[str]:
    processes = hub.control.get(f"portals/{name}/processes")["items"]
    return {str(hub.control.process(name, process["id"])["event_token"]) for process in processes}


def fault(hub: Hub, **what: Any) -> None:
    hub.control.post("portals/alfa/faults", count=1, **what)


@pytest.mark.contract("2.10", "6.16")
def test_s2_s6_no_secret_is_left_anywhere(hub: Hub, tmp_path: Path) -> None:
    life.install(hub, "alfa", "frame")
    secrets = known(hub)
    assert len(secrets) >= 4
    hub.manage("shell", "--verbosity", "0", "-c", SETTING % ERP_KEY)
    catalog = tmp_path / "robots.yaml"
    catalog.write_text(ROBOTS)
    life.publish_and_push(hub, str(catalog))

    # A robot that logs its setting, one that dies of it, a portal that repeats what it was sent.
    fault(hub, kind="expired_token")
    assert life.arrives(hub, "alfa", "uses")["text"] == ERP_KEY[:2]
    token = _access_token(hub)
    told = {"error": "ERROR_CORE", "description": f"What is {token}? auth={token}"}
    fault(hub, kind="error", level="command", methods=["bizproc.event.send"], **told)
    hub.control.run("alfa", life.CLIENT_ID, "raises", document=life.DEAL)
    until(lambda: hub.rows("SELECT 1 FROM handlers_attempt WHERE code = 'ERROR_CORE'"), "it is refused", 60)
    secrets |= known(hub)

    # Strangers, a token server that is away, an update with another application token, a refusal.
    post = {"auth[member_id]": "f" * 32, "auth[application_token]": "x" * 32, "event_token": "a|b|c"}
    assert requests.post(f"{hub.url}/b24/demo/handler/", data=post, timeout=20).status_code == 403
    in_chunks = requests.post(
        f"{hub.url}/b24/demo/handler/",
        data=iter([urlencode(post).encode()]),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        timeout=20,
    )
    assert in_chunks.status_code == 403, in_chunks.text
    hub.control.post("servers/west/faults", kind="html", count=2)
    hub.control.post("portals/alfa/expire")
    hub.control.post("portals/alfa/update", client_id=life.CLIENT_ID, application_token="new")
    until(lambda: hub.rows("SELECT 1 FROM portals_portal WHERE installation > 1"), "the update is in", 60)
    life.until_held(hub, "alfa", {"uses", "raises"})
    assert life.arrives(hub, "alfa", "uses")["text"] == ERP_KEY[:2]
    ended = life.until_all_ended(hub, 120)
    assert ended == {"delivered": 3}, ended
    secrets |= known(hub) | event_tokens(hub, "alfa") | {ERP_KEY}
    assert len(secrets) >= 10

    found = [
        f"{place}: {one[:12]}…" for place, data in _everything(hub) for one in secrets if one.encode() in data
    ]
    assert found == []


def _access_token(hub: Hub) -> str:
    code = "from portals.models import Portal; print(Portal.objects.get().access_token)"
    return hub.manage("shell", "--verbosity", "0", "-c", code).splitlines()[-1]


def _everything(hub: Hub) -> Iterator[tuple[str, bytes]]:
    """Every file below the hub's folder but the sandbox's log (it is the other side), and every cell."""
    for path in hub.folder.rglob("*"):
        if path.is_file() and path != hub.sandbox.log:
            yield path.name, path.read_bytes()
    connection = sqlite3.connect(hub.environment["DATABASE_URL"].removeprefix("sqlite:///"), timeout=20)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        for row in connection.execute(f'SELECT * FROM "{table}"'):
            for cell in row:
                if isinstance(cell, str | bytes):
                    yield table, cell if isinstance(cell, bytes) else cell.encode()
    connection.close()
