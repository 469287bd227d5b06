"""Replays of many calls in the admin: what it would mean, a reason, then how it goes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from handlers.admin_replay import DEEDS, WhyForm, about, still_waiting
from handlers.models import Invocation, ReplayOrder, State
from handlers.replay_orders import MOST, cancel, confirm
from portals.clock import db_now
from portals.models import Portal
from portals.panels import INFO, OFF, OK, WARN, badge
from portals.read_only import ReadOnlyAdmin

PORTALS_SHOWN = 20


class ReplayOrderAdmin(ReadOnlyAdmin):
    list_display = ["number", "ordered_at", "ordered_by", "deed", "total", "outcome", "why"]
    list_display_links = ["number"]
    list_filter = ["deed"]
    search_fields = ["ordered_by", "why"]
    list_per_page = 50
    sortable_by = ()

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site.admin_view
        own = [
            path("<int:pk>/state/", site(self.state_view), name="handlers_replayorder_state"),
            path("<int:pk>/confirm/", site(self.confirm_view), name="handlers_replayorder_confirm"),
            path("<int:pk>/cancel/", site(self.cancel_view), name="handlers_replayorder_cancel"),
        ]
        return [*own, *super().get_urls()]

    @admin.display(description=gettext_lazy("replay"))
    def number(self, order: ReplayOrder) -> str:
        return f"#{order.pk}"

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, order: ReplayOrder) -> SafeString:
        return outcome_badge(order)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method != "GET":
            raise PermissionDenied
        return self._page(request, self._order(request, object_id), WhyForm())

    def state_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        order = self._order(request, str(pk))
        return TemplateResponse(request, "admin/handlers/replayorder/state.html", told(order, request))

    def confirm_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        order = self._order_to_change(request, pk)
        form = WhyForm(request.POST)
        if not form.is_valid():
            return self._page(request, order, form)
        if not confirm(order, form.cleaned_data["why"]):
            messages.info(request, _("It was confirmed before."))
        return HttpResponseRedirect(reverse("admin:handlers_replayorder_change", args=[pk]))

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        order = self._order_to_change(request, pk)
        if cancel(order, request.user.get_username()):
            messages.success(request, _("Cancelled: what was not begun stays as it is."))
        else:
            messages.info(request, _("It had ended before."))
        return HttpResponseRedirect(reverse("admin:handlers_replayorder_change", args=[pk]))

    def _page(self, request: HttpRequest, order: ReplayOrder, form: WhyForm) -> HttpResponse:
        titles: dict[str, str] = {
            ReplayOrder.Deed.REPLAY: _("Replay of many #%(n)d"),
            ReplayOrder.Deed.RELEASE: _("Release of many #%(n)d"),
            ReplayOrder.Deed.ACKNOWLEDGE: _("Acknowledgement of many #%(n)d"),
        }
        context = {
            **self.admin_site.each_context(request),
            **told(order, request),
            "opts": self.opts,
            "title": titles[order.deed] % {"n": order.pk},
            "form": form,
            "about": about(order.deed),
            **(meaning(order) if order.confirmed_at is None else {}),
        }
        return TemplateResponse(request, "admin/handlers/replayorder/order.html", context)

    def _order(self, request: HttpRequest, key: str) -> ReplayOrder:
        if not self.has_view_permission(request):
            raise PermissionDenied
        order = self.get_object(request, key)
        if order is None:
            raise Http404
        return order

    def _order_to_change(self, request: HttpRequest, pk: int) -> ReplayOrder:
        order = self._order(request, str(pk))
        if request.method != "POST" or not request.user.has_perm(DEEDS[order.deed][0]):
            raise PermissionDenied
        return order


def outcome_badge(order: ReplayOrder) -> SafeString:
    if order.cancelled_by:
        return badge(
            OFF, _("cancelled: %(taken)d of %(n)d were decided") % {"taken": order.taken, "n": order.total}
        )
    if order.confirmed_at is None:
        return badge(OFF, _("not confirmed"))
    if order.ended_at is None:
        return badge(INFO, _("under way: %(done)d of %(n)d") % {"done": order.taken, "n": order.total})
    if order.refused:
        words = (
            _("%(done)d of %(n)d acknowledged")
            if order.deed == ReplayOrder.Deed.ACKNOWLEDGE
            else _("%(done)d of %(n)d begun")
        )
        return badge(WARN, words % {"done": order.done, "n": order.total})
    return badge(OK, _("done"))


def meaning(order: ReplayOrder) -> dict[str, Any]:
    """The portals, how many are past their deadline, and how many did not fail: told before it is confirmed."""
    calls = Invocation.objects.filter(pk__in=order.calls).order_by()
    counted = calls.aggregate(
        late=Count("pk", filter=Q(deadline__lte=db_now())),
        not_failed=Count("pk", filter=~Q(state=State.FAILED)),
        waiting=Count("pk", filter=still_waiting()),
    )
    if order.deed != ReplayOrder.Deed.ACKNOWLEDGE:
        counted["waiting"] = 0
    portals = Portal.objects.filter(pk__in=calls.values("portal").distinct())
    return {
        **counted,
        "portals": [str(portal) for portal in portals[:PORTALS_SHOWN]],
        "portal_count": portals.count(),
        "bounded": order.total >= MOST,
        "most": MOST,
    }


def told(order: ReplayOrder, request: HttpRequest) -> dict[str, Any]:
    may = request.user.has_perm(DEEDS[order.deed][0])
    under_way = order.confirmed_at is not None and order.ended_at is None
    return {
        "order": order,
        "open": under_way,
        "draft": order.confirmed_at is None and order.ended_at is None,
        "badge": outcome_badge(order),
        "said": _("%(done)d of %(n)d calls are decided about.") % {"done": order.taken, "n": order.total},
        "refused": sorted(order.refused.items(), key=lambda each: -each[1]),
        "may_confirm": may,
        "may_cancel": may and under_way,
    }
