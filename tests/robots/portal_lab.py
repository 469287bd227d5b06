"""A sandbox portal with the hub's own row for it: what pushes are tried against, over real HTTP."""

from __future__ import annotations

from typing import Any

from portals.models import Portal
from robots.models import Registration, Robot
from robots.publish import publish
from tests.factories import ApplicationFactory, PortalFactory, RobotFactory
from tests.sandbox.lab import Lab

PUBLIC_URL = "http://127.0.0.1:8000"


class PortalLab:
    """`lab` is the portal's side, `portal` ours. Robots of the application are made with `robot`."""

    def __init__(self, lab: Lab, application: Any = None) -> None:
        self.lab = lab
        self.application = application or ApplicationFactory(
            client_id=lab.client_id, client_secret=lab.secret
        )
        self.portal: Portal = PortalFactory(
            application=self.application,
            member_id=lab.portal["member_id"],
            domain=lab.portal["domain"],
            client_endpoint=lab.endpoint,
            access_token=lab.token,
            refresh_token=lab.refresh,
            token_server=lab.sandbox.get("info")["servers"]["west"]["url"],
            events_bound_to=f"{PUBLIC_URL}/b24/{self.application.slug}/events/",
            has_workflows=True,
            has_robots=True,
        )

    def robot(self, code: str, published: bool = True, **fields: Any) -> Robot:
        robot: Robot = RobotFactory(application=self.application, code=code, **fields)
        if published:
            publish(robot)
        return robot

    def change(self, robot: Robot, **fields: Any) -> None:
        """Edits the draft and publishes it."""
        for name, value in fields.items():
            setattr(robot, name, value)
        robot.save()
        publish(robot)

    def there(self) -> dict[str, Any]:
        """What the portal holds, by code."""
        held = self.lab.read("robots").get(self.lab.client_id, [])
        return {robot["code"]: robot for robot in held}

    def row(self, code: str) -> Registration:
        return Registration.objects.select_related("pushed_version", "wanted_version").get(
            portal=self.portal, robot__code=code
        )

    def requests(self) -> list[dict[str, Any]]:
        """REST requests in order, a batch's commands beside it."""
        items: list[dict[str, Any]] = self.lab.read("requests?limit=1000")["items"]
        return items

    def methods(self) -> list[str]:
        """Every method that ran, commands of batches each for itself."""
        found = []
        for request in self.requests():
            commands = request.get("commands") or []
            found += [command["method"] for command in commands] or [request["method"]]
        return found

    def fault(self, kind: str, **more: Any) -> None:
        self.lab.control("faults", kind=kind, **more)

    def reinstall(self) -> None:
        """The application is removed there and installed anew: the portal dropped what was registered."""
        self.lab.control("uninstall", client_id=self.lab.client_id)
        self.lab.install()
        self.portal.refresh_from_db()
        self.portal.installation += 1
        self.portal.access_token, self.portal.refresh_token = self.lab.token, self.lab.refresh
        self.portal.save()
