"""API tokens in the admin: made there, shown once, deleted there; never read back and never changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Field, ForeignKey, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from b24app.admin_people import NamedSplitDateTime
from b24app.models import ApiToken
from portals.panels import OFF, OK, badge


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    list_display = ["name", "user", "in_force", "created_at", "last_used_day", "expires_at"]
    list_select_related = ["user"]
    search_fields = ["name"]
    fields = ["name", "user", "expires_at"]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        found = super().get_queryset(request)
        return found if request.user.is_superuser else found.filter(user=request.user)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return ["name", "user", "expires_at"] if obj is None else [*self.list_display]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return [] if obj is None else [*self.list_display]

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        if db_field.name == "user":
            # A token of somebody else's would show its maker what only that person may see.
            people = get_user_model().objects.filter(is_active=True)
            kwargs["queryset"] = (
                people if request.user.is_superuser else people.filter(pk__in=[request.user.pk])
            )
            kwargs["initial"] = request.user.pk
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: Any, **kwargs: Any) -> Any:
        if db_field.name == "expires_at":
            kwargs["widget"] = NamedSplitDateTime()
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "user" and field is not None:
            # No links to accounts from here: this page is about the token.
            for link in ("can_add_related", "can_change_related", "can_delete_related", "can_view_related"):
                setattr(field.widget, link, False)
        return field

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        # Whichever way it is saved, what follows is the token.
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**one_button, **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        obj.shown_once = obj.make()
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: ApiToken, post_url_continue: Any = None
    ) -> HttpResponse:
        """The token, in this answer and nowhere else: a message would travel in a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("The token of “%(name)s”") % {"name": obj.name},
            "token": obj.shown_once,
            "may_list": self.has_view_permission(request),
        }
        answer = TemplateResponse(request, "admin/b24app/apitoken/made.html", context)
        answer["Cache-Control"] = "no-store"
        return answer

    @admin.display(description=gettext_lazy("state"))
    def in_force(self, token: ApiToken) -> SafeString:
        if not token.user.is_active:
            return badge(OFF, _("the account is closed"))
        if token.expires_at is not None and token.expires_at <= timezone.now():
            return badge(OFF, _("expired"))
        return badge(OK, _("in force"))
