"""Pushes and checks as they were ordered: the list, and a page that is live while one is under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from portals.models import Portal
from portals.panels import BAD, INFO, OFF, OK, WARN, badge
from portals.read_only import ReadOnlyAdmin
from portals.standing import standing
from robots.admin_push import PUSH, action_words
from robots.drift import Drift, why_of
from robots.models import Push, PushItem
from robots.push_order import cancel, retry
from robots.registration_words import advice

State = PushItem.State
OPEN = (State.WAITING, State.WORKING)
TONES = {
    State.WAITING: OFF,
    State.WORKING: INFO,
    State.DONE: OK,
    State.HELD: WARN,
    State.FAILED: BAD,
    State.CANCELLED: OFF,
}
# The order a person reads a page of items in: what went wrong first.
_GRAVEST = [State.FAILED, State.HELD, State.WORKING, State.WAITING, State.CANCELLED, State.DONE]
ITEMS_SHOWN = 500
# A portal's robots beyond this are told as a number.
LINES_SHOWN = 60


class PushChangeList(ChangeList):
    """Asks once for the ends of all items of the page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        found: dict[int, Counter[str]] = {push.pk: Counter() for push in self.result_list}
        rows = PushItem.objects.filter(push__in=found).order_by().values_list("push", "state")
        for key, state, n in rows.annotate(n=Count("id")):
            found[key][state] = n
        for push in self.result_list:
            push.ends = found[push.pk]


