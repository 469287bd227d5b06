"""Portals, users, applications and token servers as a person orders them:
which settings there are and what they may be."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo

from sandbox.model import Application, Portal, TokenServer, User
from sandbox.world import SERVERS, ControlError, World, flag, member_id_of

CHOICES: dict[str, tuple[str, ...]] = {
    "edition": ("cloud", "box"),
    "server": SERVERS,
    "generation": ("background", "at_once"),
    "ids_filter": ("list", "all", "none", "one", "never"),
    "oauth": ("auto", "ask", "refuse"),
}
FIXED = {
    "name",
    "number",
    "installs",
    "processes",
    "faults",
    "answered",
    "counters",
    "bucket_level",
    "bucket_at",
}
SETTINGS = {field.name for field in dataclasses.fields(Portal)} - FIXED
RUSSIAN = {
    "language": "ru",
    "date_format": "DD.MM.YYYY",
    "datetime_format": "DD.MM.YYYY HH:MI:SS",
    "time_zone": "Europe/Moscow",
    "licence": "ru_basic",
}


def save_portal(world: World, wish: dict[str, Any]) -> Portal:
    """Creates a portal or changes the settings that are named (``new``: creates one, or is refused);
    raises ControlError and changes nothing where one is wrong."""
    name = str(wish.get("name", ""))
    if not name.isascii() or not name.replace("-", "").isalnum() or name != name.lower():
        raise ControlError("a portal's name is small letters, digits and -")
    changes = {key: checked(key, value) for key, value in wish.items() if key not in ("name", "new")}
    with world.lock:
        portal = world.state.portals.get(name)
        if portal is not None and wish.get("new"):
            raise ControlError(f"there is a portal {name!r} already; change it on its own page", 409)
        if portal is None:
            portal = Portal(name=name, number=world.serial(), member_id=member_id_of(name))
            if changes.get("server") == "ru":
                for key, value in RUSSIAN.items():
                    setattr(portal, key, value)
            portal.users = [
                User(1, "Anna", "Smith", True),
                User(2, "Boris", "Jones", False),
                User(5, "Vera", "Stone", False),
            ]
            world.state.portals[name] = portal
        for key, value in changes.items():
            setattr(portal, key, value)
        world.dirty = True
        return portal


def checked(key: str, value: Any) -> Any:
    """The value in the setting's own type."""
    if key not in SETTINGS:
        raise ControlError(f"a portal has no setting {key!r}; there are {', '.join(sorted(SETTINGS))}")
    if key in CHOICES and value not in CHOICES[key]:
        raise ControlError(f"{key} is one of {', '.join(CHOICES[key])}")
    if key == "time_zone":
        return known_zone(str(value))
    if key == "users":
        return [user_from(item) for item in value]
    if key == "save":
        return [float(item) for item in value] if isinstance(value, list) else float(value or 0)
    if key == "lock":
        return {name: float(item) for name, item in value.items()} if value else None
    if key == "operating":
        return {str(name).lower(): float(item) for name, item in (value or {}).items()}
    wanted = get_type_hints(Portal)[key]
    try:
        if wanted is bool:
            return flag(value)
        if wanted in (int, float, str):
            return wanted(value)
    except (TypeError, ValueError):
        raise ControlError(f"{key} is no {wanted.__name__}") from None
    return value


def known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # none of that name is a KeyError; a path is a ValueError
        raise ControlError(f"time_zone is one such as Europe/Moscow, not {name[:64]!r}") from None
    return name


def user_from(item: dict[str, Any]) -> User:
    try:
        return User(
            int(item["id"]),
            str(item.get("name", "Anna")),
            str(item.get("last_name", "Smith")),
            flag(item.get("admin", False)),
            flag(item.get("active", True)),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ControlError("a user is {id, name, last_name, admin, active}") from None


def save_user(portal: Portal, wish: dict[str, Any]) -> User:
    """A user by id: a new one, or what is named changes on the one there is."""
    fresh = user_from(wish)
    for user in portal.users:
        if user.id == fresh.id:
            for key in wish.keys() & {"name", "last_name", "admin", "active"}:
                setattr(user, key, getattr(fresh, key))
            return user
    portal.users.append(fresh)
    return fresh


def save_application(world: World, wish: dict[str, Any]) -> Application:
    """Creates an application or changes what is named; a secret is made where none is given."""
    fields = {field.name for field in dataclasses.fields(Application)}
    unknown = set(wish) - fields
    if unknown:
        raise ControlError(f"an application has no {', '.join(sorted(unknown))}")
    changes = {key: value for key, value in wish.items() if value is not None}
    with world.lock:
        client_id = str(changes.pop("client_id", "") or f"local.{secrets.token_hex(7)}.{world.serial():08}")
        application = world.state.applications.get(client_id)
        if application is None:
            application = Application(client_id, secrets.token_urlsafe(32))
            world.state.applications[client_id] = application
        for key, value in changes.items():
            if key == "interface":
                value = flag(value)
            elif key == "version":
                value = int(value)
            setattr(application, key, value)
        world.dirty = True
        return application


def save_server(server: TokenServer, wish: dict[str, Any]) -> TokenServer:
    unknown = set(wish) - {"scope_separator", "errors_as_200"}
    if unknown:
        raise ControlError(f"a token server has no {', '.join(sorted(unknown))}")
    server.scope_separator = str(wish.get("scope_separator", server.scope_separator))
    server.errors_as_200 = flag(wish.get("errors_as_200", server.errors_as_200))
    return server


def move_portal(world: World, portal: Portal, wish: dict[str, Any]) -> Portal:
    """The domain moves: the old address answers a redirect, the token server tells the new one (§1)."""
    with world.lock:
        path, domain = str(wish.get("name") or ""), str(wish.get("domain") or "")
        if not path and not domain:
            path = f"{portal.path or portal.name}-moved"
        if path and world.by_path(path)[0] not in (None, portal):
            raise ControlError(f"the address {path!r} is another portal's", 409)
        portal.former_domains.append(world.domain(portal))
        portal.former_paths.append(portal.path or portal.name)
        portal.path = path or portal.path or portal.name
        portal.domain = domain or (portal.domain if not path else "")
        if not path:
            portal.former_paths.pop()
        portal.former_paths = [item for item in portal.former_paths if item != portal.path]
        portal.former_domains = [item for item in portal.former_domains if item != world.domain(portal)]
        portal.moved_status = int(wish.get("status", 302))
        world.dirty = True
        return portal


DEMO_CLIENT_ID = "app.demo"
DEMO_SECRET = "demo-secret-for-the-sandbox-only"  # noqa: S105  (a demo's own, printed in README.md)


def demo(world: World, hub: str = "http://127.0.0.1:8000") -> None:
    """Two portals and an application, where there are none yet."""
    with world.lock:
        if "alfa" not in world.state.portals:
            save_portal(world, {"name": "alfa"})
        if "beta" not in world.state.portals:
            save_portal(world, {"name": "beta", "server": "ru"})
        if DEMO_CLIENT_ID not in world.state.applications:
            save_application(
                world,
                {
                    "client_id": DEMO_CLIENT_ID,
                    "client_secret": DEMO_SECRET,
                    "name": "Demo",
                    "install_url": f"{hub}/b24/main/install/",
                    "main_url": f"{hub}/b24/main/",
                    "event_url": f"{hub}/b24/main/install/",
                    "redirect_url": f"{hub}/b24/main/oauth/",
                },
            )
