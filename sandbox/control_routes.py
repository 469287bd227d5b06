"""What a control route is, and how an address finds its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.courier import Courier
from sandbox.installation import Installations
from sandbox.model import Portal
from sandbox.processes import Processes
from sandbox.running import Running
from sandbox.world import ControlError, World


@dataclass
class Sandbox:
    """The parts, put together once by the start."""

    world: World
    courier: Courier
    engine: Processes
    running: Running
    installations: Installations


@dataclass
class Ask:
    """A control request: names from its address, its body, its query."""

    sandbox: Sandbox
    names: dict[str, str]
    body: dict[str, Any] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)

    @property
    def world(self) -> World:
        return self.sandbox.world

    @property
    def portal(self) -> Portal:
        return self.world.portal(self.names["name"])

    def number(self, name: str, default: int) -> int:
        text = self.query.get(name, "")
        return int(text) if text.lstrip("-").isdigit() else default

    def limit(self) -> int:
        return max(1, min(self.number("limit", 100), 5000))

    def wanted(self, name: str) -> str:
        """A text the body must bring."""
        value = self.body.get(name)
        if not isinstance(value, str) or not value:
            raise ControlError(f"the body must name {name}")
        return value


@dataclass(frozen=True)
class Route:
    """``pattern`` is parts separated by slashes; one in braces is a name."""

    verb: str
    pattern: str
    run: Callable[[Ask], Any]


def match(routes: list[Route], verb: str, path: list[str]) -> tuple[Route, dict[str, str]] | int:
    """The route and its names, or 404, or 405."""
    status = 404
    for route in routes:
        parts = route.pattern.split("/")
        if len(parts) != len(path):
            continue
        pairs = list(zip(parts, path, strict=True))
        if any(part != value for part, value in pairs if not part.startswith("{")):
            continue
        if route.verb == verb or (verb == "HEAD" and route.verb == "GET"):
            return route, {part[1:-1]: value for part, value in pairs if part.startswith("{")}
        status = 405
    return status
