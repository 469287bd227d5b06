"""One REST command as a method sees it: who asks, with what, and what is left of the request's time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.model import Application, Install, Portal, User
from sandbox.processes import Processes
from sandbox.rest_errors import RestFailure, denied
from sandbox.world import World


class Overrun(Exception):
    """One request runs 60 s at most: the portal's front ends it, whatever was not reached is unknown (§4)."""


@dataclass
class Caller:
    """Who stands behind the token: an application's user, or a webhook's."""

    user: User
    install: Install | None = None
    application: Application | None = None


@dataclass
class Call:
    """A command: names of its parameters are read in capitals, as the bizproc methods do."""

    world: World
    engine: Processes
    portal: Portal
    caller: Caller
    method: str
    params: dict[str, Any]
    deadline: float
    after: list[Callable[[], None]] = field(default_factory=list)
    extra_operating: float = 0.0

    def get(self, name: str) -> Any:
        """A parameter in any case; null is as if it were not sent (PHP's ``isset``)."""
        value = self.params.get(name)
        if value is not None:
            return value
        for key, item in self.params.items():
            if key.upper() == name.upper():
                return item
        return None

    def application_context(self) -> tuple[Install, Application]:
        if self.caller.install is None or self.caller.application is None:
            raise denied("Application context required")
        return self.caller.install, self.caller.application

    def administrator(self) -> None:
        if not self.caller.user.admin:
            raise denied()

    def spend(self, seconds: float) -> None:
        """The portal works inside the request:
        real time passes and counts as operating (§7). No lock is held."""
        self.extra_operating += seconds
        left = self.deadline - time.monotonic()
        time.sleep(max(0.0, min(seconds, left)))

    def check_time(self) -> None:
        if time.monotonic() >= self.deadline:
            raise Overrun


@dataclass
class Page:
    """A result that comes in pages of 50: ``total`` and ``next`` stand beside it (§7)."""

    items: list[Any]
    total: int | None = None
    next: int | None = None


@dataclass(frozen=True)
class Method:
    """A method, the scope it asks for (any of them), and the part of the plan it needs (§5)."""

    run: Callable[[Call], Any]
    scopes: tuple[str, ...] = ()
    plan: str = ""

    def in_plan(self, portal: Portal) -> bool:
        if self.plan == "workflows":
            return portal.workflows
        return self.plan != "automation" or portal.workflows or portal.automation


__all__ = ["Call", "Caller", "Method", "Overrun", "Page", "RestFailure"]
