"""Control of what all portals share: clock, applications, token servers, and the whole world at once."""

from __future__ import annotations

from typing import Any

from sandbox import faults, settings, views
from sandbox.control_routes import Ask, Route
from sandbox.world import ControlError


def info(ask: Ask) -> dict[str, Any]:
    world = ask.world
    with world.lock:
        return {
            "base": world.base,
            "js": f"{world.base}/api/v1/",
            "clock": clock(ask),
            "servers": {name: server_address(ask, name) for name in world.state.servers},
            "portals": list(world.state.portals),
            "apps": list(world.state.applications),
            "queue": queue(ask),
        }


def server_address(ask: Ask, name: str) -> dict[str, Any]:
    url = ask.world.server_url(name)
    return {"url": url, "token_url": f"{url}/oauth/token/"}


def clock(ask: Ask) -> dict[str, float]:
    return {"now": ask.world.clock.now(), "offset": ask.world.clock.offset}


def move_clock(ask: Ask) -> dict[str, float]:
    if "offset" in ask.body:
        ask.world.clock.set_offset(float(ask.body["offset"]))
    else:
        ask.world.clock.advance(float(ask.body.get("advance", 0)))
    ask.world.state.offset = ask.world.clock.offset
    ask.world.dirty = True
    return clock(ask)


def reset(ask: Ask) -> dict[str, Any]:
    ask.sandbox.courier.clear()
    ask.world.reset()
    if ask.body.get("demo"):
        settings.demo(ask.world)
    return info(ask)


def queue(ask: Ask) -> dict[str, Any]:
    return {"waiting": ask.sandbox.courier.waiting, "keep_alive": ask.sandbox.courier.keep_alive}


def set_queue(ask: Ask) -> dict[str, Any]:
    if "keep_alive" in ask.body:
        ask.sandbox.courier.keep_alive = bool(ask.body["keep_alive"])
    return queue(ask)


def stats(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        return {name: views.stats_view(portal) for name, portal in ask.world.state.portals.items()}


def applications(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        return {"items": [views.application_view(item) for item in ask.world.state.applications.values()]}


def application(ask: Ask) -> dict[str, Any]:
    return views.application_view(ask.world.application(ask.names["client_id"]))


def save_application(ask: Ask) -> dict[str, Any]:
    return views.application_view(settings.save_application(ask.world, ask.body))


def delete_application(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        ask.world.application(ask.names["client_id"])
        del ask.world.state.applications[ask.names["client_id"]]
        ask.world.dirty = True
        return {"deleted": ask.names["client_id"]}


def servers(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        return {name: server_view(ask, name) for name in ask.world.state.servers}


def server_view(ask: Ask, name: str) -> dict[str, Any]:
    server = ask.world.state.servers.get(name)
    if server is None:
        raise ControlError(f"there is no token server {name!r}", 404)
    return {
        **vars(server),
        **server_address(ask, name),
        "faults": [dict(vars(fault)) for fault in server.faults],
    }


def server(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        return server_view(ask, ask.names["server"])


def save_server(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        server_view(ask, ask.names["server"])
        settings.save_server(ask.world.state.servers[ask.names["server"]], ask.body)
        return server_view(ask, ask.names["server"])


def server_log(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        server_view(ask, ask.names["server"])
        return ask.world.server_books[ask.names["server"]].after(ask.number("after", 0), ask.limit())


def order_server_fault(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        server_view(ask, ask.names["server"])
        found = ask.world.state.servers[ask.names["server"]]
        return dict(vars(faults.order(found.faults, ask.world.serial(), ask.body, faults.SERVER_KINDS)))


def end_server_faults(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        ended = server_view(ask, ask.names["server"])["faults"]
        ask.world.state.servers[ask.names["server"]].faults.clear()
        return {"ended": len(ended)}


ROUTES = [
    Route("GET", "info", info),
    Route("POST", "reset", reset),
    Route("GET", "clock", clock),
    Route("POST", "clock", move_clock),
    Route("GET", "queue", queue),
    Route("POST", "queue", set_queue),
    Route("GET", "stats", stats),
    Route("GET", "apps", applications),
    Route("POST", "apps", save_application),
    Route("GET", "apps/{client_id}", application),
    Route("DELETE", "apps/{client_id}", delete_application),
    Route("GET", "servers", servers),
    Route("GET", "servers/{server}", server),
    Route("POST", "servers/{server}", save_server),
    Route("GET", "servers/{server}/log", server_log),
    Route("POST", "servers/{server}/faults", order_server_fault),
    Route("DELETE", "servers/{server}/faults", end_server_faults),
]
