"""What every resource of the audit API has in common: reading alone, by Django's view permissions.

`portals`, `robots` and `handlers` build their resources on it (`api.py` of each); `b24app/api.py` gives them
their addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import F, QuerySet
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import DjangoModelPermissions
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ReadOnlyModelViewSet

from portals.api_filters import Filters
from portals.api_pages import NewestFirst

READING = ["get", "head", "options"]


class MayView(DjangoModelPermissions):
    """Signed in, and holding Django's own *view* permission for the model."""

    _view = ["%(app_label)s.view_%(model_name)s"]
    perms_map = {"GET": _view, "HEAD": _view, "OPTIONS": _view}


class ReadOnly:
    """Refuses what writes before it is asked who wants to: 405 for everybody."""

    http_method_names: Sequence[str] = READING

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if (request.method or "").lower() not in READING:
            raise MethodNotAllowed(request.method or "")
        super().initial(request, *args, **kwargs)  # type: ignore[misc]  # the view this is mixed into


@method_decorator(never_cache, name="dispatch")
class Resource(ReadOnly, ReadOnlyModelViewSet[Any]):
    """A list, newest first, and one page a row.

    `filters` are the list's query parameters; `detail_serializer_class` shows one row (default: as in the
    list); `one_queryset` reads it.
    """

    permission_classes = [MayView]
    pagination_class = NewestFirst
    filters: ClassVar[type[Filters]]
    detail_serializer_class: ClassVar[type[BaseSerializer[Any]] | None] = None
    one_queryset: ClassVar[QuerySet[Any] | None] = None
    number = F("id")

    def get_queryset(self) -> QuerySet[Any]:
        if self.action == "retrieve" and self.one_queryset is not None:
            return self.one_queryset.all()
        return super().get_queryset()

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        if self.action == "retrieve" and self.detail_serializer_class is not None:
            return self.detail_serializer_class
        return super().get_serializer_class()

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """A list narrowed by the request. Raises ValidationError (400) that names what is wrong."""
        if self.action == "retrieve":
            return queryset
        filters = self.filters.of(self.request, NewestFirst.parameters)
        self.number = self.number_of(filters)
        return filters.narrowed(queryset)

    def number_of(self, filters: Filters) -> F:
        """What a list so narrowed is in the order of: as the index has it that it is read by."""
        return F("id")
