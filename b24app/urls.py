"""Every address there is (design §3)."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from b24app.health import healthz, readyz
from b24app.metrics import metrics

urlpatterns = [
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
]
