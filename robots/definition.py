"""Robot and Property rows ⇄ the plain definition: the one place that knows both.

A definition is a dict shaped as the catalog's entry (design §3), typed, every key always there:

    {"code": str, "kind": "robot" | "activity", "name": Text, "description": Text, "subscription": str,
     "auth_user_id": int | None, "document_type": [str, str, str] | None,
     "filter": {"include": [str | [str, …]], "exclude": […]} | None,
     "properties": [P, …], "return_properties": [P, …], "compute": dict, "on_failure": "hold" | "release"}
    P = {"id": str, "type": str, "name": Text, "description": Text, "options": {value: Text},
         "required": bool, "multiple": bool, "default": str | [str, …] | None}
    Text = str | {lang: str}, languages en first, then alphabetical; "" is none

Maps keep an order that does not depend on the database (a JSON object on PostgreSQL forgets its own).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from portals.models import Application
from robots.models import Property, Robot

Definition = dict[str, Any]

MAPS = (("properties", Property.Direction.INPUT), ("return_properties", Property.Direction.OUTPUT))


def definition_of(robot: Robot) -> Definition:
    """The draft as a definition. Reads `robot.properties` (prefetch it where there are many)."""
    rows = sorted(robot.properties.all(), key=lambda row: (row.position, row.pk or 0))
    return normal(
        {
            "code": robot.code,
            "kind": robot.kind,
            "name": robot.name,
            "description": robot.description,
            "subscription": robot.subscription,
            "auth_user_id": robot.auth_user_id,
            "document_type": robot.document_type,
            "filter": robot.filter,
            **{
                name: [_property_of(row) for row in rows if row.direction == direction]
                for name, direction in MAPS
            },
            "compute": robot.compute,
            "on_failure": robot.on_failure,
        }
    )


def draft_digest(robot: Robot) -> str:
    """What the draft says, in hex: equal while nobody changed it."""
    return hashlib.sha256(json.dumps(definition_of(robot)).encode()).hexdigest()


def _property_of(row: Property) -> dict[str, Any]:
    return {
        "id": row.identifier,
        "type": row.type,
        "name": row.name,
        "description": row.description,
        "options": {str(value): text for value, text in row.options or []},
        "required": row.required,
        "multiple": row.multiple,
        "default": row.default,
    }


def normal(definition: Mapping[str, Any]) -> Definition:
    """The definition with every key there, defaults filled in and maps in their one order.

    What is absent, None or "" becomes the default; values of a wrong type stay for the rules to name.
    """
    outputs = [_normal_property(item) for item in definition.get("return_properties") or []]
    return {
        "code": definition.get("code") or "",
        "kind": definition.get("kind") or "robot",
        "name": ordered_text(definition.get("name")),
        "description": ordered_text(definition.get("description")),
        "subscription": definition.get("subscription") or "wait",
        "auth_user_id": definition.get("auth_user_id"),
        "document_type": definition.get("document_type") or None,
        "filter": _normal_filter(definition.get("filter")),
        "properties": [_normal_property(item) for item in definition.get("properties") or []],
        "return_properties": outputs,
        "compute": _normal_compute(definition.get("compute") or {}, [item["id"] for item in outputs]),
        "on_failure": definition.get("on_failure") or "hold",
    }


def _normal_property(item: Mapping[str, Any]) -> dict[str, Any]:
    default = item.get("default")
    options = item.get("options") or {}
    return {
        "id": item.get("id") or "",
        "type": item.get("type") or "",
        "name": ordered_text(item.get("name")),
        "description": ordered_text(item.get("description")),
        "options": {str(value): ordered_text(text) for value, text in options.items()},
        "required": bool(item.get("required")),
        "multiple": bool(item.get("multiple")),
        # An empty default is none: an unset value takes it or is empty all the same.
        "default": None if default in (None, "", []) else default,
    }


def ordered_text(text: Any) -> Any:
    """A text with its languages in order; {} and None are ""."""
    if isinstance(text, Mapping):
        return {lang: text[lang] for lang in sorted(text, key=lambda lang: (lang != "en", str(lang)))} or ""
    return "" if text is None else text


def _normal_filter(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value or None
    sides = {side: list(value.get(side) or []) for side in ("include", "exclude")}
    return sides if any(sides.values()) else None


def _normal_compute(compute: Any, outputs: list[str]) -> Any:
    """`type`, function, returns, log, then the alphabet; inside a map the outputs first, in their order."""
    if not isinstance(compute, Mapping):
        return compute
    return _in_order(compute, ["type", "function", "returns", "log"], outputs)


def _in_order(value: Any, first: list[str], inner: list[str]) -> Any:
    if isinstance(value, list):
        return [_in_order(item, inner, inner) for item in value]
    if not isinstance(value, Mapping):
        return value
    places = {name: place for place, name in enumerate(first)}
    keys = sorted(value, key=lambda key: (places.get(key, len(places)), str(key)))
    return {key: _in_order(value[key], inner, inner) for key in keys}


@transaction.atomic
def write_definition(
    application: Application, definition: Mapping[str, Any], robot: Robot | None = None
) -> tuple[Robot, bool]:
    """Makes the draft say what `definition` says; (robot, whether anything changed).

    `robot` None makes a new one. Rows that say it already are not written, so that history tells changes
    only. A removed robot stays removed (see `removal`). The caller has checked the definition
    (rules.check_definition).
    """
    wanted = normal(definition)
    fields = {name: wanted[name] for name in wanted if name not in ("properties", "return_properties")}
    if robot is None:
        robot = Robot(application=application, **fields)
        robot.save()
        changed = True
    else:
        current = definition_of(robot)
        changed = any(current[name] != fields[name] for name in fields)
        if changed:
            for name, value in fields.items():
                setattr(robot, name, value)
            robot.save()
    if _write_properties(robot, wanted):
        changed = True
        # Prefetched rows are now stale.
        getattr(robot, "_prefetched_objects_cache", {}).pop("properties", None)
    return robot, changed


def _write_properties(robot: Robot, wanted: Definition) -> bool:
    """Rows are matched by id whatever its case: both maps share one namespace (§5)."""
    held = {row.identifier.lower(): row for row in Property.objects.filter(robot=robot)}
    named = {item["id"].lower() for name, _direction in MAPS for item in wanted[name]}
    changed = False
    for identifier, row in held.items():
        if identifier not in named:
            row.delete()
            changed = True
    for name, direction in MAPS:
        for position, item in enumerate(wanted[name]):
            changed |= _write_property(robot, held.get(item["id"].lower()), direction, position, item)
    return changed


def _write_property(
    robot: Robot, row: Property | None, direction: str, position: int, item: Mapping[str, Any]
) -> bool:
    values = {
        "direction": direction,
        "position": position,
        "identifier": item["id"],
        "type": item["type"],
        "name": item["name"],
        "description": item["description"],
        "options": [[value, text] for value, text in item["options"].items()],
        "required": item["required"],
        "multiple": item["multiple"],
        "default": item["default"],
    }
    if row is None:
        Property.objects.create(robot=robot, **values)
        return True
    if all(getattr(row, name) == value for name, value in values.items()):
        return False
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    return True
