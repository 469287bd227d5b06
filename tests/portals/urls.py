"""The addresses of this room alone, and where the hook after an installation leads in these tests."""

from django.contrib import admin
from django.urls import path

from portals.connect import ConnectView, OAuthView
from portals.pages import AppView, EventsView, InstallView

installed = []

urlpatterns = [
    path("admin/", admin.site.urls),
    path("b24/<slug:slug>/install/", InstallView.as_view(after=installed.append)),
    path("b24/<slug:slug>/events/", EventsView.as_view(after=installed.append)),
    path("b24/<slug:slug>/connect/", ConnectView.as_view()),
    path("b24/<slug:slug>/oauth/", OAuthView.as_view(after=installed.append)),
    path("b24/<slug:slug>/", AppView.as_view(after=installed.append)),
]
