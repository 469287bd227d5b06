"""Every address there is (design §3)."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from b24app import api
from b24app.health import healthz, readyz
from b24app.metrics import metrics
from portals.connect import ConnectView, OAuthView
from portals.pages import AppView, EventsView, InstallView
from robots.push import want_all

b24 = [
    # The handler itself is answered before any of this: b24app/lean.py.
    path("", AppView.as_view(after=want_all), name="app"),
    path("install/", InstallView.as_view(after=want_all), name="install"),
    path("events/", EventsView.as_view(after=want_all), name="events"),
    path("connect/", ConnectView.as_view(), name="connect"),
    path("oauth/", OAuthView.as_view(after=want_all), name="oauth"),
]

urlpatterns = [
    path("b24/<slug:slug>/", include((b24, "b24"))),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    *api.urls(),
]
