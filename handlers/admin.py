"""The log of calls: a list that stays quick, one page that tells a call's story. Read-only for everybody."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from handlers import log_order, log_pages, replay_orders, timeline, values_shown
from handlers.admin_orders import ReplayOrderAdmin
from handlers.admin_replay import DEEDS, RELEASE, REPLAY, decide_link, decide_view, links_for
from handlers.admin_sendings import SendingAdmin
from handlers.breaking import breakable
from handlers.clock_words import clock, two_lines
from handlers.log_search import search
from handlers.models import OPEN_STATES, Invocation, ReceivedCall, RefusedCall, ReplayOrder, Sending
from portals.read_only import ReadOnlyAdmin
from portals.row_number import is_row_number

RELATED_SHOWN = 20
READ_FOR_RELATED = 1000
# Their ids travel in an address; more are an order of their own.
DECIDED_AT_ONCE = 100


admin.site.register(ReplayOrder, ReplayOrderAdmin)
admin.site.register(Sending, SendingAdmin)


@admin.register(Invocation)
class InvocationAdmin(ReadOnlyAdmin):
    list_display = ["number", "received", "how", "robot", "document", "on_portal"]
    list_display_links = ["number"]
    list_filter = [
        log_pages.StateFilter,
        log_pages.DayFilter,
        log_pages.CauseFilter,
        log_pages.ArrivalFilter,
        log_pages.RobotFilter,
        log_pages.PortalFilter,
    ]
    list_select_related = ["portal", "version"]
    actions = ["replay_calls", "release_calls", "acknowledge_calls"]
    list_per_page = 50
    list_max_show_all = 0
    search_fields = ["document_id"]
    search_help_text = gettext_lazy(
        "A document (DEAL_42 or 42), a process, a call's number or a robot's code, as it is written."
    )
    # The log is read newest first; sorting by anything else would read all of it.
    sortable_by = ()
    paginator = log_pages.BoundedPaginator
    show_full_result_count = False
    # Counts beside the filters would each count the whole log.
    show_facets = admin.ShowFacets.NEVER

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        words = {"portal": "portal", "robot": "robot_code", "q": "document_id"}
        return [log_order.number([words[name] for name in request.GET if name in words]).desc()]

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        return search(queryset, search_term), False

    @admin.display(description=gettext_lazy("call"))
    def number(self, call: Invocation) -> str:
        if call.run == 1:
            return f"#{call.pk}"
        return _("#%(id)d (run %(run)d)") % {"id": call.pk, "run": call.run}

    @admin.display(description=gettext_lazy("state"))
    def how(self, call: Invocation) -> SafeString:
        shown = timeline.state_badge(call)
        more = call.get_cause_display() if call.cause else ""
        if call.confirmation:
            more = call.get_confirmation_display()
        if call.followed_at is not None or call.acknowledged_at is not None:
            seen = _("run again") if call.followed_at is not None else _("acknowledged")
            more = f"{more}; {seen}" if more else seen
        return format_html('{} <div class="hub-quiet">{}</div>', shown, more) if more else shown

    @admin.display(description=gettext_lazy("robot"))
    def robot(self, call: Invocation) -> SafeString:
        code = breakable(call.robot_code)
        return format_html("{} v{}", code, call.version.number) if call.version else code

    @admin.display(description=gettext_lazy("portal"))
    def on_portal(self, call: Invocation) -> SafeString:
        return breakable(str(call.portal))

    @admin.display(description=gettext_lazy("received"))
    def received(self, call: Invocation) -> SafeString | str:
        return two_lines(call.received_at)

    @admin.display(description=gettext_lazy("document"))
    def document(self, call: Invocation) -> str:
        return call.document_id or "–"

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return super().get_object(request, object_id, from_field) if is_row_number(object_id) else None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The story of one call."""
        if request.method != "GET" or not self.has_view_permission(request):
            raise PermissionDenied
        calls = Invocation.whole.select_related(
            "portal__application", "version__robot", "sending", "stored"
        ).defer("event_token")
        call = calls.filter(pk=object_id).first() if is_row_number(object_id) else None
        if call is None:
            messages.warning(request, _("There is no call #%(id)s (any more).") % {"id": object_id[:20]})
            return HttpResponseRedirect(reverse("admin:handlers_invocation_changelist"))
        context = {
            **self.admin_site.each_context(request),
            **story_context(call),
            "opts": self.opts,
            "title": _("Call #%(id)d") % {"id": call.pk},
            "extra_actions": links_for(request, call),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/handlers/invocation/story.html", context)

    def get_urls(self) -> list[Any]:
        site = self.admin_site.admin_view
        own = [path(f"{deed}/", site(decide_view), {"deed": deed}, name=f"handlers_{deed}") for deed in DEEDS]
        return [*own, *super().get_urls()]

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(REPLAY)

    def has_release_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(RELEASE)

    @admin.action(permissions=["replay"], description=gettext_lazy("Replay"))
    def replay_calls(self, request: HttpRequest, chosen: QuerySet[Invocation]) -> HttpResponse:
        return self._decide(request, "replay", chosen)

    @admin.action(permissions=["release"], description=gettext_lazy("Release with empty values"))
    def release_calls(self, request: HttpRequest, chosen: QuerySet[Invocation]) -> HttpResponse:
        return self._decide(request, "release", chosen)

    @admin.action(permissions=["replay"], description=gettext_lazy("Acknowledge"))
    def acknowledge_calls(self, request: HttpRequest, chosen: QuerySet[Invocation]) -> HttpResponse:
        return self._decide(request, "acknowledge", chosen)

    def _decide(self, request: HttpRequest, deed: str, chosen: QuerySet[Invocation]) -> HttpResponse:
        """A few are decided about at once; more become an order that is worked on in the background."""
        ids = list(chosen.order_by("-id").values_list("pk", flat=True)[: DECIDED_AT_ONCE + 1])
        if len(ids) <= DECIDED_AT_ONCE:
            return HttpResponseRedirect(decide_link(deed, ids, request.GET.urlencode()))
        order = replay_orders.draft(deed, chosen, request.user.get_username())
        return HttpResponseRedirect(reverse("admin:handlers_replayorder_change", args=[order.pk]))


def story_context(call: Invocation) -> dict[str, Any]:
    """All that the story's page shows: a fixed number of queries however long the story is."""
    attempts = list(call.attempts.select_related("sending").order_by("id")[:500])
    payload = values_shown.payload_of(call)
    runs = Invocation.objects.filter(portal=call.portal_id, token_hash=call.token_hash).exclude(pk=call.pk)
    result = values_shown.result_of(call)
    return {
        "call": call,
        "received": clock(call.received_at),
        # What may still change by itself: the page looks again.
        "open": call.state in OPEN_STATES or call.confirm_at is not None,
        "robot_name": timeline.robot_name(call, payload),
        "badge": timeline.state_badge(call),
        "headline": timeline.headline(call),
        "to_do": timeline.what_to_do(call),
        "moments": timeline.story(call, attempts),
        "inputs": values_shown.inputs_of(call),
        "outputs": values_shown.outputs_of(call),
        "no_outputs": values_shown.no_outputs(call),
        "result_log": result.get("log"),
        "lines": values_shown.lines_of(call),
        "trial_fields": values_shown.trial_fields(call),
        "raw_call": values_shown.pretty(values_shown.call_of(call)),
        "raw_result": values_shown.pretty(result) if result else "",
        "runs": _lines(runs, "-run"),
        "same_process": _lines(_others(call, "workflow_id")),
        "same_document": _lines(_others(call, "document_id")),
    }


def _others(call: Invocation, field: str) -> QuerySet[Invocation]:
    """Other calls of the portal with the same process or document, by that column's index."""
    value = getattr(call, field)
    if not value:
        return Invocation.objects.none()
    # Read by that index alone, then sorted out by portal: asked for both at once, SQLite walks the portal's
    # whole log. Two portals may have a document of the same number.
    named = ReceivedCall.objects.filter(**{field: value}).order_by("-id").values_list("pk", "portal_id")
    ids = [pk for pk, portal in named[:READ_FOR_RELATED] if portal == call.portal_id]
    return Invocation.objects.filter(pk__in=ids[: RELATED_SHOWN + 1]).exclude(token_hash=call.token_hash)


def _lines(calls: QuerySet[Invocation], order: str = "-id") -> list[dict[str, Any]]:
    rows = calls.select_related(None).order_by(order)[:RELATED_SHOWN]
    return [
        {
            "call": each,
            "received": clock(each.received_at),
            "badge": timeline.state_badge(each),
        }
        for each in rows
    ]


@admin.register(RefusedCall)
class RefusedCallAdmin(ReadOnlyAdmin):
    """Calls that proved nothing: the answer to “Bitrix24 says it called you”."""

    list_display = ["came", "reason", "application", "its_domain", "its_member", "robot", "address"]
    list_filter = ["reason"]
    search_fields = ["=member_id", "=domain", "=address", "=robot_code"]
    search_help_text = gettext_lazy("A member id, a domain, an address or a robot's code, as it is written.")
    list_per_page = 50
    show_full_result_count = False
    paginator = log_pages.BoundedPaginator
    sortable_by = ()
    fields = ["came_at", "reason", "sentence", "application", "domain", "member_id", "robot_code", "address"]
    readonly_fields = ["came_at"]

    @admin.display(description=gettext_lazy("at"))
    def came(self, refused: RefusedCall) -> SafeString | str:
        return two_lines(refused.at)

    @admin.display(description=gettext_lazy("at"))
    def came_at(self, refused: RefusedCall) -> str:
        return clock(refused.at)

    @admin.display(description=gettext_lazy("claimed domain"))
    def its_domain(self, refused: RefusedCall) -> SafeString:
        return breakable(refused.domain)

    @admin.display(description=gettext_lazy("claimed portal"))
    def its_member(self, refused: RefusedCall) -> SafeString:
        return breakable(refused.member_id)

    @admin.display(description=gettext_lazy("robot"))
    def robot(self, refused: RefusedCall) -> SafeString:
        return breakable(refused.robot_code)
