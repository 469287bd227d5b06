"""Alarms in the admin: what was wrong, since when, until when, and who was told. Read-only for everybody.

What concerns one machine alone is kept on that machine (`b24app/alarm_book.py`) and is not among these rows.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from b24app import alarm_words
from b24app.alarm import AGAIN, Alarm
from b24app.alarm_places import place
from handlers.breaking import breakable
from portals.panels import BAD, OFF, badge
from portals.read_only import ReadOnlyAdmin


def _short(moment: dt.datetime) -> str:
    return date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT")


class EndedFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "ended"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", _("open")), ("yes", _("over"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alarm]) -> QuerySet[Alarm]:
        if self.value() in ("no", "yes"):
            return queryset.filter(ended_at__isnull=self.value() == "no")
        return queryset


@admin.register(Alarm)
class AlarmAdmin(ReadOnlyAdmin):
    list_display = ["what", "how", "sentence", "since", "until", "told_to"]
    list_filter = [EndedFilter, "kind"]
    list_per_page = 50
    fields = ["what", "how", "sentence", "to_do", "look", "opened_at", "seen_at", "ended_at", "told_to"]
    readonly_fields = ["what", "how", "sentence", "to_do", "look", "told_to"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alarm]:
        # As `Entry.matters`: a moment of what passes by itself is nobody's concern.
        return super().get_queryset(request).exclude(told={}, next_try_at=None)

    @admin.display(description=gettext_lazy("what"), ordering="kind")
    def what(self, alarm: Alarm) -> str:
        return alarm_words.title(alarm.kind)

    @admin.display(description=gettext_lazy("state"))
    def how(self, alarm: Alarm) -> SafeString:
        return badge(BAD, _("open")) if alarm.ended_at is None else badge(OFF, _("over"))

    @admin.display(description=gettext_lazy("since"), ordering="opened_at")
    def since(self, alarm: Alarm) -> str:
        return _short(alarm.opened_at)

    @admin.display(description=gettext_lazy("over since"), ordering="ended_at", empty_value="–")
    def until(self, alarm: Alarm) -> str | None:
        return _short(alarm.ended_at) if alarm.ended_at else None

    @admin.display(description=gettext_lazy("told as"))
    def sentence(self, alarm: Alarm) -> SafeString:
        return breakable(alarm_words.sentence(alarm.kind, alarm.params))

    @admin.display(description=gettext_lazy("what to do"))
    def to_do(self, alarm: Alarm) -> str:
        return alarm_words.to_do(alarm.kind, alarm.params)

    @admin.display(description=gettext_lazy("where to look"))
    def look(self, alarm: Alarm) -> SafeString | str:
        address = place(alarm.kind, alarm.subject)
        return format_html('<a href="{}">{}</a>', address, _("See what it is about")) if address else "–"

    @admin.display(description=gettext_lazy("told to"))
    def told_to(self, alarm: Alarm) -> str:
        """The channels, each with how far it was told."""
        names = {"mail": _("mail"), "webhook": _("webhook"), "log": _("the log")}
        ends = {
            "open": _("its beginning"),
            AGAIN: _("its beginning, not what became of it"),
            "ended": _("its beginning and end"),
        }
        return ", ".join(
            f"{names.get(name, name)} ({ends.get(told, told)})" for name, told in alarm.told.items()
        ) or _("nobody yet")
