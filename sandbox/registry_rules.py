"""What `bizproc.robot.add` refuses, in the platform's words (§5), and what it drops in silence."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

from sandbox.rest_errors import RestFailure, invalid

CODE = re.compile(r"[a-zA-Z0-9.\-_]+")
PROPERTY_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
MAP_BYTES, CODE_LENGTH, URL_LENGTH, NAME_LENGTH = 65_535, 128, 1000, 65_535
RESERVED = {
    "Title",
    "UseSubscription",
    "IsTimeout",
    "AuthUserId",
    "SetStatusMessage",
    "StatusMessage",
    "TimeoutDuration",
    "TimeoutDurationType",
}


def empty(value: Any) -> bool:
    """PHP's ``empty``."""
    return value in (None, "", "0", 0, False) or (isinstance(value, (list, dict)) and not value)


def field(item: dict[str, Any], name: str) -> Any:
    """A property's field; the platform reads its names in either case."""
    for key, value in item.items():
        if key.upper() == name.upper():
            return value
    return None


def check_code(code: Any) -> None:
    if empty(code):
        raise invalid("Empty activity code!")
    if not isinstance(code, (str, int)) or not CODE.fullmatch(str(code)):
        raise invalid("Wrong activity code!")


def check_handler(url: Any, application_host: str | None = None) -> None:
    """A host with a dot in it, then http or https;
    the application's own host where the portal checks that (§5)."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if host.find(".") < 1:
        raise RestFailure("ERROR_WRONG_HANDLER_URL", "Wrong handler URL")
    if parts.scheme not in ("http", "https"):
        raise RestFailure("ERROR_UNSUPPORTED_PROTOCOL", "Unsupported event handler protocol")
    if application_host is not None and host != application_host:
        raise RestFailure("ERROR_HANDLER_URL_MATCH", "Handler URL host doesn't match application url")


def check_name(name: Any) -> None:
    if empty(name):
        raise invalid("Empty activity NAME!")


def check_properties(value: Any) -> dict[str, Any]:
    """The map as the portal takes it; ``[]`` is an empty one."""
    if not isinstance(value, (dict, list)):
        raise invalid("Wrong properties array!")
    items = value if isinstance(value, dict) else {str(number): item for number, item in enumerate(value)}
    for key, item in items.items():
        if not PROPERTY_ID.fullmatch(str(key)):
            raise invalid(f"Wrong property key ({key})!")
        if not isinstance(item, dict) or empty(field(item, "Name")):
            raise invalid(f"Empty property NAME ({key})!")
    return dict(items)


def check_document_type(value: Any) -> list[str]:
    """``[module, object, type]`` of a module the portal has."""
    parts = value if isinstance(value, list) else []
    if len(parts) != 3 or not all(isinstance(part, str) and part for part in parts):
        raise invalid("Wrong activity DOCUMENT_TYPE!")
    if parts[0] not in ("crm", "tasks", "lists", "disk", "bizproc"):
        raise invalid("Wrong activity DOCUMENT_TYPE!")
    return list(parts)


def check_filter(value: Any) -> dict[str, Any]:
    if not isinstance(value, (dict, list)):
        raise invalid("Wrong activity FILTER!")
    return value if isinstance(value, dict) else {}


def check_sizes(code: str, handler: str, *maps: dict[str, Any]) -> None:
    """What no check names but the database would not hold."""
    if len(code) > CODE_LENGTH or len(handler) > URL_LENGTH:
        raise RestFailure("ERROR_ACTIVITY_ADD_FAILURE", "Activity save error!")
    if any(len(json.dumps(item, ensure_ascii=False).encode()) >= MAP_BYTES for item in maps):
        raise RestFailure("ERROR_ACTIVITY_ADD_FAILURE", "Activity save error!")


def effective(
    properties: dict[str, Any], returned: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Both maps as a step really has them, and the ids that were dropped in silence.

    Reserved ids belong to the step; of ids that differ only in case the last stays; one in both
    maps is one slot,    which the result takes.
    """
    dropped: list[str] = []
    reserved = {name.lower() for name in RESERVED}

    def thin(items: dict[str, Any]) -> dict[str, Any]:
        kept: dict[str, tuple[str, Any]] = {}
        for key, item in items.items():
            if key.lower() in reserved:
                dropped.append(key)
                continue
            if key.lower() in kept:
                dropped.append(kept[key.lower()][0])
            kept[key.lower()] = (key, item)
        return dict(kept.values())

    inputs, outputs = thin(properties), thin(returned)
    shared = {key.lower() for key in outputs}
    for key in [key for key in inputs if key.lower() in shared]:
        dropped.append(key)
        del inputs[key]
    return inputs, outputs, dropped


def allowed(rule: dict[str, Any] | None, edition: str, document_type: list[str]) -> bool:
    """FILTER of §5: no INCLUDE or any of its entries matches,
    and no EXCLUDE entry does; editions are entries too."""
    if not rule:
        return True
    include, exclude = entries(field(rule, "INCLUDE")), entries(field(rule, "EXCLUDE"))
    if include and not any(matches(entry, edition, document_type) for entry in include):
        return False
    return not any(matches(entry, edition, document_type) for entry in exclude)


def entries(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def matches(entry: Any, edition: str, document_type: list[str]) -> bool:
    if isinstance(entry, str):
        return entry == ("b24" if edition == "cloud" else "box") or entry == document_type[0]
    parts = entries(entry)
    return bool(parts) and parts == document_type[: len(parts)]
