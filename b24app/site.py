"""The admin site: stock admin with our name on it."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.utils.translation import gettext_lazy as _


class HubAdminConfig(AdminConfig):
    default_site = "b24app.site.HubAdminSite"


class HubAdminSite(AdminSite):
    site_header = _("Robot hub")
    site_title = _("Robot hub")
    index_title = _("What needs a person")
