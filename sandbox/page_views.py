"""What each page shows, gathered under the lock."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sandbox import faults, placement, registry_rules, values, views
from sandbox.control_routes import Sandbox
from sandbox.registry_rules import field
from sandbox.running import DOCUMENTS, robots_for
from sandbox.world import ControlError, World

LIVE = ("figures", "processes", "traffic", "faults")
SHOWN = 30


def moment(seconds: float) -> str:
    """Hours, minutes and seconds, UTC; nothing for never."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S") if seconds else ""


def pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def listed(value: Any) -> Any:
    """Several values of one property, as a person writes a list."""
    if isinstance(value, dict):
        value = list(value.values())
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def home(sandbox: Sandbox) -> dict[str, Any]:
    world = sandbox.world
    with world.lock:
        return {
            "portals": [views.portal_view(world, portal) for portal in world.state.portals.values()],
            "applications": [views.application_view(item) for item in world.state.applications.values()],
            "servers": {
                name: {
                    **vars(server),
                    "url": world.server_url(name),
                    "latest": world.server_books[name].latest(8),
                }
                for name, server in world.state.servers.items()
            },
            "server_kinds": faults.SERVER_KINDS,
            "base": world.base,
        }


def application(world: World, client_id: str) -> dict[str, Any]:
    with world.lock:
        return {"application": views.application_view(world.application(client_id))}


def portal(world: World, name: str) -> dict[str, Any]:
    with world.lock:
        found, now = world.portal(name), world.clock.now()
        books = world.books(found)
        newest = (
            list(reversed(found.processes.values()))[:SHOWN]
            if len(found.processes) < 500
            else tail(found.processes)
        )
        return {
            "portal": views.portal_view(world, found),
            "stats": views.stats_view(found),
            "faults": [dict(vars(fault)) for fault in found.faults],
            "kinds": (*faults.REQUEST_KINDS, *faults.QUEUE_KINDS),
            "processes": [views.process_view(process, now) for process in newest],
            "requests": books.requests.latest(SHOWN),
            "calls": books.calls.latest(SHOWN),
            "applications": [views.application_view(item) for item in world.state.applications.values()],
            "documents": {
                word: [
                    {
                        "client_id": client_id,
                        "code": robot.code,
                        "name": values.local_name(robot.name, found.language),
                    }
                    for client_id, robot in robots_for(found, kind)
                ]
                for word, kind in DOCUMENTS.items()
            },
            "robots": {
                client_id: [
                    {**views.robot_view(robot), "shown": values.local_name(robot.name, found.language)}
                    for robot in install.robots.values()
                ]
                for client_id, install in found.installs.items()
            },
        }


def tail(processes: dict[str, Any]) -> list[Any]:
    """The newest few of many, without a copy of all."""
    newest = []
    for process in reversed(processes.values()):
        newest.append(process)
        if len(newest) == SHOWN:
            break
    return newest


def robot(world: World, name: str, client_id: str, code: str) -> dict[str, Any]:
    with world.lock:
        found = world.portal(name)
        registered = world.install(found, client_id).robots.get(code)
        if registered is None:
            raise ControlError(f"{client_id} has registered no {code!r} on {name}", 404)
        return {
            "portal": views.portal_view(world, found),
            "client_id": client_id,
            "robot": views.robot_view(registered),
            "shown": values.local_name(registered.name, found.language),
            "about": values.local_name(registered.description, found.language),
        }


def run(sandbox: Sandbox, name: str, client_id: str, code: str, query: dict[str, str]) -> dict[str, Any]:
    """The form made from what was registered; the application's own settings page where there is one (§8)."""
    world = sandbox.world
    with world.lock:
        context = robot(world, name, client_id, code)
        found, item = world.portal(name), world.install(world.portal(name), client_id).robots[code]
        inputs = registry_rules.effective(item.properties, item.return_properties)[0]
        document = query.get("document", "DEAL")
        context["fields"] = [form_field(key, declared, found.language) for key, declared in inputs.items()]
        context["documents"] = [
            word
            for word, kind in DOCUMENTS.items()
            if registry_rules.allowed(item.filter, found.edition, kind)
        ]
        context["document"] = document
        context["odd"] = values.ODD
        context["placement"] = None
        if item.use_placement == "Y":
            url, body = placement.dialog(sandbox.installations, found, client_id, item, document, {}, 1)
            context["placement"] = {"url": url, "fields": body}
        return context


def form_field(key: str, declared: dict[str, Any], language: str) -> dict[str, Any]:
    options = field(declared, "Options")
    return {
        "id": key,
        "name": values.local_name(field(declared, "Name"), language),
        "about": values.local_name(field(declared, "Description"), language),
        "type": str(field(declared, "Type") or "string").lower(),
        "required": values.truthy(field(declared, "Required")),
        "multiple": values.truthy(field(declared, "Multiple")),
        "default": field(declared, "Default"),
        "options": options_of(options),
    }


def options_of(options: Any) -> dict[str, Any]:
    """``{value: title}``, or a list whose items are both."""
    if isinstance(options, dict):
        return options
    return {str(item): str(item) for item in options} if isinstance(options, list) else {}


def process(sandbox: Sandbox, name: str, number: str) -> dict[str, Any]:
    world = sandbox.world
    with world.lock:
        found = world.portal(name)
        item = found.processes.get(number)
        if item is None:
            raise ControlError(f"there is no process {number!r}", 404)
        view = views.process_view(item, world.clock.now(), full=True)
        return {"portal": views.portal_view(world, found), "process": view}


def frame(sandbox: Sandbox, name: str, client_id: str, query: dict[str, str]) -> dict[str, Any]:
    """The application's page in the portal's frame, for a chosen user; ``install`` opens the install page."""
    world = sandbox.world
    with world.lock:
        found, app = world.portal(name), world.application(client_id)
        installing = query.get("what") == "install"
        user = sandbox.installations.user(
            found, int(query.get("user", "1")) if query.get("user", "1").isdigit() else 1
        )
        if installing:
            install = sandbox.installations.record(found, app, user.id)
            if not app.install_url:
                sandbox.installations.finish(install)
        else:
            install = world.install(found, client_id)
        url = (app.install_url if installing else "") or app.main_url or app.install_url
        if not url:
            raise ControlError("the application has no page to open")
        query_text, body = sandbox.installations.frame(found, install, user)
        return {
            "portal": views.portal_view(world, found),
            "application": views.application_view(app),
            "install": views.install_view(install),
            "url": with_query(url, query_text),
            "fields": body,
            "user": user,
            "installing": installing,
        }


def with_query(url: str, query: str) -> str:
    return url + ("&" if "?" in url else "?") + query
