"""The page of a robot: describe it, see what a portal would get, publish it, try it, push it."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import BooleanField, Count, ExpressionWrapper, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from portals.panels import INFO, OFF, OK, WARN, badge
from robots import admin_push, admin_trial
from robots.admin_forms import PropertyForm, RobotForm
from robots.admin_formsets import InputFormSet, OutputFormSet
from robots.definition import Definition, definition_of, draft_digest, write_definition
from robots.models import Property, Robot, RobotVersion
from robots.payload import payload_of
from robots.publish import PublishRefused, digest_of, publish, verdict
from robots.removal import bring_back, remove
from robots.rules import check_definition, check_warnings
from robots.rules_properties import MAPS
from robots.texts import in_language
from robots.unpushed import unpushed

PUBLISH = "robots.add_robotversion"


def pretty(value: Any) -> SafeString:
    """JSON with indents, its order kept."""
    return format_html(
        '<pre class="hub-json" tabindex="0">{}</pre>', json.dumps(value, ensure_ascii=False, indent=2)
    )


class PropertyInline(admin.StackedInline):
    model = Property
    form = PropertyForm
    extra = 1
    direction: str
    fieldsets = [
        (None, {"fields": [("type", "identifier", "position"), "name", ("required", "multiple"), "default"]}),
        (
            gettext_lazy("Options and description"),
            {"fields": ["options", "description"], "classes": ["collapse"]},
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Property]:
        rows = super().get_queryset(request).filter(direction=self.direction)
        return rows.order_by("position", "id")


class InputInline(PropertyInline):
    formset = InputFormSet
    direction = Property.Direction.INPUT
    verbose_name = gettext_lazy("input")
    verbose_name_plural = gettext_lazy("inputs (PROPERTIES)")


class OutputInline(PropertyInline):
    """Portals take *required* and *default* of an output too and make nothing of them: they are folded away."""

    formset = OutputFormSet
    fieldsets = [
        (None, {"fields": [("type", "identifier", "position"), "name", "multiple"]}),
        (
            gettext_lazy("Options, description, default"),
            {"fields": ["options", "description", "default", "required"], "classes": ["collapse"]},
        ),
    ]
    direction = Property.Direction.OUTPUT
    verbose_name = gettext_lazy("output")
    verbose_name_plural = gettext_lazy("outputs (RETURN_PROPERTIES)")


class PushedFilter(admin.SimpleListFilter):
    title = gettext_lazy("push")
    parameter_name = "pushed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", _("published or removed, not pushed everywhere"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Robot]) -> QuerySet[Robot]:
        return queryset.filter(unpushed()) if self.value() == "no" else queryset


class RobotAdmin(admin.ModelAdmin):
    form = RobotForm
    inlines = [InputInline, OutputInline]
    list_display = ["code", "shown_name", "application", "standing", "on_portals"]
    list_filter = ["application", "kind", PushedFilter]
    list_select_related = ["application"]
    search_fields = ["code"]
    search_help_text = gettext_lazy("A part of a code or of a name in any language.")
    actions = ["push_robots", "remove_robots"]
    change_form_template = "admin/robots/robot/change_form.html"
    save_on_top = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Robot]:
        there = Q(registrations__pushed_version__isnull=False)
        latest = RobotVersion.objects.filter(robot=OuterRef("pk")).order_by("-number")
        return (
            super()
            .get_queryset(request)
            .prefetch_related("properties")
            .annotate(
                portal_count=Count("registrations", filter=there),
                latest_number=Subquery(latest.values("number")[:1]),
                latest_digest=Subquery(latest.values("digest")[:1]),
                is_unpushed=ExpressionWrapper(unpushed(), BooleanField()),
            )
        )

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        """Names are compared here: JSON is stored escaped, and SQLite knows the case of ASCII only."""
        word = search_term.strip().casefold()
        if not word:
            return queryset, False
        texts = Robot.objects.values_list("pk", "code", "name")
        found = [pk for pk, *said in texts if word in " ".join(_spoken(each) for each in said).casefold()]
        return queryset.filter(pk__in=found), False

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site.admin_view
        own = [
            path("push/", site(admin_push.plan_view), name="robots_push"),
            path("<int:pk>/trial/", site(admin_trial.trial_view), name="robots_robot_trial"),
            path("<int:pk>/duplicate/", site(self.duplicate_view), name="robots_robot_duplicate"),
            path("<int:pk>/remove/", site(self.remove_view), name="robots_robot_remove"),
            path("<int:pk>/restore/", site(self.restore_view), name="robots_robot_restore"),
        ]
        return [*own, *super().get_urls()]

    # What may be edited

    def get_fieldsets(self, request: HttpRequest, obj: Robot | None = None) -> Any:
        if not self._may_write(request, obj):
            shown = ["application", "code", "kind", "shown_name", "subscription", "on_failure", "standing"]
            return [(None, {"fields": [*shown, "compute_shown", "payload"]})]
        first = ["application", ("code", "kind"), "name", "description", "subscription", "on_failure"]
        sections: list[Any] = [
            (None, {"fields": first}),
            (_("How it computes"), {"fields": ["compute_type", "returns", "log", "function"]}),
            (
                _("Where it shows"),
                {"fields": ["document_type", "include", "exclude", "auth_user_id"], "classes": ["collapse"]},
            ),
        ]
        if obj is not None:
            sections.append((_("What a portal gets"), {"fields": ["payload"], "classes": ["collapse"]}))
        if request.user.has_perm(PUBLISH):
            sections.append((_("Publish"), {"fields": ["publish_note"]}))
        return sections

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        # Fields of the form that are none of the model would not be found by the admin's factory.
        fixed = self.get_readonly_fields(request, obj)
        kwargs["fields"] = [name for name in RobotForm.Meta.fields if name not in fixed]
        return super().get_form(request, obj, change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Robot | None = None) -> Any:
        shown = ["payload", "shown_name", "standing", "compute_shown"]
        if obj is None:
            return shown
        # Placed robots are known by their code.
        fixed = ["application", "code"] if obj.versions.exists() else ["application"]
        return [*fixed, *shown]

    def get_inline_instances(self, request: HttpRequest, obj: Robot | None = None) -> Any:
        return super().get_inline_instances(request, obj) if self._may_write(request, obj) else []

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:
        together = request.__dict__.setdefault("robot_formsets", [])
        kwargs = super().get_formset_kwargs(request, obj, inline, prefix)
        return {**kwargs, "together": together, "last": isinstance(inline, OutputInline)}

    def has_delete_permission(self, request: HttpRequest, obj: Robot | None = None) -> bool:
        # What was published stays for those who read the log; it is removed, not deleted.
        if obj is not None and obj.versions.exists():
            return False
        return super().has_delete_permission(request, obj)

    def _may_write(self, request: HttpRequest, obj: Robot | None) -> bool:
        return self.has_change_permission(request, obj) if obj else self.has_add_permission(request)

    # Saving goes through the definition, as a catalog file does

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        held = Robot.objects.get(pk=obj.pk) if change else None
        robot, obj.was_changed = write_definition(obj.application, obj.admin_definition, held)
        obj.pk = robot.pk
        obj._state.adding = False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Properties were written with their robot."""

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        changed = [name for name in form.changed_data if name != "publish_note"]
        for formset in formsets or ():
            if any(each.has_changed() for each in formset.forms):
                changed.append(str(formset.direction.label))
        return [{"added": {}}] if add else [{"changed": {"fields": changed}}]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        return self._published(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self._published(request, obj) or super().response_change(request, obj)

    def _published(self, request: HttpRequest, obj: Any) -> HttpResponse | None:
        """The answer where *Publish* was pressed, None where it was not."""
        if "_publish" not in request.POST:
            return None
        if not request.user.has_perm(PUBLISH):
            raise PermissionDenied
        robot = Robot.objects.get(pk=obj.pk)
        former = robot.versions.first()
        try:
            version = publish(robot, request.user.get_username(), request.POST.get("publish_note", ""))
        except PublishRefused as refused:
            for problem in refused.problems:
                messages.error(request, str(problem))
            return HttpResponseRedirect(reverse("admin:robots_robot_change", args=[robot.pk]))
        if version is None:
            messages.info(
                request, _("Nothing changed since version %(n)d.") % {"n": former.number if former else 0}
            )
        else:
            self.log_change(request, robot, _("published version %(n)d") % {"n": version.number})
            messages.success(request, _("Published as version %(n)d.") % {"n": version.number})
            found = verdict(former, version) if former else None
            for reason in found.reasons if found else []:
                messages.warning(request, _("Breaking: %(reason)s") % {"reason": reason})
            if found and found.breaking:
                messages.warning(request, found.meaning)
        return HttpResponseRedirect(reverse("admin:robots_robot_change", args=[robot.pk]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        robot = self.get_object(request, object_id)
        # A removed robot is brought back first; `publish` refuses it.
        publishable = robot is None or robot.removed_at is None
        context = {**(extra_context or {}), "may_publish": publishable and request.user.has_perm(PUBLISH)}
        if robot is not None:
            definition = definition_of(robot)
            context |= {
                "may_push": robot.latest_number is not None and request.user.has_perm(admin_push.PUSH),
                "warnings": [] if check_definition(definition) else _warnings(definition),
                "standing": self.standing(robot),
                "drawn_from": draft_digest(robot),
                "trial_form": admin_trial.form_for(request, robot, definition),
            }
        return super().change_view(request, object_id, form_url, context)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        context = {**(extra_context or {}), "may_publish": request.user.has_perm(PUBLISH)}
        return super().add_view(request, form_url, context)

    def duplicate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A copy of the draft under another code."""
        robot = self.get_object(request, str(pk))
        if robot is None or request.method != "POST" or not self.has_add_permission(request):
            raise PermissionDenied
        taken = set(Robot.objects.filter(application=robot.application).values_list("code", flat=True))
        numbers = (f"{robot.code[:120]}_{n}" for n in range(2, len(taken) + 3))
        code = next(code for code in numbers if code not in taken)
        made, _changed = write_definition(robot.application, {**definition_of(robot), "code": code})
        self.log_addition(request, made, [{"added": {}}])
        messages.success(request, _("Duplicated as %(code)s.") % {"code": code})
        return HttpResponseRedirect(reverse("admin:robots_robot_change", args=[made.pk]))

    def remove_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        robot = self._posted_to(request, pk)
        if remove(robot):
            self.log_change(request, robot, _("removed"))
            words = _("“%(code)s” is removed. Push it now, so that portals delete it.")
            messages.success(request, words % {"code": robot.code})
        return HttpResponseRedirect(reverse("admin:robots_robot_change", args=[robot.pk]))

    def restore_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        robot = self._posted_to(request, pk)
        if bring_back(robot):
            self.log_change(request, robot, _("brought back"))
            words = _("“%(code)s” is back. Portals that deleted it get it with the next push.")
            messages.success(request, words % {"code": robot.code})
        return HttpResponseRedirect(reverse("admin:robots_robot_change", args=[robot.pk]))

    def _posted_to(self, request: HttpRequest, pk: int) -> Robot:
        robot = self.get_object(request, str(pk))
        if robot is None or request.method != "POST" or not self.has_change_permission(request, robot):
            raise PermissionDenied
        return robot

    # The list

    def get_actions(self, request: HttpRequest) -> Any:
        # Most robots were published, and then nobody may delete them: *Remove* stands in its place.
        return {
            name: each for name, each in super().get_actions(request).items() if name != "delete_selected"
        }

    @admin.action(permissions=["view"], description=gettext_lazy("Push to portals"))
    def push_robots(self, request: HttpRequest, chosen: QuerySet[Robot]) -> HttpResponse:
        query = urlencode([("robot", robot.pk) for robot in chosen])
        return HttpResponseRedirect(f"{reverse('admin:robots_push')}?{query}")

    @admin.action(
        permissions=["change"], description=gettext_lazy("Remove: the next push deletes them on portals")
    )
    def remove_robots(self, request: HttpRequest, chosen: QuerySet[Robot]) -> None:
        rows = [row for row in chosen if remove(row)]
        for row in rows:
            self.log_change(request, row, _("removed"))
        words = ngettext("%(n)d robot removed.", "%(n)d robots removed.", len(rows)) % {"n": len(rows)}
        self.message_user(request, words + " " + _("Push them now, so that portals delete them."))

    @admin.display(description=gettext_lazy("name"))
    def shown_name(self, robot: Robot) -> str:
        return in_language(robot.name)

    @admin.display(description=gettext_lazy("on portals"), ordering="portal_count")
    def on_portals(self, robot: Any) -> SafeString:
        address = reverse("admin:robots_registration_changelist") + f"?robot__id__exact={robot.pk}"
        return format_html('<a href="{}">{}</a>', address, robot.portal_count)

    @admin.display(description=gettext_lazy("state"))
    def standing(self, robot: Any) -> SafeString:
        if robot.removed_at:
            if robot.is_unpushed:
                return badge(WARN, _("removed: the next push deletes it"))
            return badge(OFF, _("removed, on no portal"))
        if robot.latest_number is None:
            return badge(INFO, _("never published"))
        if robot.latest_digest != digest_of(definition_of(robot)):
            return badge(WARN, _("changed since version %(n)d") % {"n": robot.latest_number})
        if robot.is_unpushed:
            return badge(INFO, _("version %(n)d, not pushed everywhere") % {"n": robot.latest_number})
        return badge(OK, _("version %(n)d") % {"n": robot.latest_number})

    @admin.display(description=gettext_lazy("how it computes"))
    def compute_shown(self, robot: Robot) -> SafeString:
        return pretty(robot.compute)

    @admin.display(description=gettext_lazy("payload"))
    def payload(self, robot: Robot) -> SafeString:
        return pretty(payload_of(definition_of(robot)))


def _warnings(definition: Definition) -> list[str]:
    """As the page words them: beside an input's id, or a field's label."""
    waiting = capfirst(str(Robot._meta.get_field("subscription").verbose_name))
    labels = {"subscription": waiting, "filter": _("Shown for")}
    found = []
    for warning in check_warnings(definition):
        name, *rest = warning.path
        place = definition[str(name)][rest[0]]["id"] if name in MAPS and rest else labels.get(str(name), name)
        found.append(f"{place}: {warning.message}")
    return found


def _spoken(text: Any) -> str:
    """A text in all its languages."""
    return " ".join(map(str, text.values())) if isinstance(text, dict) else str(text)
