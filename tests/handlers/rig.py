"""A portal of a real sandbox, and the hub's door on a real port; the test itself is the worker."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from handlers import compute, delivery, sweeper
from portals.client import PortalClient
from portals.models import Application, Portal
from robots.models import Robot, RobotVersion
from tests.factories import PortalFactory, RobotFactory, RobotVersionFactory
from tests.system.processes import ROOT, Process
from tests.system.sandbox_control import SandboxControl


@contextmanager
def sandbox(folder: Path) -> Iterator[SandboxControl]:
    """A sandbox process for as long as it is needed."""
    command = [
        sys.executable,
        "-m",
        "sandbox",
        "--port",
        "0",
        "--west-port",
        "0",
        "--ru-port",
        "0",
        "--no-snapshot",
        # Each keeps a connection to the test's own server, whose thread keeps one to the database: sixty-four, twice,
        # are more than PostgreSQL takes.
        "--threads",
        "10",
    ]
    process = Process("sandbox", [*command, "--die-with-parent"], dict(os.environ), folder).start()
    try:
        found = process.until_answers(
            lambda: re.search(r"sandbox listening on (\S+)", process.log.read_text(errors="replace")),
            "the sandbox tells its address",
        )
        yield SandboxControl(found[1])
    finally:
        process.end()


class Rig:
    """One portal of the sandbox with a working token, and one application of ours."""

    def __init__(self, control: SandboxControl, hub_url: str, name: str, **settings: Any) -> None:
        self.control, self.name, self.hub_url = control, name, hub_url
        self.client_id = f"app.{name}"
        made = control.post("apps", client_id=self.client_id, scope="bizproc,crm", interface=False)
        self.member_id = control.portal(name, **settings)
        self.application = Application.objects.create(
            slug=name, name=name, client_id=self.client_id, client_secret=made["client_secret"]
        )
        control.post("apps", client_id=self.client_id, redirect_url=f"{hub_url}/nowhere/")
        self.portal: Portal = self._connect(made["client_secret"])

    def _connect(self, secret: str) -> Portal:
        """The authorisation code way, by hand: what installation does is tested elsewhere."""
        base = self.control.base
        told = requests.get(
            f"{base}/p/{self.name}/oauth/authorize/",
            params={"client_id": self.client_id, "state": "x"},
            allow_redirects=False,
            timeout=10,
        )
        code = parse_qs(urlsplit(told.headers["Location"]).query)["code"][0]
        server = self.control.get("info")["servers"]["west"]["url"]
        tokens = requests.post(
            f"{server}/oauth/token/",
            data={
                "grant_type": "authorization_code",
                "client_id": self.client_id,
                "client_secret": secret,
                "code": code,
            },
            timeout=10,
        ).json()
        state = self.control.post(f"portals/{self.name}/app", client_id=self.client_id)
        return PortalFactory(
            application=self.application,
            member_id=tokens["member_id"],
            client_endpoint=tokens["client_endpoint"],
            token_server=server,
            access_token=tokens["access_token"],
            refresh_token=tokens["refresh_token"],
            application_token=state["application_token"],
        )

    def robot(self, code: str = "double", handler: str = "", **fields: Any) -> RobotVersion:
        """A published robot, registered on the portal (with another handler than ours where one is given)."""
        payload = fields.pop("payload", None)
        robot: Robot = RobotFactory(application=self.application, code=code, **fields)
        version: RobotVersion = RobotVersionFactory(robot=robot, **({"payload": payload} if payload else {}))
        handler = handler or f"{self.hub_url}/b24/{self.application.slug}/handler/?v={version.pk}"
        payload = {"CODE": code, **json.loads(version.payload_text)}
        PortalClient(self.portal).call("bizproc.robot.add", {**payload, "HANDLER": handler})
        return version

    def run(self, code: str = "double", **more: Any) -> Any:
        more.setdefault("properties", {"amount": "21"})
        return self.control.run(self.name, self.client_id, code, **more)

    def work(self) -> None:
        """What the wakes of one moment do."""
        sweeper.sweep()
        compute.work()
        delivery.work()

    def process(self, number: Any) -> dict[str, Any]:
        return self.control.process(self.name, number)

    def stats(self) -> dict[str, Any]:
        return self.control.stats(self.name)


__all__ = ["ROOT", "Rig", "sandbox"]
