"""`bizproc.workflow.*`: which processes run,
by which a hub learns whether a result arrived (§7); terminate and kill."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from sandbox import values
from sandbox.model import Portal, Process
from sandbox.processes import modified, owned_until
from sandbox.rest_call import Call, Page
from sandbox.rest_errors import argument

PAGE = 50
FIELDS = (
    "ID",
    "MODIFIED",
    "OWNED_UNTIL",
    "MODULE_ID",
    "ENTITY",
    "DOCUMENT_ID",
    "STARTED",
    "STARTED_BY",
    "TEMPLATE_ID",
)
SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "!": operator.ne,
    "=": operator.eq,
}


def instances(call: Call) -> Page:
    """SELECT, FILTER, ORDER and start over the processes that are saved and not ended;
    administrators only."""
    with call.world.lock:
        call.administrator()
        portal, now = call.portal, call.world.clock.now()
        wanted = [str(name).upper() for name in listed(call.get("SELECT"))] or list(FIELDS)
        rule = call.get("FILTER")
        rule = {str(key).upper(): value for key, value in rule.items()} if isinstance(rule, dict) else {}
        found = [process for process in candidates(portal, rule) if process.alive and process.saved_at <= now]
        rows = [row(portal, process, now) for process in found]
        rows = [item for item in rows if all(passes(item, key, value, portal) for key, value in rule.items())]
        order = call.get("ORDER")
        for name, direction in reversed(
            list(order.items()) if isinstance(order, dict) else [("MODIFIED", "DESC")]
        ):
            rows.sort(
                key=lambda item: str(item.get(str(name).upper()) or ""),
                reverse=str(direction).upper() == "DESC",
            )
        start = whole(call.get("START"))
        counted = start >= 0
        start = max(start, 0)
        page = [{name: item[name] for name in wanted if name in item} for item in rows[start : start + PAGE]]
        more = start + PAGE if len(rows) > start + PAGE else None
        return Page(page, len(rows) if counted else None, more if counted else None)


def candidates(portal: Portal, rule: dict[str, Any]) -> list[Process]:
    """Processes the ID filter names, found without a walk over all; takes the condition out of the rule.

    Whether a portal takes a list of ids is unproven (§7), so ``ids_filter`` plays it: list (it does), one
    (the last of them counts), none (lists nothing), all (the list is ignored), never (one id alone lists
    nothing either).
    """
    for key in ("ID", "=ID", "@ID"):
        value = rule.get(key)
        if value is None:
            continue
        rule.pop(key)
        if portal.ids_filter == "never":
            return []
        ids = listed(value) if isinstance(value, (list, dict)) else [value]
        if isinstance(value, (list, dict)) and portal.ids_filter != "list":
            if portal.ids_filter == "all":
                return list(portal.processes.values())
            ids = ids[-1:] if portal.ids_filter == "one" else []
        return [portal.processes[str(name)] for name in dict.fromkeys(ids) if str(name) in portal.processes]
    return list(portal.processes.values())


def row(portal: Portal, process: Process, now: float) -> dict[str, Any]:
    owned = owned_until(process, now)
    return {
        "ID": process.id,
        "MODIFIED": values.iso(portal, modified(process, now)),
        "OWNED_UNTIL": values.iso(portal, owned) if owned is not None else None,
        "MODULE_ID": process.document_type[0],
        "ENTITY": process.document_type[1],
        "DOCUMENT_ID": process.document_id[-1],
        "STARTED": values.iso(portal, process.started_at),
        "STARTED_BY": str(process.user_id),
        "TEMPLATE_ID": "1",
    }


def passes(item: dict[str, Any], key: str, value: Any, portal: Portal) -> bool:
    """One condition; a sign before the name compares, times are compared as moments."""
    sign = next((sign for sign in SIGNS if key.startswith(sign)), "")
    name = key[len(sign) :]
    if name not in item:
        return True
    mine = item[name]
    if isinstance(value, (list, dict)):
        inside = str(mine) in [str(one) for one in listed(value)]
        return not inside if sign in ("!", "!=") else inside
    if name in ("MODIFIED", "STARTED", "OWNED_UNTIL"):
        left, right = values.as_moment(portal, str(mine)), values.as_moment(portal, str(value))
        return left is not None and right is not None and SIGNS[sign or "="](left, right)
    return SIGNS[sign or "="](str(mine), str(value))


def stop(how: str) -> Callable[[Call], bool]:
    """terminate leaves the process in the log, kill removes it; to a waiting application both are the end."""

    def run(call: Call) -> bool:
        with call.world.lock:
            call.administrator()
            process = call.portal.processes.get(str(call.get("ID") or ""))
            if process is None or not process.alive:
                raise argument("Workflow not found")
            call.engine.stop(call.portal, process, how)
            return True

    return run


def listed(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else [] if value in (None, "") else [value]


def whole(value: Any) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError, OverflowError):
        return 0
