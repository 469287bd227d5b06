"""Applications and portals in the admin. Tokens never leave the server: no page holds one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portals.admin_forms import ApplicationForm
from portals.admin_portal import PortalAdmin
from portals.crypto import is_set
from portals.models import Application, PendingInstallation, Portal, PortalGroup
from portals.panels import BAD, OK, WARN, badge
from portals.pending_words import error_of, way_of
from portals.read_only import ReadOnlyAdmin


@admin.register(Application)
class ApplicationAdmin(admin.ModelAdmin):
    form = ApplicationForm
    list_display = ["name", "slug", "client_id", "secret_set", "portal_count"]
    search_fields = ["name", "slug", "client_id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Application]:
        return super().get_queryset(request).annotate(portal_count=Count("portals"))

    def get_fieldsets(self, request: HttpRequest, obj: Application | None = None) -> Any:
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        secret = "secret" if may_write else "secret_set"
        fieldsets: list[Any] = [(None, {"fields": ["name", "slug", "client_id", secret]})]
        if obj is not None:
            fieldsets.append(
                (
                    _("Addresses for the application's card in Bitrix24"),
                    {"fields": ["handler_path", "install_path", "oauth_path", "connect_page"]},
                )
            )
        return fieldsets

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        # `secret` is a field of the form, not of the model, which the admin's factory would not find.
        kwargs["fields"] = ["name", "slug", "client_id"]
        return super().get_form(request, obj, change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Application | None = None) -> Any:
        # The slug stands in every address that portals hold.
        fixed = ["slug"] if obj is not None and obj.portals.exists() else []
        return [*fixed, "handler_path", "install_path", "oauth_path", "connect_page", "secret_set"]

    @admin.display(description=gettext_lazy("portals"), ordering="portal_count")
    def portal_count(self, application: Any) -> int:
        return int(application.portal_count)

    @admin.display(description=gettext_lazy("client secret"))
    def secret_set(self, application: Application) -> SafeString:
        return badge(OK, _("set")) if is_set(application, "client_secret") else badge(BAD, _("not set"))

    @admin.display(description=gettext_lazy("Application address"))
    def handler_path(self, application: Application) -> SafeString:
        return _address(application, "")

    @admin.display(description=gettext_lazy("Installation address"))
    def install_path(self, application: Application) -> SafeString:
        return _address(application, "install/")

    @admin.display(description=gettext_lazy("OAuth redirect address"))
    def oauth_path(self, application: Application) -> SafeString:
        return _address(application, "oauth/")

    @admin.display(description=gettext_lazy("The OAuth way in"))
    def connect_page(self, application: Application) -> SafeString:
        return format_html(
            '<a href="{}">{}</a><p class="help">{}</p>',
            reverse("b24:connect", args=[application.slug]),
            _("Connect a portal by its address"),
            _("You agree on the portal yourself, and nothing has to be installed there from a card first."),
        )


def _address(application: Application, rest: str) -> SafeString:
    return format_html("<code>{}/b24/{}/{}</code>", settings.PUBLIC_URL.rstrip("/"), application.slug, rest)


@admin.register(PortalGroup)
class PortalGroupAdmin(admin.ModelAdmin):
    list_display = ["name", "portal_count"]
    search_fields = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PortalGroup]:
        return super().get_queryset(request).annotate(portal_count=Count("portals"))

    @admin.display(description=gettext_lazy("portals"))
    def portal_count(self, group: Any) -> int:
        return int(group.portal_count)


admin.site.register(Portal, PortalAdmin)


@admin.register(PendingInstallation)
class PendingInstallationAdmin(ReadOnlyAdmin):
    """Claims that wait for the token server, and those that came to nothing. What they bring is shown to nobody."""

    list_display = [
        "member_id",
        "its_state",
        "application",
        "its_way",
        "received_at",
        "tries",
        "next_try_at",
        "its_error",
    ]
    list_filter = ["state", "application"]
    list_select_related = ["application"]
    ordering = ["-received_at", "-id"]
    fields = [
        "member_id",
        "application",
        "its_state",
        "to_do",
        "its_error",
        "its_way",
        "received_at",
        "tries",
        "next_try_at",
        "ended_at",
    ]
    readonly_fields = ["its_state", "to_do", "its_error", "its_way"]

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def its_state(self, pending: PendingInstallation) -> SafeString:
        return badge(
            WARN if pending.state == PendingInstallation.State.WAITING else BAD, pending.get_state_display()
        )

    @admin.display(description=gettext_lazy("error"), ordering="error")
    def its_error(self, pending: PendingInstallation) -> str:
        return error_of(pending.error)

    @admin.display(description=gettext_lazy("way"), ordering="way")
    def its_way(self, pending: PendingInstallation) -> str:
        return way_of(pending.way)

    @admin.display(description=gettext_lazy("What to do"))
    def to_do(self, pending: PendingInstallation) -> str:
        if pending.state == PendingInstallation.State.WAITING:
            return _(
                "Nothing: it is tried again by itself until the token server answers, for three days at most."
            )
        return _(
            "The application is not installed by it. If the portal is known to you, open the application there again"
            " as an administrator; if that is refused too, or it has no page, install it again. This line goes when"
            " the installation succeeds, or after seven days."
        )
