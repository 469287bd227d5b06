"""Control of one portal: settings, installations, runs, faults, and what it was asked and did."""

from __future__ import annotations

from typing import Any

from sandbox import faults, placement, settings, views
from sandbox.control_routes import Ask, Route
from sandbox.model import Process
from sandbox.world import ControlError, flag


def portals(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        return {
            "items": [views.portal_view(ask.world, portal) for portal in ask.world.state.portals.values()]
        }


def create(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        return views.portal_view(ask.world, settings.save_portal(ask.world, ask.body))


def portal(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        return views.portal_view(ask.world, ask.portal)


def change(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        found = settings.save_portal(ask.world, {**ask.body, "name": ask.portal.name})
        return views.portal_view(ask.world, found)


def delete(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        ask.world.forget_books(ask.portal)
        del ask.world.state.portals[ask.portal.name]
        ask.world.dirty = True
        return {"deleted": ask.names["name"]}


def reset(ask: Ask) -> dict[str, Any]:
    """Processes, logs, counters, faults and limits; installations too with ``installs``."""
    with ask.world.lock:
        found = ask.portal
        for process in list(found.processes.values()):
            process.state = "terminated"
        found.processes = {}
        for store in (found.faults, found.answered, found.counters, found.bucket_level, found.bucket_at):
            store.clear()
        for install in found.installs.values():
            install.baskets.clear()
        if ask.body.get("installs"):
            found.installs.clear()
        ask.world.forget_books(found)
        ask.world.dirty = True
        return views.portal_view(ask.world, found)


def install(ask: Ask) -> dict[str, Any]:
    application = ask.world.application(ask.wanted("client_id"))
    user, token = int(ask.body.get("user", 1)), str(ask.body.get("application_token") or "")
    drop = flag(ask.body.get("drop", False))
    way = ask.body.get("way") or ("frame" if application.interface else "event")
    if way == "frame":
        return ask.sandbox.installations.by_frame(ask.portal, application, user, token, drop)
    if way == "event":
        repeat = int(ask.body.get("repeat", 1))
        return ask.sandbox.installations.by_event(ask.portal, application, user, token, repeat, drop)
    raise ControlError("way is frame or event; full OAuth starts at the portal's /oauth/authorize/")


def open_page(ask: Ask) -> dict[str, Any]:
    url = str(ask.body.get("url") or "")
    return ask.sandbox.installations.open(
        ask.portal, ask.wanted("client_id"), int(ask.body.get("user", 1)), url
    )


def settings_page(ask: Ask) -> dict[str, Any]:
    """Opens a robot's own settings page as the portal's dialog does (§8)."""
    return placement.post_dialog(
        ask.sandbox.installations,
        ask.portal,
        ask.wanted("client_id"),
        ask.wanted("code"),
        str(ask.body.get("document", "DEAL")),
        dict(ask.body.get("values") or {}),
        int(ask.body.get("user", 1)),
    )


def finish(ask: Ask) -> dict[str, Any]:
    found = ask.world.install(ask.portal, ask.wanted("client_id"))
    ask.sandbox.installations.finish(found)
    return views.install_view(found)


def update(ask: Ask) -> dict[str, Any]:
    version, token = ask.body.get("version"), str(ask.body.get("application_token") or "")
    drop = flag(ask.body.get("drop", True))
    return ask.sandbox.installations.update(
        ask.portal, ask.wanted("client_id"), int(version) if version else None, token, drop
    )


def uninstall(ask: Ask) -> dict[str, Any]:
    clean = flag(ask.body.get("clean", False))
    return ask.sandbox.installations.uninstall(ask.portal, ask.wanted("client_id"), clean)


def installation(ask: Ask) -> dict[str, Any]:
    """Paid or not, and what else is one installation's own."""
    with ask.world.lock:
        found = ask.world.install(ask.portal, ask.wanted("client_id"))
        if "paid" in ask.body:
            found.paid = flag(ask.body["paid"])
        if "installed" in ask.body:
            found.installed = flag(ask.body["installed"])
        found.days = int(ask.body.get("days", found.days))
        if ask.body.get("application_token"):
            found.application_token = str(ask.body["application_token"])
        ask.world.dirty = True
        return views.install_view(found)


def user(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        ask.world.dirty = True
        return dict(vars(settings.save_user(ask.portal, ask.body)))


def expire(ask: Ask) -> dict[str, Any]:
    return {
        "installations": ask.sandbox.installations.expire(ask.portal, str(ask.body.get("client_id") or ""))
    }


def move(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        return views.portal_view(ask.world, settings.move_portal(ask.world, ask.portal, ask.body))


def run(ask: Ask) -> dict[str, Any]:
    process = ask.sandbox.running.run(ask.portal, ask.body)
    with ask.world.lock:
        return views.process_view(process, ask.world.clock.now(), full=True)


def burst(ask: Ask) -> dict[str, Any]:
    return ask.sandbox.running.burst(ask.portal, ask.body)


def robots(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        return {
            client_id: [views.robot_view(robot) for robot in item.robots.values()]
            for client_id, item in ask.portal.installs.items()
        }


def processes(ask: Ask) -> dict[str, Any]:
    """In the order of their start; ``after`` is the number of the last one read."""
    after, limit, state = ask.number("after", 0), ask.limit(), ask.query.get("state", "")
    items: list[dict[str, Any]] = []
    with ask.world.lock:
        now = ask.world.clock.now()
        full = flag(ask.query.get("full", ""))
        for process in ask.portal.processes.values():
            if process.number > after and state in ("", process.state):
                items.append(views.process_view(process, now, full))
                if len(items) >= limit:
                    break
    return {"items": items, "next": items[-1]["number"] if items else after}


def process_of(ask: Ask) -> Process:
    found = ask.portal.processes.get(ask.names["id"])
    if found is None:
        raise ControlError(f"there is no process {ask.names['id']!r}", 404)
    return found


def process(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        found = process_of(ask)
        view = views.process_view(found, ask.world.clock.now(), full=True)
        view["event_token"] = ask.sandbox.engine.token_of(found, found.step)
        return view


def lock(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        process_of(ask).locked_until = ask.world.clock.now() + float(ask.body.get("seconds", 300))
        ask.world.dirty = True
        return process(ask)


def save(ask: Ask) -> dict[str, Any]:
    """Puts off (or ends) the time until a process is saved, from now."""
    with ask.world.lock:
        found = process_of(ask)
        found.step.saved_at = ask.world.clock.now() + float(ask.body.get("seconds", 0))
        if found.position == 0:
            found.saved_at = found.step.saved_at
        ask.world.dirty = True
        return process(ask)


def terminate(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        ask.sandbox.engine.stop(ask.portal, process_of(ask), "terminated")
        return process(ask)


def kill(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        ask.sandbox.engine.stop(ask.portal, process_of(ask), "killed")
        return process(ask)


def requests(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        return ask.world.books(ask.portal).requests.after(ask.number("after", 0), ask.limit())


def calls(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        return ask.world.books(ask.portal).calls.after(ask.number("after", 0), ask.limit())


def stats(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        return views.stats_view(ask.portal)


def list_faults(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        return {"items": [dict(vars(fault)) for fault in ask.portal.faults]}


def order_fault(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        kinds = (*faults.REQUEST_KINDS, *faults.QUEUE_KINDS)
        ask.world.dirty = True
        return dict(vars(faults.order(ask.portal.faults, ask.world.serial(), ask.body, kinds)))


def end_faults(ask: Ask) -> dict[str, Any]:
    with ask.world.lock:
        before = len(ask.portal.faults)
        wanted = ask.names.get("fault")
        ask.portal.faults = [
            item for item in ask.portal.faults if wanted is not None and str(item.id) != wanted
        ]
        ask.world.dirty = True
        return {"ended": before - len(ask.portal.faults)}


ROUTES = [
    Route("GET", "portals", portals),
    Route("POST", "portals", create),
    Route("GET", "portals/{name}", portal),
    Route("POST", "portals/{name}", change),
    Route("DELETE", "portals/{name}", delete),
    Route("POST", "portals/{name}/reset", reset),
    Route("POST", "portals/{name}/install", install),
    Route("POST", "portals/{name}/open", open_page),
    Route("POST", "portals/{name}/placement", settings_page),
    Route("POST", "portals/{name}/finish", finish),
    Route("POST", "portals/{name}/update", update),
    Route("POST", "portals/{name}/uninstall", uninstall),
    Route("POST", "portals/{name}/app", installation),
    Route("POST", "portals/{name}/user", user),
    Route("POST", "portals/{name}/expire", expire),
    Route("POST", "portals/{name}/move", move),
    Route("POST", "portals/{name}/run", run),
    Route("POST", "portals/{name}/burst", burst),
    Route("GET", "portals/{name}/robots", robots),
    Route("GET", "portals/{name}/processes", processes),
    Route("GET", "portals/{name}/processes/{id}", process),
    Route("POST", "portals/{name}/processes/{id}/lock", lock),
    Route("POST", "portals/{name}/processes/{id}/save", save),
    Route("POST", "portals/{name}/processes/{id}/terminate", terminate),
    Route("POST", "portals/{name}/processes/{id}/kill", kill),
    Route("GET", "portals/{name}/requests", requests),
    Route("GET", "portals/{name}/calls", calls),
    Route("GET", "portals/{name}/stats", stats),
    Route("GET", "portals/{name}/faults", list_faults),
    Route("POST", "portals/{name}/faults", order_fault),
    Route("DELETE", "portals/{name}/faults", end_faults),
    Route("DELETE", "portals/{name}/faults/{fault}", end_faults),
]
