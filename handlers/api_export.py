"""The log as CSV, streamed: every line of the list, by the same filters, in the memory of one page.

A line is what the list tells of the call, made without DRF's serializer, which takes longer than the database
does; a test holds both together.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable, Iterator
from typing import Any

from django.db.models import F, QuerySet
from django.utils import timezone

from handlers import calls_first, timeline
from handlers.api_calls import CallSerializer
from handlers.models import Invocation
from portals.models import Portal
from robots.models import RobotVersion

# What is read at once keeps the interpreter for about five milliseconds; calls wait for no more (`calls_first`).
PAGE = 50
COLUMNS: list[str] = CallSerializer.Meta.fields
# A spreadsheet would run a cell that begins so as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_PORTAL = ["application__slug", "domain", "state", "trouble", "paused_at"]
_READ: dict[str, Callable[[Invocation], Any]] = {
    "application": lambda call: call.portal.application.slug,
    "portal": lambda call: call.portal_id,
    "portal_domain": lambda call: call.portal.domain,
    "robot": lambda call: call.robot_code,
    "version": lambda call: call.version_id,
    "version_number": lambda call: call.version.number if call.version else None,
    "process": lambda call: call.workflow_id,
    "document": lambda call: call.document_id,
    "summary": timeline.headline,
    "sending": lambda call: call.sending_id,
}


def lines(calls: QuerySet[Invocation], number: F) -> Iterator[str]:
    """The header at once, then page by page, newest first by `number`: each below the last one's of the one before."""
    yield _written([COLUMNS])
    readers = [_READ.get(name) or _attribute(name) for name in COLUMNS]
    portals = _Known(Portal.objects.select_related("application").only(*_PORTAL))
    versions = _Known(RobotVersion.objects.only("number"))
    calls = calls.select_related(None)
    zone = timezone.get_current_timezone()
    below: int | None = None
    while True:
        calls_first.give_way()
        page = calls if below is None else calls.alias(page_number=number).filter(page_number__lt=below)
        rows = list(page.order_by(number.desc())[:PAGE])
        table = []
        for call in rows:
            calls_first.give_way()
            call.portal = portals[call.portal_id]
            call.version = versions[call.version_id] if call.version_id else None
            table.append([cell(read(call), zone) for read in readers])
        if table:
            yield _written(table)
        if len(rows) < PAGE:
            return
        below = rows[-1].pk


class _Known(dict[int, Any]):
    """Rows by id, each read once an export: one for each line of it would be half of what the line costs."""

    def __init__(self, rows: QuerySet[Any]) -> None:
        super().__init__()
        self._rows = rows

    def __missing__(self, key: int) -> Any:
        self[key] = self._rows.get(pk=key)
        return self[key]


def cell(value: Any, zone: dt.tzinfo) -> str:
    """A value as a cell: nothing for null, `true`, `false`, times as in JSON, no text that is a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        text = value.astimezone(zone).isoformat()
        return f"{text[:-6]}Z" if text.endswith("+00:00") else text
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _attribute(name: str) -> Callable[[Invocation], Any]:
    return lambda call: getattr(call, name)


def _written(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
