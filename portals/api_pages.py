"""Pages of the audit API: newest first, each beginning below the last row of the one before.

Nothing is counted and nothing skipped, so the last page of a long log costs what its first does. A row that
comes meanwhile has a higher id: it shifts nothing, and what was there when the reading began is read once.
"""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

PAGE_SIZE = 100
PAGE_SIZE_MAX = 500
_ID_MAX = 2**63 - 1


class NewestFirst(BasePagination):
    """`{"next": address of the following page or null, "results": […]}`."""

    parameters = ("cursor", "page_size")

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        size = _number(request, "page_size", PAGE_SIZE_MAX) or PAGE_SIZE
        below = _number(request, "cursor", _ID_MAX)
        number = getattr(view, "number", F("id"))
        if below is not None:
            queryset = queryset.alias(page_number=number).filter(page_number__lt=below)
        rows = list(queryset.order_by(number.desc())[: size + 1])
        self.next: str | None = None
        if len(rows) > size:
            rows.pop()
            self.next = replace_query_param(request.build_absolute_uri(), "cursor", str(rows[-1].pk))
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        following = {
            "type": ["string", "null"],
            "format": "uri",
            "description": "Address of the following page; null: this is the last one.",
        }
        return {
            "type": "object",
            "required": ["next", "results"],
            "properties": {"next": following, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": "cursor",
                "in": "query",
                "description": "Where the page begins: as `next` of the page before has it.",
                "schema": {"type": "string"},
            },
            {
                "name": "page_size",
                "in": "query",
                "description": "Rows a page.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": PAGE_SIZE_MAX,
                    "default": PAGE_SIZE,
                },
            },
        ]


def _number(request: Request, name: str, largest: int) -> int | None:
    """A whole number from 1 to `largest`, None where the request has none. Raises ValidationError."""
    values = request.query_params.getlist(name)
    if not values:
        return None
    text = values[0]
    if len(values) == 1 and text.isascii() and text.isdecimal() and len(text) < 20:
        number = int(text)
        if 1 <= number <= largest:
            return number
    if name == "cursor":
        raise ValidationError({name: [_("This is no cursor that a page gave.")]})
    raise ValidationError({name: [_("A whole number from 1 to %(largest)d.") % {"largest": largest}]})
