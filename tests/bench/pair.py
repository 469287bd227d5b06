"""A hub's web process and the bare views beside it, each on a database of its own, ready to be asked by turns."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests

from tests.bench.load import form
from tests.system.hub import Hub, running
from tests.system.processes import ROOT, Process, free_port
from tests.system.servers import Stack

MEMBER, TOKEN = "b" * 32, "an-application-token-of-the-bench"
SEED = f"""
from portals.models import Application, Portal
from portals.clock import db_now
application = Application.objects.create(slug="demo", name="Bench", client_id="app.bench", client_secret="s")
Portal.objects.create(application=application, member_id="{MEMBER}", application_token="{TOKEN}",
    client_endpoint="https://p.bitrix24.com/rest/", domain="p.bitrix24.com", token_state="working",
    installed_at=db_now())
"""


@dataclass
class Pair:
    """`call` is the address of the hub's handler with its version; `bare_url` of the bare views, with a slash."""

    hub: Hub
    bare: Process
    bare_url: str
    call: str
    body: str


@contextmanager
def pair(stack: Stack) -> Iterator[Pair]:
    """Both up, with the same gunicorn settings. No worker runs: calls stay received."""
    with running(stack) as hub, running(stack) as other:
        for each in (hub, other):
            seed(each)
        bare = _bare(other)
        try:
            hub.start_web()
            version = hub.rows("SELECT max(id) FROM robots_robotversion WHERE code = 'discount'")[0][0]
            port = bare.command[-1].rpartition(":")[2]
            yield Pair(
                hub,
                bare,
                f"http://127.0.0.1:{port}/",
                f"{hub.url}/b24/demo/handler/?v={version}",
                form(MEMBER, TOKEN, "discount"),
            )
        finally:
            bare.end()


def seed(hub: Hub) -> None:
    """A portal and published robots, without a sandbox."""
    hub.manage("migrate", "--verbosity", "0")
    hub.manage("shell", "-c", SEED)
    hub.manage("import_catalog", "demo/catalog.yaml", "--publish")


def _bare(other: Hub) -> Process:
    environment = other.environment
    subprocess.run(
        [sys.executable, "-c", "from tests.bench import bare; bare.make_table()"],
        env=environment,
        cwd=ROOT,
        check=True,
    )
    command = [sys.executable, "-m", "gunicorn", "-c", "python:tests.bench.bare_gunicorn"]
    port = free_port()
    process = Process("bare", [*command, "--bind", f"127.0.0.1:{port}"], environment, other.folder)
    process.start()
    process.until_answers(lambda: _answers(port), "the bare views are up")
    return process


def _answers(port: int) -> bool:
    try:
        return (
            requests.post(f"http://127.0.0.1:{port}/empty/", data={"ready": "?"}, timeout=5).status_code
            == 200
        )
    except requests.RequestException:
        return False
