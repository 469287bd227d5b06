"""The table of REST methods: the scopes each asks for, and the part of the plan it needs (§5)."""

from __future__ import annotations

from typing import Any

from sandbox import account, events, instances, registry, results
from sandbox.rest_call import Call, Method
from sandbox.rest_errors import argument

BIZPROC = ("bizproc",)


def in_plan_for(call: Call) -> list[str]:
    names = [name for name, method in METHODS.items() if method.in_plan(call.portal)]
    held = set(account.scope(call))
    return [name for name in names if not METHODS[name].scopes or held & set(METHODS[name].scopes)]


def method_get(call: Call) -> dict[str, bool]:
    name = str(call.get("NAME") or "").lower()
    if not name:
        raise argument("Argument 'NAME' is null or empty")
    exists = name in METHODS and METHODS[name].in_plan(call.portal)
    return {"isExisting": exists, "isAvailable": exists and name in in_plan_for(call)}


def scope(call: Call) -> Any:
    return account.scope(call)


METHODS: dict[str, Method] = {
    "bizproc.robot.add": Method(registry.add("robot"), BIZPROC, "automation"),
    "bizproc.robot.update": Method(registry.update("robot"), BIZPROC, "automation"),
    "bizproc.robot.delete": Method(registry.delete("robot"), BIZPROC, "automation"),
    "bizproc.robot.list": Method(registry.codes("robot"), BIZPROC, "automation"),
    "bizproc.activity.add": Method(registry.add("activity"), BIZPROC, "workflows"),
    "bizproc.activity.update": Method(registry.update("activity"), BIZPROC, "workflows"),
    "bizproc.activity.delete": Method(registry.delete("activity"), BIZPROC, "workflows"),
    "bizproc.activity.list": Method(registry.codes("activity"), BIZPROC, "workflows"),
    "bizproc.activity.log": Method(results.activity_log, BIZPROC, "automation"),
    "bizproc.event.send": Method(results.event_send, BIZPROC, "automation"),
    "bizproc.workflow.instances": Method(instances.instances, BIZPROC, "workflows"),
    "bizproc.workflow.terminate": Method(instances.stop("terminated"), BIZPROC, "workflows"),
    "bizproc.workflow.kill": Method(instances.stop("killed"), BIZPROC, "workflows"),
    "event.bind": Method(events.bind),
    "event.get": Method(events.get),
    "event.unbind": Method(events.unbind),
    "app.info": Method(account.app_info),
    "profile": Method(account.profile),
    "user.current": Method(account.user_current, ("user", "user_brief", "user_basic")),
    "scope": Method(scope),
    "methods": Method(in_plan_for),
    "method.get": Method(method_get),
    "server.time": Method(account.server_time),
}
