"""Users and groups: the stock pages, with choices as boxes that need no script and have their names beside them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminSplitDateTime
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import ManyToManyField
from django.utils.translation import gettext_lazy


class NamedSplitDateTime(AdminSplitDateTime):
    """The stock two boxes, each told by name to those who do not see the words beside them."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        for box, name in zip(self.widgets, (gettext_lazy("Date"), gettext_lazy("Time")), strict=True):
            box.attrs["aria-label"] = name


def _boxes(db_field: ManyToManyField[Any, Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Choices as boxes in a list that scrolls: the stock `filter_horizontal` is made by a script alone."""
    if db_field.remote_field.model is Permission:
        kwargs["queryset"] = Permission.objects.select_related("content_type").order_by(
            "content_type__app_label", "content_type__model", "codename"
        )
    return {**kwargs, "widget": forms.CheckboxSelectMultiple(attrs={"class": "hub-boxes"})}


class HubGroupAdmin(GroupAdmin):
    """What a group may do, as Django's own permissions."""

    filter_horizontal = ()

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        return _told(
            super().formfield_for_manytomany(db_field, request, **_boxes(db_field, kwargs)), db_field
        )


class HubUserAdmin(UserAdmin):
    """People. When they came is told, not edited."""

    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        return _told(
            super().formfield_for_manytomany(db_field, request, **_boxes(db_field, kwargs)), db_field
        )


def _told(field: Any, db_field: Any) -> Any:
    """Without the stock sentence about Ctrl and Cmd, which is of another widget."""
    if field is not None:
        field.help_text = db_field.help_text
    return field


admin.site.unregister(Group)
admin.site.unregister(User)
admin.site.register(Group, HubGroupAdmin)
admin.site.register(User, HubUserAdmin)
