"""The pages of portals: how each stands, what a person may change, what other rooms append."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portals import panels
from portals.account_panel import account_panel
from portals.admin_deeds import forget_portals, pause_portals, resume_portals
from portals.admin_forms import PortalForm, PortalSettingForm
from portals.forget import LISTED, forgettable
from portals.models import Portal, PortalSetting
from portals.panels import BAD, OK, WARN, badge
from portals.standing import STANDINGS, plan_words, standing, standing_with_rooms, token_dies_at


class StandingFilter(admin.SimpleListFilter):
    """The portals that a line of the first page counts."""

    title = gettext_lazy("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("no_token", _("no working token")),
            ("no_admin", _("not an administrator's token")),
            ("trouble", _("trouble")),
            ("plan", _("plan or payment lapsed")),
            ("paused", _("paused")),
            ("gone", _("uninstalled")),
            ("forgotten", _("forgotten")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Portal]) -> QuerySet[Portal]:
        if self.value() == "forgotten":
            return queryset.filter(**STANDINGS["forgotten"])
        queryset = queryset.filter(LISTED)
        return queryset.filter(**STANDINGS[self.value()]) if self.value() in STANDINGS else queryset


class PortalChangeList(ChangeList):
    """Asks each appended column once for the whole page, however many portals it holds."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        ids = [portal.pk for portal in self.result_list]
        for column in panels.columns:
            values = column.values(ids)
            for portal in self.result_list:
                setattr(portal, f"column_{column.name}", values.get(portal.pk, "–"))


class PortalSettingInline(admin.StackedInline):
    """Names are shown, values to nobody."""

    model = PortalSetting
    form = PortalSettingForm
    extra = 0
    fields = ["name", "secret"]
    verbose_name = gettext_lazy("setting for robots")
    verbose_name_plural = gettext_lazy("settings for robots")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["name", "secret"] if self.has_change_permission(request, obj) else ["name"]

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        # `secret` is a field of the form, not of the model, which the admin's factory would not find.
        kwargs["fields"] = ["name"]
        return super().get_formset(request, obj, **kwargs)


