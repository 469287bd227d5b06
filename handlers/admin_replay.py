"""Replay, release and acknowledgement from the admin: what it would mean is shown first, then a person says why.

`handlers.replay` does the work and keeps the rules (one token, one result for ever); here it is asked for,
call by call, and each answer is told.
"""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from handlers import timeline
from handlers.advice import is_late
from handlers.models import Invocation, State
from handlers.replay import CannotReplay, acknowledge, release, replay
from portals.clock import db_now
from portals.row_number import is_row_number

REPLAY = "handlers.add_invocation"
RELEASE = "handlers.change_invocation"
# A person decides about so many at a stroke; more are taken in further strokes.
AT_ONCE = 1000
LISTED = 20

DEEDS: dict[str, tuple[str, Callable[[Invocation, str, str], Invocation]]] = {
    "replay": (REPLAY, replay),
    "release": (RELEASE, release),
    "acknowledge": (REPLAY, acknowledge),
}


class WhyForm(forms.Form):
    why = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=500,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=gettext_lazy(
            "Kept with the call. A release writes it into the process's log on the portal."
        ),
    )


def decide_view(request: HttpRequest, deed: str) -> HttpResponse:
    """GET with `call` ids shows what would happen; POST with `why` does it."""
    permission, _act = DEEDS[deed]
    if not request.user.has_perm(permission):
        raise PermissionDenied
    given = request.POST if request.method == "POST" else request.GET
    ids = [int(text) for text in given.getlist("call") if is_row_number(text)][:AT_ONCE]
    calls = Invocation.objects.filter(pk__in=ids).select_related("portal", "version").order_by("id")
    form = WhyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        return _do(request, deed, calls, form.cleaned_data["why"])
    return _ask(request, deed, calls, form)


def about(deed: str) -> str:
    """What the deed does, in a sentence."""
    return {
        "replay": _("A new run of each call begins. Where a result is stored, that one is sent again."),
        "release": _("Each process goes on with empty values and your words in its log."),
        "acknowledge": _(
            "Each call leaves the list of those that need a person. Nothing is computed or sent."
        ),
    }[deed]


def title_of(deed: str) -> str:
    return {"replay": _("Replay"), "release": _("Release"), "acknowledge": _("Acknowledge")}[deed]


def still_waiting() -> Q:
    """Failed calls whose process waits for an answer: an acknowledgement gives it none."""
    return Q(state=State.FAILED, waits=True) & (Q(deadline=None) | Q(deadline__gt=db_now()))


def _ask(request: HttpRequest, deed: str, calls: QuerySet[Invocation], form: WhyForm) -> HttpResponse:
    found = list(calls)
    now = db_now()
    context = {
        **admin.site.each_context(request),
        "opts": Invocation._meta,
        "title": title_of(deed),
        "about": about(deed),
        "calls": found[:LISTED],
        "more": max(0, len(found) - LISTED),
        "ids": [call.pk for call in found],
        "portals": sorted({str(call.portal) for call in found}),
        "late": sum(call.deadline is not None and call.deadline <= now for call in found),
        "not_failed": sum(call.state != State.FAILED for call in found),
        "waiting": calls.filter(still_waiting()).count() if deed == "acknowledge" else 0,
        "form": form,
        "number": len(found),
        "back": _back(request),
    }
    return TemplateResponse(request, "admin/handlers/invocation/decide.html", context)


def _back(request: HttpRequest) -> str:
    """The log's filter that the calls were chosen under: whoever decided comes back to it."""
    return (request.POST if request.method == "POST" else request.GET).get("back", "")[:2000]


def _do(request: HttpRequest, deed: str, calls: QuerySet[Invocation], why: str) -> HttpResponse:
    _permission, act = DEEDS[deed]
    by = request.user.get_username()
    done: list[Invocation] = []
    refused: dict[str, int] = {}
    for call in calls.defer(None).select_related("portal", "version", "stored"):
        try:
            done.append(act(call, by, why))
        except CannotReplay as error:
            refused[str(error)] = refused.get(str(error), 0) + 1
    if done:
        if deed == "acknowledge":
            words = ngettext("%(n)d call is acknowledged.", "%(n)d calls are acknowledged.", len(done))
        else:
            words = ngettext("%(n)d call is on its way.", "%(n)d calls are on their way.", len(done))
        messages.success(request, words % {"n": len(done)})
    for reason, n in refused.items():
        words = ngettext("%(n)d call not: %(reason)s", "%(n)d calls not: %(reason)s", n)
        messages.warning(request, words % {"n": n, "reason": reason})
    back = _back(request)
    if len(done) == 1 and not refused and not back:
        return HttpResponseRedirect(reverse("admin:handlers_invocation_change", args=[done[0].pk]))
    log = reverse("admin:handlers_invocation_changelist")
    return HttpResponseRedirect(f"{log}?{QueryDict(back).urlencode()}" if back else log)


def decide_link(deed: str, ids: list[int], back: str = "") -> str:
    """Where a person decides about these calls; `back`: the log's filter to come back to."""
    told = [("call", str(pk)) for pk in ids] + ([("back", back)] if back else [])
    return f"{reverse(f'admin:handlers_{deed}')}?{urlencode(told)}"


def links_for(request: HttpRequest, call: Invocation) -> list[dict[str, str]]:
    """The buttons above a call's story, for what this person may do and what makes sense for it."""
    if call.followed_at is not None:
        # What becomes of it is decided about at its latest run.
        return []
    over = call.state in (State.FAILED, State.DELIVERED, State.REFUSED)
    offered = {
        "replay": over and not is_late(call),
        "release": call.state == State.FAILED and call.waits and not is_late(call) and not call.result,
        "acknowledge": timeline.needs_a_person(call),
    }
    return [
        {"href": decide_link(deed, [call.pk]), "words": title_of(deed)}
        for deed, sensible in offered.items()
        if sensible and request.user.has_perm(DEEDS[deed][0])
    ]
