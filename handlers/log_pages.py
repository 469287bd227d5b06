"""How the log is paged and filtered so that it stays quick however long it grows (design §5).

No count over everything, no `date_hierarchy`, no filter that reads its choices from the log itself.
"""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from handlers import attention
from handlers.models import Cause, Confirmation, Invocation, ReceivedCall, State
from portals.models import Application, Portal
from portals.row_number import is_row_number
from robots.models import Robot


class BoundedPaginator(Paginator):
    """Counts to COUNT_LIMIT and no further; what lies beyond is reached by filters."""

    limit = attention.COUNT_LIMIT

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return min(attention.bounded_count(rows, self.limit), self.limit)


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("attention", _("needs a person")),
            ("stuck", _("taken, but the process still waits")),
            ("open", _("on its way")),
            *State.choices,
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invocation]) -> QuerySet[Invocation]:
        value = self.value()
        if value == "attention":
            return attention.failed(queryset)
        if value == "stuck":
            return attention.stuck(queryset)
        if value == "open":
            return attention.still_open(queryset)
        return attention.narrowed(queryset, value) if value in State.values else queryset


class CauseFilter(admin.SimpleListFilter):
    title = gettext_lazy("cause")
    parameter_name = "cause"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return Cause.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invocation]) -> QuerySet[Invocation]:
        return queryset.filter(cause=self.value()) if self.value() in Cause.values else queryset


class ArrivalFilter(admin.SimpleListFilter):
    title = gettext_lazy("arrival")
    parameter_name = "arrival"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(value, label) for value, label in Confirmation.choices if value]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invocation]) -> QuerySet[Invocation]:
        return queryset.filter(confirmation=self.value()) if self.value() in Confirmation.values else queryset


class RobotFilter(admin.SimpleListFilter):
    title = gettext_lazy("robot")
    parameter_name = "robot"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        codes = Robot.objects.order_by("code").values_list("code", flat=True).distinct()
        return [(code, code) for code in codes]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invocation]) -> QuerySet[Invocation]:
        return queryset.filter(robot_code=self.value()) if self.value() else queryset


class PortalFilter(admin.SimpleListFilter):
    title = gettext_lazy("portal")
    parameter_name = "portal"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        portals = Portal.objects.select_related("application").order_by("domain", "pk")
        several = Application.objects.count() > 1
        return [
            (str(portal.pk), f"{portal} ({portal.application})" if several else str(portal))
            for portal in portals
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invocation]) -> QuerySet[Invocation]:
        value = self.value() or ""
        return queryset.filter(portal_id=int(value)) if is_row_number(value) else queryset


class DayFilter(admin.SimpleListFilter):
    """Days of the reader's clock."""

    title = gettext_lazy("received")
    parameter_name = "day"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("hour", _("the last hour")),
            ("today", _("today")),
            ("yesterday", _("yesterday")),
            ("week", _("the last 7 days")),
            ("month", _("the last 30 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invocation]) -> QuerySet[Invocation]:
        midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        day = dt.timedelta(days=1)
        ranges: dict[str | None, dict[str, dt.datetime]] = {
            "hour": {"received_at__gte": timezone.now() - dt.timedelta(hours=1)},
            "today": {"received_at__gte": midnight},
            "yesterday": {"received_at__gte": midnight - day, "received_at__lt": midnight},
            "week": {"received_at__gte": midnight - 6 * day},
            "month": {"received_at__gte": midnight - 29 * day},
        }
        span = ranges.get(self.value())
        if span is None:
            return queryset
        # Newest first, the page is soon full; where no call came in that time, the whole log would be walked.
        came = ReceivedCall.objects.filter(**span).order_by("received_at").values("pk")[:1]
        return queryset.filter(**span) if came else queryset.none()
