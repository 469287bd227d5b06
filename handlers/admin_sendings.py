"""Requests that carried results, in the admin: read-only for everybody."""

from __future__ import annotations

import datetime as dt

from django.contrib import admin
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy, ngettext

from handlers import log_pages
from handlers.breaking import breakable
from handlers.clock_words import clock, two_lines
from handlers.models import Invocation, Sending
from portals.panels import BAD, INFO, OK, WARN, badge
from portals.read_only import ReadOnlyAdmin


class SendingAdmin(ReadOnlyAdmin):
    """One row a batch."""

    list_display = ["id", "sent", "on_portal", "how", "carried", "took", "code"]
    list_filter = ["outcome"]
    list_select_related = ["portal"]
    list_per_page = 50
    list_max_show_all = 0
    ordering = ["-id"]
    sortable_by = ()
    paginator = log_pages.BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    fields = [
        "portal",
        "sent_at",
        "answered",
        "portals_time",
        "how",
        "results",
        "lines",
        "looks",
        "took",
        "code",
        "text",
        "calls",
    ]
    readonly_fields = ["sent_at", "answered", "portals_time", "how", "took", "calls"]

    @admin.display(description=gettext_lazy("sent"))
    def sent(self, sending: Sending) -> SafeString | str:
        return two_lines(sending.started_at)

    @admin.display(description=gettext_lazy("portal"))
    def on_portal(self, sending: Sending) -> SafeString:
        return breakable(str(sending.portal))

    @admin.display(description=gettext_lazy("what it carried"))
    def carried(self, sending: Sending) -> str:
        words = [
            (sending.results, ngettext("%(n)d result", "%(n)d results", sending.results)),
            (sending.lines, ngettext("%(n)d log line", "%(n)d log lines", sending.lines)),
            (sending.looks, ngettext("%(n)d look", "%(n)d looks", sending.looks)),
        ]
        return ", ".join(word % {"n": number} for number, word in words if number) or "–"

    @admin.display(description=gettext_lazy("sent"))
    def sent_at(self, sending: Sending) -> str:
        return clock(sending.started_at)

    @admin.display(description=gettext_lazy("answered"))
    def answered(self, sending: Sending) -> str:
        return clock(sending.answered_at) if sending.answered_at else "–"

    @admin.display(description=gettext_lazy("portal's time"))
    def portals_time(self, sending: Sending) -> str:
        return clock(sending.portal_time) if sending.portal_time else "–"

    @admin.display(description=gettext_lazy("outcome"))
    def how(self, sending: Sending) -> SafeString:
        tones = {
            Sending.Outcome.OPEN: INFO,
            Sending.Outcome.ANSWERED: OK,
            Sending.Outcome.TROUBLE: BAD,
        }
        return badge(tones.get(Sending.Outcome(sending.outcome), WARN), sending.get_outcome_display())

    @admin.display(description=gettext_lazy("seconds"))
    def took(self, sending: Sending) -> str:
        return "–" if sending.seconds is None else number_format(sending.seconds, decimal_pos=3)

    @admin.display(description=gettext_lazy("calls of the day before whose last sending it is"))
    def calls(self, sending: Sending) -> SafeString | str:
        # Found by the time they came: `sending` has no index, and older ones are rare.
        day_before = sending.started_at - dt.timedelta(days=1)
        rows = (
            Invocation.objects.filter(received_at__range=(day_before, sending.started_at), sending=sending)
            .order_by("-id")
            .values_list("pk", "robot_code")[:60]
        )
        return (
            format_html_join(
                ", ",
                '<a href="{}">#{} {}</a>',
                ((reverse("admin:handlers_invocation_change", args=[pk]), pk, code) for pk, code in rows),
            )
            or "–"
        )
