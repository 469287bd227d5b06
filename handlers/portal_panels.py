"""What a portal's pages show of its calls; appended to `portals.panels` in AppConfig.ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Count, OuterRef, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from handlers import attention, timeline
from handlers.log_order import CameAs
from handlers.models import Invocation, ReceivedCall
from portals import panels
from portals.models import Portal
from portals.panels import BAD, badge

SHOWN = 10


def last_call(portal_ids: Sequence[int]) -> Mapping[int, Any]:
    """Portal id -> when its latest call came: one seek of the index a portal."""
    newest = ReceivedCall.objects.filter(portal=OuterRef("pk")).order_by("-id").values("received_at")[:1]
    found = Portal.objects.filter(pk__in=portal_ids).order_by().values_list("pk", Subquery(newest))
    return {
        pk: date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT")
        for pk, moment in found
        if moment is not None
    }


def open_failures(portal_ids: Sequence[int]) -> Mapping[int, Any]:
    """Portal id -> a badge that leads to its failed calls."""
    counted = attention.failed(Invocation.objects.filter(lane_portal__in=portal_ids)).order_by()
    return {
        portal: format_html('<a href="{}">{}</a>', _log(portal, "attention"), badge(BAD, n))
        for portal, n in counted.values_list("lane_portal").annotate(n=Count("pk"))
    }


def calls_panel(portal: Portal, request: HttpRequest) -> str:
    """The latest calls of a portal."""
    if not request.user.has_perm("handlers.view_invocation"):
        return ""
    calls = list(Invocation.objects.filter(portal=portal).order_by(CameAs().desc())[:SHOWN])
    if not calls:
        return format_html('<p class="hub-pad">{}</p>', _("No call has come from it yet."))
    lines = format_html_join(
        "",
        '<li><a href="{}">#{}</a> {} {} {} {}</li>',
        (
            (
                reverse("admin:handlers_invocation_change", args=[call.pk]),
                call.pk,
                call.robot_code,
                call.document_id,
                timeline.state_badge(call),
                date_format(timezone.localtime(call.received_at), "SHORT_DATETIME_FORMAT"),
            )
            for call in calls
        ),
    )
    return format_html(
        '<div class="hub-pad"><ul class="hub-calls">{}</ul><p><a href="{}">{}</a></p></div>',
        lines,
        _log(portal.pk),
        _("All calls of this portal"),
    )


def _log(portal: int, state: str = "") -> str:
    return (
        reverse("admin:handlers_invocation_changelist")
        + f"?portal={portal}"
        + (f"&state={state}" if state else "")
    )


def append() -> None:
    """Called once, from AppConfig.ready."""
    panels.columns.append(panels.Column("last_call", gettext_lazy("last call"), last_call))
    panels.columns.append(panels.Column("failures", gettext_lazy("open failures"), open_failures))
    panels.panels.append(panels.Panel(gettext_lazy("Latest calls"), calls_panel))
