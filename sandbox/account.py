"""Methods about the application and who asks: app.info, profile,
user.current, scope, methods, server.time (§3, §4)."""

from __future__ import annotations

from typing import Any

from sandbox import values
from sandbox.rest_call import Call


def app_info(call: Call) -> dict[str, Any]:
    """``INSTALLED: false`` says that installFinish is still owed."""
    install, application = call.application_context()
    return {
        "ID": install.id,
        "CODE": application.client_id,
        "VERSION": install.version,
        "STATUS": application.status,
        "INSTALLED": install.installed,
        "PAYMENT_EXPIRED": "N" if install.paid else "Y",
        "DAYS": install.days,
        "LANGUAGE_ID": call.portal.language,
        "LICENSE": call.portal.licence,
        "LICENSE_TYPE": "basic",
        "LICENSE_FAMILY": "basic",
    }


def profile(call: Call) -> dict[str, Any]:
    """Needs no scope: how an application learns whether a token is an administrator's."""
    user = call.caller.user
    return {
        "ID": str(user.id),
        "ADMIN": user.admin,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "PERSONAL_GENDER": "",
        "TIME_ZONE": call.portal.time_zone,
        "TIME_ZONE_OFFSET": int(moment_offset(call)),
    }


def user_current(call: Call) -> dict[str, Any]:
    user = call.caller.user
    return {
        "ID": str(user.id),
        "ACTIVE": user.active,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "EMAIL": f"user{user.id}@{call.portal.name}.example",
        "TIME_ZONE": call.portal.time_zone,
        "USER_TYPE": "employee",
    }


def scope(call: Call) -> list[str]:
    if call.caller.application is None:
        return ["crm"]
    return scopes_of(call.caller.application.scope)


def scopes_of(text: str) -> list[str]:
    return [item for item in text.replace(",", " ").split() if item]


def server_time(call: Call) -> str:
    return values.iso(call.portal, call.world.clock.now())


def moment_offset(call: Call) -> float:
    moment = values.as_moment(call.portal, values.iso(call.portal, call.world.clock.now()))
    offset = moment.utcoffset() if moment else None
    return offset.total_seconds() if offset else 0.0
