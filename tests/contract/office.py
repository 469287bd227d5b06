"""An integrator's whole setting: an application that portals install by their own forms, and its robots pushed
by the product. The test itself is the worker."""

from __future__ import annotations

import uuid
from typing import Any

from handlers import accept, compute, delivery, sweeper
from handlers.models import Invocation
from portals import sweep
from portals.models import Application, Portal
from robots.models import Robot
from robots.publish import publish
from robots.push import push_portal
from robots.work import push_due
from tests.factories import RobotFactory
from tests.system.processes import until
from tests.system.sandbox_control import SandboxControl


class Office:
    """One application of ours. `portal` makes a portal of the sandbox, `install` has it install."""

    def __init__(self, control: SandboxControl, hub_url: str) -> None:
        self.control, self.hub_url = control, hub_url
        self.slug = f"a{uuid.uuid4().hex[:8]}"
        self.client_id = f"app.{self.slug}"
        address = f"{hub_url}/b24/{self.slug}/"
        made = control.post(
            "apps",
            client_id=self.client_id,
            scope="bizproc,crm",
            install_url=f"{address}install/",
            main_url=address,
            event_url=f"{address}events/",
            redirect_url=f"{address}oauth/",
        )
        self.application = Application.objects.create(
            slug=self.slug, name=self.slug, client_id=self.client_id, client_secret=made["client_secret"]
        )
        self.names: list[str] = []

    def new_portal(self, **settings: Any) -> str:
        """A portal of the sandbox: Anna (1) is an administrator, Boris (2) is none; its name."""
        name = f"p{uuid.uuid4().hex[:8]}"
        self.control.portal(name, **settings)
        self.names.append(name)
        return name

    def robot(self, code: str = "double", **fields: Any) -> Robot:
        robot: Robot = RobotFactory(application=self.application, code=code, **fields)
        publish(robot)
        return robot

    def install(self, name: str, **more: Any) -> Portal:
        """By the frame form; the hub's row of it."""
        told = self.control.post(f"portals/{name}/install", client_id=self.client_id, **more)
        assert told["status"] == 200, told
        return self.row(name)

    def start(self, **settings: Any) -> str:
        """A portal that has installed and was pushed to; its name."""
        name = self.new_portal(**settings)
        self.install(name)
        self.push(name)
        return name

    def push(self, name: str) -> Any:
        """By a person: a portal gets nothing by itself before its first push."""
        return push_portal(self.row(name))

    def open(self, name: str, **more: Any) -> Any:
        return self.control.post(f"portals/{name}/open", client_id=self.client_id, **more)

    def row(self, name: str) -> Portal:
        member_id = self.control.get(f"portals/{name}")["member_id"]
        return Portal.objects.select_related("application").get(
            application=self.application, member_id=member_id
        )

    def codes(self, name: str) -> list[str]:
        return sorted(self.control.robots(name, self.client_id))

    def run(self, name: str, code: str = "double", **more: Any) -> tuple[Any, Invocation]:
        """Starts a process and waits for its call to be in; (its number, the row)."""
        more.setdefault("properties", {"amount": "21"})
        before = set(Invocation.objects.values_list("pk", flat=True))
        number = self.control.run(name, self.client_id, code, **more)
        row = until(lambda: Invocation.objects.exclude(pk__in=before).first(), "the call is in", 20)
        return number, row

    def work(self) -> None:
        """What the wakes of one moment do, pushes too."""
        sweep.sweep()
        sweeper.sweep()
        push_due()
        compute.work()
        delivery.work()

    def finished(self, name: str, number: Any) -> dict[str, Any]:
        return until(
            lambda: (p := self.control.process(name, number))["state"] == "finished" and p, "it goes on", 20
        )

    def later(self, seconds: float, settings: Any) -> None:
        """Time goes by, for the hub and for the portals alike."""
        settings.CLOCK_OFFSET_SECONDS += seconds
        # Statements are remembered with the offset in them, which no hub in life changes.
        accept._statements.cache_clear()
        self.control.post("clock", advance=seconds)
