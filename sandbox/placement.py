"""A robot's own settings page, opened as the portal's dialog opens it (§8)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from sandbox import events, php_forms
from sandbox.installation import Installations
from sandbox.model import Portal, Registered
from sandbox.world import ControlError

PLACEMENT = "BIZPROC_ACTIVITY_PROPERTIES_DIALOG"


def dialog(
    installations: Installations,
    portal: Portal,
    client_id: str,
    robot: Registered,
    document: str,
    current: dict[str, Any],
    user_id: int,
) -> tuple[str, dict[str, Any]]:
    """Address and body of the form; ``current_values`` is an empty text where there are none."""
    options = {
        "code": robot.code,
        "activity_name": f"A{robot.code}",
        "properties": {key: {"Id": key, **item} for key, item in robot.properties.items()},
        "current_values": current or "",
        "document_type": robot.document_type or [],
        "document_fields": {
            "ID": {"Name": "ID", "Type": "int"},
            "TITLE": {"Name": "Title", "Type": "string"},
        },
        "template": {"document": document},
    }
    with installations.world.lock:
        install = installations.world.install(portal, client_id)
        user = installations.user(portal, user_id)
        query, body = installations.frame(portal, install, user, PLACEMENT, json.dumps(options))
    url = robot.placement_handler
    return url + ("&" if urlsplit(url).query else "?") + query, body


def post_dialog(
    installations: Installations,
    portal: Portal,
    client_id: str,
    code: str,
    document: str,
    current: dict[str, Any],
    user_id: int,
) -> dict[str, Any]:
    """POSTs it without a browser; gives the answer."""
    world = installations.world
    with world.lock:
        robot = world.install(portal, client_id).robots.get(code)
        if robot is None or robot.use_placement != "Y":
            raise ControlError(f"{code!r} has no settings page of its own", 409)
        url, body = dialog(installations, portal, client_id, robot, document, current, user_id)
    delivery = installations.courier.deliver(url, php_forms.encode(body), 30.0)
    entry = {"kind": "placement", "code": code, "url": robot.placement_handler}
    events.note_call(world, portal, entry, delivery)
    return {
        "status": delivery.status,
        "ms": delivery.ms,
        "error": delivery.error,
        "body": delivery.body[:20_000],
    }
