"""Robots, what was published of them, and what portals hold."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portals.panels import OFF, badge
from portals.read_only import ReadOnlyAdmin
from robots.models import ForeignCode, Registration, Robot, RobotVersion
from robots.registration_words import state_of, what_to_do
from robots.texts import in_language


def pretty(text: str) -> SafeString:
    """JSON text with indents, its order kept."""
    try:
        text = json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except ValueError:
        pass  # Not JSON: shown as it is, which is the most useful thing to see then.
    return format_html('<pre class="hub-json" tabindex="0">{}</pre>', text)


@admin.register(Robot)
class RobotAdmin(ReadOnlyAdmin):
    list_display = [
        "code",
        "shown_name",
        "application",
        "kind",
        "subscription",
        "on_portals",
        "updated_at",
        "standing",
    ]
    list_filter = ["application", "kind"]
    list_select_related = ["application"]
    search_fields = ["code", "name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Robot]:
        there = Q(registrations__pushed_version__isnull=False)
        return super().get_queryset(request).annotate(portal_count=Count("registrations", filter=there))

    @admin.display(description=gettext_lazy("name"))
    def shown_name(self, robot: Robot) -> str:
        return in_language(robot.name)

    @admin.display(description=gettext_lazy("on portals"), ordering="portal_count")
    def on_portals(self, robot: Any) -> SafeString:
        address = reverse("admin:robots_registration_changelist") + f"?robot__id__exact={robot.pk}"
        return format_html('<a href="{}">{}</a>', address, robot.portal_count)

    @admin.display(description=gettext_lazy("state"))
    def standing(self, robot: Robot) -> SafeString | str:
        return badge(OFF, _("removed: the next push deletes it")) if robot.removed_at else ""


@admin.register(RobotVersion)
class RobotVersionAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "robot", "kind", "published_at", "published_by", "note"]
    list_filter = ["robot__application", "kind"]
    list_select_related = ["robot"]
    search_fields = ["code", "note"]
    fields = [
        "robot",
        "number",
        "kind",
        "code",
        "note",
        "published_by",
        "published_at",
        "on_failure",
        "payload",
        "how",
    ]
    readonly_fields = ["payload", "how"]

    @admin.display(description=gettext_lazy("payload"))
    def payload(self, version: RobotVersion) -> SafeString:
        return pretty(version.payload_text)

    @admin.display(description=gettext_lazy("compute"))
    def how(self, version: RobotVersion) -> SafeString:
        return pretty(json.dumps(version.compute))


class ErrorFilter(admin.SimpleListFilter):
    title = gettext_lazy("error")
    parameter_name = "error"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", _("with an error")), ("no", _("without"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Registration]) -> QuerySet[Registration]:
        if self.value() == "yes":
            return queryset.filter(error_code__gt="")
        return queryset.filter(error_code="") if self.value() == "no" else queryset


@admin.register(Registration)
class RegistrationAdmin(ReadOnlyAdmin):
    """What a portal holds of a robot; `pushed` is the whole payload as the portal took it."""

    list_display = [
        "robot",
        "portal",
        "how",
        "pushed_version",
        "wanted_version",
        "pushed_at",
        "observed",
        "to_do",
    ]
    list_filter = [ErrorFilter, "observed", "robot__application", "robot", "portal"]
    list_select_related = ["robot", "portal", "pushed_version", "wanted_version"]
    search_fields = ["robot__code", "portal__domain"]
    fields = [
        "robot",
        "portal",
        "how",
        "to_do",
        "error_code",
        "error_text",
        "error_at",
        "wanted_version",
        "pushed_version",
        "pushed_at",
        "observed",
        "observed_at",
        "adopted_by",
        "pushed",
    ]
    readonly_fields = ["how", "to_do", "pushed"]

    @admin.display(description=gettext_lazy("state"))
    def how(self, registration: Registration) -> SafeString:
        return badge(*state_of(registration))

    @admin.display(description=gettext_lazy("what to do"))
    def to_do(self, registration: Registration) -> str:
        return what_to_do(registration) or "–"

    @admin.display(description=gettext_lazy("payload on the portal"))
    def pushed(self, registration: Registration) -> SafeString | str:
        return pretty(registration.pushed_text) if registration.pushed_text else "–"


@admin.register(ForeignCode)
class ForeignCodeAdmin(ReadOnlyAdmin):
    """Codes under our application that we never pushed there; left alone until a person adopts them."""

    list_display = ["code", "kind", "portal", "seen_at"]
    list_select_related = ["portal"]
    list_filter = ["kind", "portal"]
    search_fields = ["code", "portal__domain"]
    fields = ["code", "kind", "portal", "seen_at"]
