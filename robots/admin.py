"""Robots, what was published of them, and what portals hold."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portals.panels import OK, WARN, badge
from portals.read_only import ReadOnlyAdmin
from robots.admin_adopt import adopt_view
from robots.admin_push import PUSH
from robots.admin_push_record import PushAdmin
from robots.admin_robot import RobotAdmin, pretty
from robots.lost import lost
from robots.models import ForeignCode, Push, Registration, Robot, RobotVersion
from robots.payload import diff, load
from robots.publish import verdict
from robots.refused import refused, waits
from robots.registration_words import state_of, what_to_do

admin.site.register(Robot, RobotAdmin)
admin.site.register(Push, PushAdmin)


@admin.register(RobotVersion)
class RobotVersionAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "published", "note", "on_portals", "push_it"]
    list_filter = ["robot__application", "kind"]
    list_select_related = ["robot"]
    change_form_template = "admin/robots/robotversion/change_form.html"
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
        "differences",
        "payload",
        "how",
    ]
    readonly_fields = ["differences", "payload", "how"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[RobotVersion]:
        holders = Registration.objects.filter(pushed_version=OuterRef("pk")).order_by()
        counted = holders.values("pushed_version").annotate(n=Count("pk")).values("n")
        return super().get_queryset(request).annotate(portal_count=Subquery(counted))

    def get_list_display(self, request: HttpRequest) -> Any:
        shown = super().get_list_display(request)
        return shown if request.user.has_perm(PUSH) else [name for name in shown if name != "push_it"]

    @admin.display(description=gettext_lazy("published"), ordering="published_at")
    def published(self, version: RobotVersion) -> SafeString:
        when = date_format(timezone.localtime(version.published_at), "SHORT_DATETIME_FORMAT")
        return format_html('{} <div class="hub-quiet">{}</div>', when, version.published_by)

    @admin.display(description=gettext_lazy("on portals"))
    def on_portals(self, version: Any) -> SafeString | str:
        if not version.portal_count:
            return "0"
        address = reverse("admin:robots_registration_changelist") + f"?pushed_version__id__exact={version.pk}"
        return format_html('<a href="{}">{}</a>', address, version.portal_count)

    @admin.display(description=gettext_lazy("push"))
    def push_it(self, version: RobotVersion) -> SafeString:
        """To chosen portals: the newest as a canary, an older one to roll back."""
        return format_html(
            '<a href="{}?version={}">{}</a>',
            reverse("admin:robots_push"),
            version.pk,
            _("Push this version …"),
        )

    @admin.display(description=gettext_lazy("against the version before"))
    def differences(self, version: RobotVersion) -> SafeString | str:
        """Field by field, and what a breaking change means for robots that stand in processes."""
        before = RobotVersion.objects.filter(robot=version.robot_id, number__lt=version.number).first()
        if before is None:
            return _("the first version")
        found = verdict(before, version)
        judged = badge(WARN, _("breaking")) if found.breaking else badge(OK, _("compatible"))
        reasons = format_html_join("", "<li>{}</li>", ((reason,) for reason in found.reasons))
        changes = diff(before.payload_text, version.payload_text)
        lines = format_html_join("", "<li><code>{}</code></li>", ((str(change),) for change in changes))
        if before.compute != version.compute:
            lines += format_html("<li>{}</li>", _("It computes otherwise."))
        return format_html("{} {}<ul>{}</ul><ul>{}</ul>", judged, found.meaning, reasons, lines)

    @admin.display(description=gettext_lazy("payload"))
    def payload(self, version: RobotVersion) -> SafeString:
        return pretty(load(version.payload_text))

    @admin.display(description=gettext_lazy("compute"))
    def how(self, version: RobotVersion) -> SafeString:
        return pretty(version.compute)


class ErrorFilter(admin.SimpleListFilter):
    title = gettext_lazy("error")
    parameter_name = "error"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("yes", _("refused by the portal")),
            ("waits", _("waits to be tried again")),
            ("no", _("without")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Registration]) -> QuerySet[Registration]:
        if self.value() == "yes":
            return queryset.filter(refused())
        if self.value() == "waits":
            return queryset.filter(waits())
        return queryset.filter(error_code="") if self.value() == "no" else queryset


class LostFilter(admin.SimpleListFilter):
    title = gettext_lazy("missing on its portal")
    parameter_name = "lost"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", _("yes"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Registration]) -> QuerySet[Registration]:
        return queryset.filter(lost()) if self.value() == "yes" else queryset


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
    list_filter = [ErrorFilter, LostFilter, "observed", "robot__application", "robot", "portal"]
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
        return pretty(load(registration.pushed_text)) if registration.pushed_text else "–"


@admin.register(ForeignCode)
class ForeignCodeAdmin(ReadOnlyAdmin):
    """Codes under our application that we never pushed there; left alone until a person adopts them."""

    list_display = ["code", "kind", "portal", "seen_at", "adopt"]
    list_select_related = ["portal"]
    list_filter = ["kind", "portal"]
    search_fields = ["code", "portal__domain"]
    fields = ["code", "kind", "portal", "seen_at", "adopt"]
    readonly_fields = ["adopt"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if request.user.has_perm(PUSH) else self.fields[:-1]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(adopt_view)
        return [path("<int:pk>/adopt/", view, name="robots_foreigncode_adopt"), *super().get_urls()]

    def get_list_display(self, request: HttpRequest) -> Any:
        shown = super().get_list_display(request)
        return shown if request.user.has_perm(PUSH) else [name for name in shown if name != "adopt"]

    @admin.display(description=gettext_lazy("adopt"))
    def adopt(self, found: ForeignCode) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:robots_foreigncode_adopt", args=[found.pk]), _("Adopt …")
        )
