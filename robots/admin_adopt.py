"""Taking over a code that other software registered under our application: shown what it means, then ordered."""

from __future__ import annotations

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from robots.admin_push import PUSH
from robots.models import ForeignCode, Robot
from robots.push_order import order, planned


def adopt_view(request: HttpRequest, pk: int) -> HttpResponse:
    """GET says what adopting means; POST orders a push of our robot of that code over what is there."""
    if not request.user.has_perm(PUSH):
        raise PermissionDenied
    found = get_object_or_404(ForeignCode.objects.select_related("portal__application"), pk=pk)
    robot = Robot.objects.filter(
        application=found.portal.application_id, code=found.code, removed_at=None, versions__isnull=False
    ).first()
    if request.method == "POST" and robot is not None:
        plans = planned([found.portal], [robot], adopt=[robot.code])
        push = order(plans, request.user.get_username(), adopt=[robot.code])
        if push is not None:
            messages.success(request, _("Adopting %(code)s is on its way.") % {"code": found.code})
            return HttpResponseRedirect(reverse("admin:robots_push_change", args=[push.pk]))
        messages.info(request, _("There was nothing to push."))
        return HttpResponseRedirect(reverse("admin:robots_foreigncode_changelist"))
    context = {
        **admin.site.each_context(request),
        "opts": ForeignCode._meta,
        "title": _("Adopt %(code)s") % {"code": found.code},
        "found": found,
        "robot": robot,
    }
    return TemplateResponse(request, "admin/robots/robot/adopt.html", context)