class PushAdmin(ReadOnlyAdmin):
    list_display = ["number", "ordered_at", "ordered_by", "what", "on_portals", "outcome"]
    list_display_links = ["number"]
    list_filter = ["kind", "way"]
    search_fields = ["ordered_by", "=id"]
    search_help_text = gettext_lazy("Who ordered it, or its number.")
    list_per_page = 50
    sortable_by = ()
    ordering = ["-id"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PushChangeList

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site.admin_view
        own = [
            path("<int:pk>/state/", site(self.state_view), name="robots_push_state"),
            path("<int:pk>/cancel/", site(self.cancel_view), name="robots_push_cancel"),
            path("<int:pk>/retry/", site(self.retry_view), name="robots_push_retry"),
        ]
        return [*own, *super().get_urls()]

    @admin.display(description=gettext_lazy("push"))
    def number(self, push: Push) -> str:
        return f"#{push.pk}"

    @admin.display(description=gettext_lazy("what"))
    def what(self, push: Push) -> str:
        return what_words(push)

    @admin.display(description=gettext_lazy("portals"))
    def on_portals(self, push: Any) -> int:
        return sum(push.ends.values())

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, push: Any) -> SafeString:
        return outcome_badge(push, push.ends)

    # One push

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method != "GET":
            raise PermissionDenied
        push = self._push(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            **told(push, request),
            "opts": self.opts,
            "title": _("Check #%(n)d") % {"n": push.pk}
            if push.kind == Push.Kind.CHECK
            else _("Push #%(n)d") % {"n": push.pk},
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/robots/push/push.html", context)

    def state_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The part of the page that changes, for the script that looks again."""
        push = self._push(request, str(pk))
        return TemplateResponse(request, "admin/robots/push/state.html", told(push, request))

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        push = self._push_to_change(request, pk)
        n = cancel(push, request.user.get_username())
        words = ngettext("%(n)d portal was taken out.", "%(n)d portals were taken out.", n) % {"n": n}
        messages.success(request, words) if n else messages.info(request, _("Nothing waited any more."))
        return HttpResponseRedirect(reverse("admin:robots_push_change", args=[pk]))

    def retry_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        push = self._push_to_change(request, pk)
        again = retry(push, request.user.get_username())
        if again is None:
            messages.info(request, _("Nothing is left to be tried again."))
        else:
            messages.success(request, _("What was not done is tried again."))
        return HttpResponseRedirect(reverse("admin:robots_push_change", args=[again.pk if again else pk]))

    def _push(self, request: HttpRequest, key: str) -> Push:
        if not self.has_view_permission(request):
            raise PermissionDenied
        push = self.get_object(request, key)
        if push is None:
            raise Http404
        return push

    def _push_to_change(self, request: HttpRequest, pk: int) -> Push:
        if request.method != "POST" or not request.user.has_perm(PUSH):
            raise PermissionDenied
        return self._push(request, str(pk))


def what_words(push: Push) -> str:
    """What was ordered, in a few words."""
    if push.kind == Push.Kind.CHECK:
        return _("check: ask what they hold")
    shown = ", ".join(push.codes[:3])
    return (
        _("%(codes)s and %(n)d more") % {"codes": shown, "n": len(push.codes) - 3}
        if len(push.codes) > 3
        else shown
    )


def outcome_badge(push: Push, ends: Counter[str]) -> SafeString:
    """How it stands in one badge, the gravest first."""
    n = sum(ends.values())
    if waits := sum(ends[state] for state in OPEN):
        return badge(INFO, _("under way: %(done)d of %(n)d") % {"done": n - waits, "n": n})
    if push.kind == Push.Kind.CHECK and ends[State.FAILED]:
        return badge(WARN, _("differs: %(n)d") % {"n": ends[State.FAILED]})
    if ends[State.FAILED]:
        return badge(BAD, _("not done: %(n)d") % {"n": ends[State.FAILED]})
    if ends[State.HELD]:
        return badge(WARN, _("held by their portals: %(n)d") % {"n": ends[State.HELD]})
    if ends[State.CANCELLED]:
        return badge(OFF, _("cancelled: %(n)d") % {"n": ends[State.CANCELLED]})
    return badge(OK, _("done"))


def told(push: Push, request: HttpRequest) -> dict[str, Any]:
    """All that the page shows; as many queries for a hundred portals as for one."""
    items = list(push.items.select_related("portal__application"))
    for item in items:
        item.push = push
    ends = Counter(item.state for item in items)
    waits = sum(ends[state] for state in OPEN)
    through = len(items) - waits - ends[State.HELD]
    items.sort(key=lambda item: _GRAVEST.index(State(item.state)))
    n = len(items)
    differing = any(item.outcomes and item.state == State.FAILED for item in items)
    check = push.kind == Push.Kind.CHECK
    may_push = request.user.has_perm(PUSH)
    return {
        "push": push,
        "check": check,
        "what": what_words(push),
        "rows": [_row(item) for item in items[:ITEMS_SHOWN]],
        "more": max(0, n - ITEMS_SHOWN),
        "open": bool(waits),
        "held": bool(ends[State.HELD]),
        "counts": [badge(TONES[s], f"{s.label}: {ends[s]}") for s in _GRAVEST if ends[s]]
        if not check
        else [],
        "said": _said(through, n, ends[State.HELD]),
        "through": through,
        "all": n,
        # One word for what the counts beside it would only repeat is left out.
        "badge": outcome_badge(push, ends) if check or not items else "",
        "may_cancel": may_push and bool(ends[State.WAITING] or ends[State.HELD]),
        "may_retry": may_push and not waits and bool(ends[State.FAILED] or ends[State.HELD]),
        "repair": f"{reverse('admin:robots_push')}?{urlencode({'repair': push.pk})}"
        if check and may_push and differing and not waits
        else "",
        "retries": list(push.retries.all()[:10]),
    }


def _said(through: int, n: int, held: int) -> str:
    words = _("%(done)d of %(n)d portals are through.") % {"done": through, "n": n}
    if held:
        more = ngettext(
            "%(n)d is held up and gets it by itself as soon as it takes it.",
            "%(n)d are held up and get it by themselves as soon as they take it.",
            held,
        )
        words += " " + more % {"n": held}
    return words


def item_badge(item: PushItem) -> SafeString:
    """How a portal's part ended; a check that found something was done all the same. `push` is at hand."""
    if item.push.kind == Push.Kind.CHECK and item.state == State.FAILED and not item.trouble:
        return badge(WARN, _("differs"))
    return badge(TONES[State(item.state)], State(item.state).label)


def _row(item: PushItem) -> dict[str, Any]:
    lines = _LINES[item.push.kind](item)
    to_do = ""
    if item.trouble and item.state in (State.FAILED, State.HELD):
        to_do = next((remark.to_do for remark in standing(item.portal) if remark.to_do), "")
    return {
        "item": item,
        "portal": item.portal,
        "badge": item_badge(item),
        "lines": lines[:LINES_SHOWN],
        "more": max(0, len(lines) - LINES_SHOWN),
        "to_do": to_do,
        "summary": _summary(item),
    }


def _push_lines(item: PushItem) -> list[dict[str, Any]]:
    """What is not as wanted, robot by robot; what is done is told by number."""
    ended = item.state in (State.FAILED, State.HELD, State.CANCELLED)
    planned = {each["code"]: each["action"] for each in item.wanted}
    found = []
    for outcome in item.outcomes if ended else ():
        if not outcome["done"]:
            same = item.trouble and outcome["why"] == item.trouble
            found.append(
                {
                    "code": outcome["code"],
                    # Where the portal took nothing at all, what it was to be is told.
                    "words": action_words(planned.get(outcome["code"], "") if same else outcome["action"]),
                    "why": "" if same else outcome["why"],
                    "to_do": "" if same else advice(outcome["error_code"]),
                }
            )
    return found


def _check_lines(item: PushItem) -> list[dict[str, Any]]:
    words = {
        Drift.MISSING: _("missing"),
        Drift.STALE: _("not as wanted"),
        Drift.LEFT: _("no longer wanted, still there"),
        Drift.FOREIGN: _("there, but not ours"),
        Drift.REFUSED: _("not possible there"),
    }
    return [
        {
            "code": each["code"],
            "words": words.get(each["action"], each["action"]),
            # In the reader's language, where it is one of our own sentences.
            "why": why_of(each["error_code"]) or each["why"],
            "to_do": "",
        }
        for each in item.outcomes
    ]


_LINES: dict[str, Callable[[PushItem], list[dict[str, Any]]]] = {
    Push.Kind.PUSH: _push_lines,
    Push.Kind.CHECK: _check_lines,
}


def _summary(item: PushItem) -> str:
    """`2 add, 1 update`: what was done, or what is to be done."""
    if item.push.kind == Push.Kind.CHECK:
        return _("holds what it should") if item.state == State.DONE else ""
    done = [outcome["action"] for outcome in item.outcomes if outcome["done"]]
    actions = done or [each["action"] for each in item.wanted if item.state in OPEN]
    if not actions and item.state == State.DONE:
        return _("nothing to do")
    return ", ".join(f"{action_words(action)}: {n}" for action, n in Counter(actions).items())


def latest_of(portal: Portal, n: int) -> QuerySet[PushItem]:
    """The portal's newest parts of pushes and checks."""
    return PushItem.objects.filter(portal=portal).select_related("push").order_by("-push_id")[:n]
