"""The read-only audit API: where each room's resources are, its schema and its page of documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, include, path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiJsonRenderer2
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import APIRootView, DefaultRouter
from rest_framework.views import APIView

from b24app import api_docs
from b24app.access import is_operator
from b24app.api_tokens import TokenAuthentication
from handlers.api import Calls, RefusedCalls, Sendings
from portals.api import Applications, Portals
from portals.api_reading import ReadOnly
from robots.api import Registrations, Robots, Versions

RESOURCES = {
    "applications": Applications,
    "portals": Portals,
    "robots": Robots,
    "versions": Versions,
    "registrations": Registrations,
    "calls": Calls,
    "sendings": Sendings,
    "refused-calls": RefusedCalls,
}


class TokenScheme(OpenApiAuthenticationExtension):
    """Its words in the schema; found by being imported."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token made on the admin's page “API tokens”.",
        }


@method_decorator(never_cache, name="dispatch")
class Root(ReadOnly, APIRootView):
    """The resources there are."""

    permission_classes = [IsAuthenticated]


class MayReadSchema(BasePermission):
    """Operators as everywhere (loopback, staff, METRICS_TOKEN), and every program that may read anything."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return is_operator(request._request) or bool(request.user.is_authenticated)


class Schema(ReadOnly, APIView):
    """The OpenAPI schema, in JSON."""

    schema = None
    permission_classes = [MayReadSchema]
    renderer_classes = [OpenApiJsonRenderer, OpenApiJsonRenderer2]

    def get(self, request: Request) -> Response:
        return Response(api_docs.schema())

    def perform_authentication(self, request: Request) -> None:
        """Left to the permission: METRICS_TOKEN is a bearer too, and no API token."""


@never_cache
@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The schema as a page of our own, which fetches nothing from anywhere but this hub."""
    if not is_operator(request):
        return HttpResponse(
            _("This page is for this machine, for staff, or with METRICS_TOKEN.") + "\n",
            status=403,
            content_type="text/plain; charset=utf-8",
        )
    from django.contrib import admin

    context = {
        **admin.site.each_context(request),
        "title": _("Audit API"),
        "groups": api_docs.groups(),
        "is_nav_sidebar_enabled": False,
    }
    return TemplateResponse(request, "b24app/api_docs.html", context)


def only_api(endpoints: list[tuple[str, str, str, Callable[..., Any]]], **kwargs: Any) -> list[Any]:
    """A hook of drf-spectacular: the schema is of the audit API, whatever else answers on this hub."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]


def urls() -> list[URLPattern | URLResolver]:
    router = DefaultRouter()
    router.include_format_suffixes = False
    router.APIRootView = Root
    for name, resource in RESOURCES.items():
        router.register(name, resource, basename=name)
    return [
        path("api/v1/", include(router.urls)),
        path("api/schema/", Schema.as_view(), name="api-schema"),
        path("api/docs/", docs, name="api-docs"),
    ]
