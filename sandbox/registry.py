"""`bizproc.robot.*` and `bizproc.activity.*`: registering, in the order of checks that §5 gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from sandbox import registry_rules as rules
from sandbox.model import Application, Registered
from sandbox.rest_call import Call
from sandbox.rest_errors import RestFailure, invalid


def add(kind: str) -> Callable[[Call], bool]:
    def run(call: Call) -> bool:
        with call.world.lock:
            install, application = call.application_context()
            call.administrator()
            params = {
                key.upper(): value
                for key, value in call.params.items()
                if value is not None and key != "auth"
            }
            if not params:
                raise invalid("Empty data!")
            rules.check_code(params.get("CODE"))
            rules.check_handler(params.get("HANDLER"), host_to_match(call, application))
            rules.check_name(params.get("NAME"))
            properties = rules.check_properties(params["PROPERTIES"]) if "PROPERTIES" in params else {}
            returned = (
                rules.check_properties(params["RETURN_PROPERTIES"]) if "RETURN_PROPERTIES" in params else {}
            )
            document_type = None
            if not rules.empty(params.get("DOCUMENT_TYPE")):
                document_type = document_type_of(call, kind, params["DOCUMENT_TYPE"])
            filter_ = rules.check_filter(params["FILTER"]) if not rules.empty(params.get("FILTER")) else None
            code = str(params["CODE"])
            if code in install.robots:
                raise RestFailure("ERROR_ACTIVITY_ALREADY_INSTALLED", "Activity or Robot already installed!")
            placement = placement_of(call, application, params)
            rules.check_sizes(code, str(params["HANDLER"]), properties, returned)
            now = call.world.clock.now()
            install.robots[code] = Registered(
                code=code,
                kind=kind,
                handler=str(params["HANDLER"]),
                name=params["NAME"],
                description=params.get("DESCRIPTION", ""),
                auth_user_id=whole(params.get("AUTH_USER_ID")),
                use_subscription=subscription(params.get("USE_SUBSCRIPTION")),
                properties=properties,
                return_properties=returned,
                document_type=document_type,
                filter=filter_ or None,
                use_placement="Y" if placement else "N",
                placement_handler=placement,
                added_at=now,
                changed_at=now,
            )
            call.world.dirty = True
            return True

    return run


def update(kind: str) -> Callable[[Call], bool]:
    def run(call: Call) -> bool:
        with call.world.lock:
            install, application = call.application_context()
            call.administrator()
            rules.check_code(call.get("CODE"))
            robot = found(install.robots, kind, call.get("CODE"))
            given = call.get("FIELDS")
            if not isinstance(given, dict) or not given:
                raise invalid("No fields to update")
            changes = changed(call, application, kind, given)
            if not changes:
                raise invalid("No fields to update")
            rules.check_sizes(
                robot.code,
                changes.get("handler", robot.handler),
                changes.get("properties", robot.properties),
                changes.get("return_properties", robot.return_properties),
            )
            for name, value in changes.items():
                setattr(robot, name, value)
            robot.changed_at = call.world.clock.now()
            call.world.dirty = True
            return True

    return run


def changed(call: Call, application: Application, kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """Only what is set changes; an empty value clears where §5 says that it does."""
    fields = {key.upper(): value for key, value in given.items() if value is not None}
    changes: dict[str, Any] = {}
    if "HANDLER" in fields:
        rules.check_handler(fields["HANDLER"], host_to_match(call, application))
        changes["handler"] = str(fields["HANDLER"])
    if "AUTH_USER_ID" in fields:
        changes["auth_user_id"] = whole(fields["AUTH_USER_ID"])
    if "USE_SUBSCRIPTION" in fields:
        changes["use_subscription"] = subscription(fields["USE_SUBSCRIPTION"]) or "N"
    if not rules.empty(fields.get("NAME")):
        changes["name"] = fields["NAME"]
    if "DESCRIPTION" in fields:
        changes["description"] = fields["DESCRIPTION"] or ""
    if "PROPERTIES" in fields:
        changes["properties"] = rules.check_properties(fields["PROPERTIES"])
    if "RETURN_PROPERTIES" in fields:
        changes["return_properties"] = rules.check_properties(fields["RETURN_PROPERTIES"])
    if "DOCUMENT_TYPE" in fields:
        value = fields["DOCUMENT_TYPE"]
        changes["document_type"] = None if rules.empty(value) else document_type_of(call, kind, value)
    if "FILTER" in fields:
        changes["filter"] = (
            None if rules.empty(fields["FILTER"]) else rules.check_filter(fields["FILTER"])
        ) or None
    if "USE_PLACEMENT" in fields:
        placement = placement_of(call, application, fields)
        changes["use_placement"] = "Y" if placement else "N"
        changes["placement_handler"] = placement
    return changes


def delete(kind: str) -> Callable[[Call], bool]:
    def run(call: Call) -> bool:
        with call.world.lock:
            install, _ = call.application_context()
            call.administrator()
            rules.check_code(call.get("CODE"))
            del install.robots[found(install.robots, kind, call.get("CODE")).code]
            call.world.dirty = True
            return True

    return run


def codes(kind: str) -> Callable[[Call], list[str]]:
    """``list``: the codes and nothing more."""

    def run(call: Call) -> list[str]:
        with call.world.lock:
            install, _ = call.application_context()
            call.administrator()
            return [robot.code for robot in install.robots.values() if robot.kind == kind]

    return run


def found(robots: dict[str, Registered], kind: str, code: Any) -> Registered:
    """By code *and kind*."""
    robot = robots.get(str(code))
    if robot is None or robot.kind != kind:
        raise RestFailure("ERROR_ACTIVITY_NOT_FOUND", "Activity or Robot not found!")
    return robot


def host_to_match(call: Call, application: Application) -> str | None:
    """The docs' rule that the current source does not check (§5): a setting of the portal."""
    if not call.portal.handler_same_domain:
        return None
    return urlsplit(application.main_url or application.install_url or application.event_url).hostname or ""


def document_type_of(call: Call, kind: str, value: Any) -> list[str] | None:
    if kind == "robot" and not call.portal.robots_check_document_type:
        return value if isinstance(value, list) else None
    return rules.check_document_type(value)


def placement_of(call: Call, application: Application, params: dict[str, Any]) -> str:
    """The settings page's address where USE_PLACEMENT is exactly ``Y``; the address is then required (§5)."""
    if params.get("USE_PLACEMENT") != "Y":
        return ""
    rules.check_handler(params.get("PLACEMENT_HANDLER"), host_to_match(call, application))
    return str(params["PLACEMENT_HANDLER"])


def subscription(value: Any) -> str:
    if value is None:
        return ""
    return "Y" if value == "Y" else "N"


def whole(value: Any) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError, OverflowError):
        return 0
