"""The admin site: stock admin with our name on it, and a first page that says what needs a person."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _


class HubAdminConfig(AdminConfig):
    default_site = "b24app.site.HubAdminSite"


class HubAdminSite(AdminSite):
    site_header = _("Robot hub")
    site_title = _("Robot hub")
    index_title = _("What needs a person")
    # `/` leads to the admin itself.
    site_url = None

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        # Here, since models are not there yet when the site is made.
        from b24app import dashboard

        told = dashboard.open_alarms(request.user)
        context = {
            "alarms": told,
            "needs": dashboard.untold(dashboard.needs(request.user), told),
            "day": dashboard.day() if request.user.has_perm("handlers.view_invocation") else None,
            **(extra_context or {}),
        }
        return super().index(request, context)
