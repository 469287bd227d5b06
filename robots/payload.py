"""What is registered on a portal: a definition in Bitrix24's spelling, what an update sets and clears (§5).

A published payload has no HANDLER: that is added for each portal, with the options' titles in its language,
since the platform takes a title as one string (§5). Keys keep the order in which the settings form
shows them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings

from portals.models import Application, Portal
from robots.models import RobotVersion
from robots.property_map import property_map

Payload = dict[str, Any]

# A plan for a hundred portals meets the same few payloads on each of them.
_REMEMBERED = 256

SUBSCRIPTIONS = {"wait": "Y", "no_wait": "N"}
# What takes a field away that a portal holds (§5). Maps are cleared in a JSON body only: no batch can say it.
CLEARING: dict[str, Any] = {
    "DESCRIPTION": "",
    "DOCUMENT_TYPE": "",
    "FILTER": "",
    "PROPERTIES": {},
    "RETURN_PROPERTIES": {},
    "AUTH_USER_ID": 0,
    "USE_PLACEMENT": "N",
}


def payload_of(definition: Mapping[str, Any]) -> Payload:
    """A definition (definition.py's shape) as `add` takes it, without HANDLER; what is empty is left out."""
    payload: Payload = {"CODE": definition["code"]}
    if definition["auth_user_id"] is not None:
        payload["AUTH_USER_ID"] = definition["auth_user_id"]
    if definition["subscription"] in SUBSCRIPTIONS:
        payload["USE_SUBSCRIPTION"] = SUBSCRIPTIONS[definition["subscription"]]
    payload["NAME"] = definition["name"]
    if definition["description"]:
        payload["DESCRIPTION"] = definition["description"]
    for name in ("properties", "return_properties"):
        if definition[name]:
            payload[name.upper()] = _spelled(definition[name])
    if definition["document_type"]:
        payload["DOCUMENT_TYPE"] = list(definition["document_type"])
    sides = {side.upper(): entries for side, entries in (definition["filter"] or {}).items() if entries}
    if sides:
        payload["FILTER"] = sides
    return payload


def _spelled(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    spelled = property_map(items)
    for entry in spelled.values():
        if entry["Type"] == "bool" and "Default" in entry:
            entry["Default"] = _yes_no(entry["Default"])
    return spelled


def _yes_no(value: Any) -> Any:
    """A default as the portal's own form writes it; rules let `true`, `1` and the like pass too."""
    if isinstance(value, list):
        return [_yes_no(item) for item in value]
    return "Y" if str(value).strip().lower() in ("y", "yes", "true", "1") else "N"


def handler_url(application: Application, version: RobotVersion) -> str:
    """Where the portal calls this version: the portal itself then says which one it holds (design §3)."""
    return f"{settings.PUBLIC_URL}/b24/{application.slug}/handler/?v={version.pk}"


@lru_cache(maxsize=_REMEMBERED)
def load(text: str) -> Payload | None:
    """A stored payload (`RobotVersion.payload_text`, `Registration.pushed_text`); None where it is empty.

    One for all who ask: it is read, never changed.
    """
    return json.loads(text) if text else None


def dump(payload: Payload) -> str:
    """A payload as it is stored: JSON text, which keeps the order of keys on every database."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def for_portal(version: RobotVersion, portal: Portal) -> str:
    """The whole payload of a version for one portal, as it is stored when the portal took it."""
    return _for_portal(version.payload_text, handler_url(portal.application, version), portal.language)


@lru_cache(maxsize=_REMEMBERED)
def _for_portal(text: str, handler: str, language: str) -> str:
    payload: Payload = {}
    for name, value in (load(text) or {}).items():
        payload[name] = value
        if name == "CODE":
            payload["HANDLER"] = handler
        elif name in ("PROPERTIES", "RETURN_PROPERTIES"):
            payload[name] = {key: _titled(item, language) for key, item in value.items()}
    return dump(payload)


def _titled(item: dict[str, Any], language: str) -> dict[str, Any]:
    if "Options" not in item:
        return item
    return {**item, "Options": {key: in_language(text, language) for key, text in item["Options"].items()}}


def in_language(text: Any, language: str) -> str:
    """A text in `language` ("ru", "br"), else in English, else in its first: as the platform falls back."""
    if not isinstance(text, Mapping):
        return str(text)
    return str(
        text.get(language) or text.get(language[:2]) or text.get("en") or next(iter(text.values()), "")
    )


def add_fields(payload: Payload) -> Payload:
    """The parameters of `add`: all that is set; empty maps are left out (§5)."""
    return {name: value for name, value in payload.items() if value != {}}


def update_fields(old: Payload | None, new: Payload) -> dict[str, Any]:
    """FIELDS of `update`: everything that `new` sets, and what clears each field that only `old` has.

    Set fields go even where they did not change: what a portal holds can't be read, so an update
    trusts memory
    only for what it need not clear. `old` None is a portal of which nothing is known: every field is set or
    cleared. USE_SUBSCRIPTION can't be cleared: that is a delete and an add (`loses_subscription`).
    """
    fields = {name: value for name, value in new.items() if name != "CODE"}
    for name, clear in CLEARING.items():
        if name not in new and (old is None or name in old):
            fields[name] = clear
    return fields


def loses_subscription(old: Payload, new: Payload) -> bool:
    """Whether USE_SUBSCRIPTION would have to go back to absent, which no update can do (§5)."""
    return "USE_SUBSCRIPTION" in old and "USE_SUBSCRIPTION" not in new


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs: `field` such as `PROPERTIES.amount.Type`; None is absent."""

    field: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.before)} → {_shown(self.after)}"


def _shown(value: Any) -> str:
    if value is None:
        return "—"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:199] + "…"


@lru_cache(maxsize=_REMEMBERED)
def diff(old: str, new: str) -> tuple[Change, ...]:
    """Field by field what differs between two stored payloads ("": none), a property's fields each for itself; a
    changed order of properties too."""
    return tuple(_diff("", load(old) or {}, load(new) or {}))


def _diff(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in [*new, *(name for name in old if name not in new)]:
        before, after = old.get(name), new.get(name)
        path = f"{prefix}{name}"
        # As text: maps that are equal may still show their keys in another order.
        if json.dumps(before) == json.dumps(after):
            continue
        if not _goes_deeper(path, before, after):
            yield Change(path, before, after)
            continue
        yield from _diff(f"{path}.", before or {}, after or {})
        orders = [
            [key for key in first or {} if key in (other or {})]
            for first, other in ((before, after), (after, before))
        ]
        if orders[0] != orders[1]:
            yield Change(f"{path} (order)", *orders)


def _goes_deeper(path: str, before: Any, after: Any) -> bool:
    """Into a map of properties also where one side has none; into the rest only where both sides have it."""
    maps = isinstance(before or {}, Mapping) and isinstance(after or {}, Mapping)
    if path in ("PROPERTIES", "RETURN_PROPERTIES"):
        return maps
    return maps and bool(before) and bool(after)