class PortalAdmin(admin.ModelAdmin):
    form = PortalForm
    list_filter = [StandingFilter, "application", "groups"]
    search_fields = ["domain", "member_id", "note"]
    list_select_related = ["application"]
    list_per_page = 100
    inlines = [PortalSettingInline]
    actions = [pause_portals, resume_portals, forget_portals]
    change_form_template = "admin/portals/portal/change_form.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        # A portal comes by being installed, nothing else proves whose it is (contract §3).
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Portal | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Portal, form: Any, change: bool) -> None:
        """The columns of the form alone: a token that is renewed meanwhile must not be taken back."""
        if columns := form.changed_columns():
            obj.save(update_fields=columns)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PortalChangeList

    def get_list_display(self, request: HttpRequest) -> Any:
        own = ["portal", "how_it_stands"]
        return [*own, *(_shown_column(column) for column in panels.columns)]

    def get_fieldsets(self, request: HttpRequest, obj: Portal | None = None) -> Any:
        connection = [
            "application",
            "domain",
            "member_id",
            "installed_at",
            "answered_at",
        ]
        token = [
            "token_state",
            "token_until",
            "administrator",
            "token_user_id",
            "access_expires_at",
            "token_server",
        ]
        learned = [
            "plan",
            "scope",
            "instances",
            "batch_size",
            "send_delay",
            "clock_ahead",
            "language",
            "zone",
            "dates",
        ]
        return [
            (None, {"fields": ["how_it_stands_and_what_to_do"]}),
            (_("Settings"), {"fields": ["groups", "time_zone", "date_format", "note"]}),
            (_("Installation"), {"fields": connection}),
            (_("Authorisation"), {"fields": token}),
            (_("What was learned of it"), {"fields": learned, "classes": ["collapse"]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Portal | None = None) -> Any:
        written = {"groups", "time_zone", "date_format", "note"}
        return [
            name
            for _title, options in self.get_fieldsets(request, obj)
            for name in options["fields"]
            if name not in written
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        portal = self.get_object(request, object_id)
        shown = []
        if portal is not None and self.has_view_permission(request, portal):
            shown = [(_("Applications of this account"), account_panel(portal, request))]
            shown += [(panel.title, panel.show(portal, request)) for panel in panels.panels]
        context = {**(extra_context or {}), "panels": [(title, html) for title, html in shown if html]}
        if portal is not None:
            context["deeds"] = self._deeds(request, portal)
        return super().change_view(request, object_id, form_url, context)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found = super().get_actions(request)
        for action in panels.actions:
            if request.user.has_perm(action.permission):
                found[action.name] = (action.run, action.name, action.title)
        return found

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Portal], *more: Any, **options: Any
    ) -> HttpResponse | None:
        """An action pressed on a portal's page leads back there, where the list itself would."""
        answer: HttpResponse | None = super().response_action(request, queryset, *more, **options)
        page = request.POST.get("from_page", "")
        if not page.isdecimal() or answer is None or answer.status_code != 302:
            return answer
        if answer["Location"] not in (request.get_full_path(), reverse("admin:portals_portal_changelist")):
            return answer
        return HttpResponseRedirect(reverse("admin:portals_portal_change", args=[page]))

    def _deeds(self, request: HttpRequest, portal: Portal) -> list[tuple[str, str, str]]:
        """(action, words, more words) that make sense for this portal and person."""
        names = []
        if portal.state == Portal.State.INSTALLED:
            names = [
                *(each.name for each in panels.actions),
                "resume_portals" if portal.paused_at else "pause_portals",
            ]
        if forgettable(Portal.objects.filter(pk=portal.pk)).exists():
            names.append("forget_portals")
        allowed = self.get_actions(request)
        # On one portal's page the short half of `Pause: take calls in, send nothing` does.
        told = [(name, str(allowed[name][2]).partition(": ")) for name in names if name in allowed]
        return [(name, short, more) for name, (short, _colon, more) in told]

    @admin.display(description=gettext_lazy("state"))
    def how_it_stands(self, portal: Portal) -> SafeString:
        remarks = standing(portal)
        more = len(remarks) - 1
        first = badge(remarks[0].tone, remarks[0].words)
        if more and remarks[1].tone in (BAD, WARN):
            first = format_html("{} +{}", first, more)
        return format_html('{} <div class="hub-quiet">{}</div>', first, plan_words(portal))

    @admin.display(description=gettext_lazy("state"))
    def how_it_stands_and_what_to_do(self, portal: Portal) -> SafeString:
        lines = format_html_join(
            "",
            '<li>{} <span class="hub-to-do">{}</span></li>',
            ((badge(remark.tone, remark.words), remark.to_do) for remark in standing_with_rooms(portal)),
        )
        said = portal.trouble_text
        quote = format_html('<p class="hub-quote">{} {}</p>', _("The portal said:"), said) if said else ""
        return format_html('<ul class="hub-standing">{}</ul>{}', lines, quote)

    @admin.display(description=gettext_lazy("portal"), ordering="domain")
    def portal(self, portal: Portal) -> SafeString:
        return format_html('{} <div class="hub-quiet">{}</div>', portal, portal.application)

    @admin.display(description=gettext_lazy("time zone"))
    def zone(self, portal: Portal) -> str:
        return f"{portal.time_zone}: {portal.get_time_zone_source_display()}"

    @admin.display(description=gettext_lazy("date format"))
    def dates(self, portal: Portal) -> str:
        """Which format dates are read in, and who says so (contract §6)."""
        return f"{portal.get_date_format_display()}: {portal.get_date_format_source_display()}"

    @admin.display(description=gettext_lazy("token valid until"))
    def token_until(self, portal: Portal) -> str:
        dies = token_dies_at(portal)
        if dies is None:
            return "–"
        return _("%(when)s, if it is not used before; each use makes it new") % {
            "when": date_format(timezone.localtime(dies), "DATETIME_FORMAT")
        }

    @admin.display(description=gettext_lazy("administrator"))
    def administrator(self, portal: Portal) -> SafeString | str:
        if portal.token_is_admin is None:
            return _("not known")
        return badge(OK, _("yes")) if portal.token_is_admin else badge(WARN, _("no"))

    @admin.display(description=gettext_lazy("plan"))
    def plan(self, portal: Portal) -> str:
        return plan_words(portal)


def _shown_column(column: panels.Column) -> Callable[[Portal], Any]:
    @admin.display(description=column.title)
    def show(portal: Portal) -> Any:
        return getattr(portal, f"column_{column.name}", "–")

    show.__name__ = f"column_{column.name}"
    return show
