"""`event.bind`, `event.get`, `event.unbind`,
and the events that reach an application only where it bound them (§3)."""

from __future__ import annotations

from typing import Any

from sandbox import php_forms
from sandbox import registry_rules as rules
from sandbox.courier import Courier, Delivery
from sandbox.model import Binding, Install, Portal
from sandbox.rest_call import Call
from sandbox.rest_errors import RestFailure, argument
from sandbox.world import World

KNOWN = (
    "ONAPPINSTALL",
    "ONAPPUPDATE",
    "ONAPPUNINSTALL",
    "ONAPPPAYMENT",
    "ONCRMDEALADD",
    "ONCRMDEALUPDATE",
    "ONCRMLEADADD",
)


def bind(call: Call) -> bool:
    with call.world.lock:
        install, _ = call.application_context()
        event, handler = name_of(call), call.get("HANDLER")
        if event not in KNOWN:
            raise RestFailure("ERROR_EVENT_NOT_FOUND", "Event not found")
        if not handler:
            raise argument("Argument 'HANDLER' is null or empty")
        rules.check_handler(handler)
        if any(item.event == event and item.handler == handler for item in install.bindings):
            raise RestFailure(
                "ERROR_EVENT_BINDING_EXISTS", "Unable to set event handler: Handler already binded"
            )
        auth_type = call.get("AUTH_TYPE")
        install.bindings.append(
            Binding(
                call.world.serial(),
                event,
                str(handler),
                int(auth_type) if str(auth_type or "").isdigit() else 0,
            )
        )
        return True


def get(call: Call) -> list[dict[str, Any]]:
    with call.world.lock:
        install, _ = call.application_context()
        return [
            {"event": item.event, "handler": item.handler, "auth_type": str(item.auth_type), "offline": 0}
            for item in install.bindings
        ]


def unbind(call: Call) -> dict[str, int]:
    with call.world.lock:
        install, _ = call.application_context()
        event, handler = name_of(call), call.get("HANDLER")
        if not event:
            raise argument("Argument 'EVENT' is null or empty")
        kept = [
            item for item in install.bindings if item.event != event or (handler and item.handler != handler)
        ]
        count = len(install.bindings) - len(kept)
        install.bindings = kept
        call.world.dirty = True
        return {"count": count}


def name_of(call: Call) -> str:
    return str(call.get("EVENT") or "").upper()


def send_bound(
    world: World,
    courier: Courier,
    portal: Portal,
    install: Install,
    event: str,
    data: dict[str, Any],
    auth: dict[str, Any],
) -> list[dict[str, Any]]:
    """POSTs an event to each handler bound to it, in this thread;
    an application that owes installFinish gets none."""
    with world.lock:
        targets = [item for item in install.bindings if item.event == event] if install.installed else []
    return [send_one(world, courier, portal, event, item.handler, item.id, data, auth) for item in targets]


def send_one(
    world: World,
    courier: Courier,
    portal: Portal,
    event: str,
    url: str,
    binding: int,
    data: dict[str, Any],
    auth: dict[str, Any],
) -> dict[str, Any]:
    form = {
        "event": event,
        "event_handler_id": binding,
        "data": data,
        "ts": int(world.clock.now()),
        "auth": auth,
    }
    delivery = courier.deliver(url, php_forms.encode(form), portal.call_timeout)
    return note_call(world, portal, {"kind": "event", "code": event, "url": url}, delivery)


def note_call(world: World, portal: Portal, entry: dict[str, Any], delivery: Delivery) -> dict[str, Any]:
    """Into the journal of calls the portal made."""
    facts = {"at": world.clock.now(), "status": delivery.status, "ms": delivery.ms, "error": delivery.error}
    with world.lock:
        return world.books(portal).calls.add({**entry, **facts})
