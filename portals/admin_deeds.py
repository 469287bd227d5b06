"""What a person does to portals from their list or page: pause, resume, forget."""

from __future__ import annotations

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from portals.forget import forget, forgettable
from portals.models import Portal
from portals.pause import pause, resume

LISTED = 50


@admin.action(permissions=["change"], description=gettext_lazy("Pause: take calls in, send nothing"))
def pause_portals(page: admin.ModelAdmin, request: HttpRequest, chosen: QuerySet[Portal]) -> None:
    done = pause(chosen)
    for portal in chosen:
        page.log_change(request, portal, _("paused"))
    words = ngettext("%(n)d portal paused.", "%(n)d portals paused.", done) % {"n": done}
    page.message_user(request, words, messages.SUCCESS)


@admin.action(permissions=["change"], description=gettext_lazy("Resume: send what waits"))
def resume_portals(page: admin.ModelAdmin, request: HttpRequest, chosen: QuerySet[Portal]) -> None:
    done = resume(chosen)
    for portal in chosen:
        page.log_change(request, portal, _("resumed"))
    words = ngettext("%(n)d portal resumed.", "%(n)d portals resumed.", done) % {"n": done}
    page.message_user(request, words, messages.SUCCESS)


@admin.action(permissions=["change"], description=gettext_lazy("Forget: of portals that are gone"))
def forget_portals(
    page: admin.ModelAdmin, request: HttpRequest, chosen: QuerySet[Portal]
) -> HttpResponse | None:
    """Says first what it means; done when confirmed."""
    gone = list(forgettable(chosen).select_related("application"))
    if not gone:
        words = _(
            "Only portals where the application is uninstalled, or that were deleted, can be forgotten."
        )
        page.message_user(request, words, messages.WARNING)
        return None
    if request.POST.get("confirmed"):
        done = [portal for portal in gone if forget(portal)]
        for portal in done:
            page.log_change(request, portal, _("forgotten"))
        words = ngettext("%(n)d portal forgotten.", "%(n)d portals forgotten.", len(done)) % {"n": len(done)}
        page.message_user(request, words, messages.SUCCESS)
        return None
    context = {
        **page.admin_site.each_context(request),
        "opts": Portal._meta,
        "title": _("Forget portals"),
        "portals": gone[:LISTED],
        "more": max(0, len(gone) - LISTED),
        "number": len(gone),
        "others": chosen.count() - len(gone),
        "ids": [portal.pk for portal in gone],
        "checkbox": helpers.ACTION_CHECKBOX_NAME,
        "from_page": request.POST.get("from_page", ""),
    }
    return TemplateResponse(request, "admin/portals/portal/forget.html", context)
