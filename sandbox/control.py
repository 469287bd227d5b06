"""The JSON control API: by it tests, benchmarks and the page drive and read the sandbox.
README.md lists it."""

from __future__ import annotations

import json
from typing import Any

from sandbox import control_portals, control_world
from sandbox.control_routes import Ask, Route, Sandbox, match
from sandbox.http_server import Reply, Request, json_reply
from sandbox.world import ControlError


class Control:
    """Answers ``/control/…``."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.routes: list[Route] = [*control_world.ROUTES, *control_portals.ROUTES]

    def answer(self, request: Request) -> Reply:
        if request.verb not in ("GET", "HEAD") and foreign(request):
            return json_reply({"error": "another site's page may not drive the sandbox"}, 403)
        path = [part for part in request.path.split("/") if part][1:]
        if not path:
            return json_reply({"routes": [f"{route.verb} /control/{route.pattern}" for route in self.routes]})
        found = match(self.routes, request.verb, path)
        if isinstance(found, int):
            return json_reply(
                {"error": "there is no such address" if found == 404 else "another verb is wanted"}, found
            )
        route, names = found
        try:
            ask = Ask(self.sandbox, names, body_of(request), query_of(request))
            return json_reply(route.run(ask))
        except ControlError as error:
            return json_reply({"error": str(error)}, error.status)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            return json_reply({"error": f"the request makes no sense: {type(error).__name__}: {error}"}, 400)


def foreign(request: Request) -> bool:
    """A browser names the page's origin; one that is not this sandbox's own is refused."""
    origin = request.headers.get("origin", "")
    return bool(origin) and origin.partition("://")[2] != request.host


def body_of(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    try:
        value = json.loads(request.body)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ControlError("the body is no JSON") from None
    if not isinstance(value, dict):
        raise ControlError("the body is no JSON map")
    return value


def query_of(request: Request) -> dict[str, str]:
    return {key: value for key, value in Request.params(bodyless(request)).items() if isinstance(value, str)}


def bodyless(request: Request) -> Request:
    return Request(
        request.verb, request.path, request.query, request.host, request.headers, b"", request.peer
    )
