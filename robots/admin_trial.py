"""A test run from the robot's page: the draft computed once, and no result is sent to a portal.

It reads dates as the portal that is chosen does, so that a call's input gives here what it gave there. Only a
sandbox's portal also lends its REST and its settings: robot code may change what it likes there.
"""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from portals import transport
from portals.client import PortalClient
from portals.models import Application, Portal
from portals.panels import BAD, OK, badge
from robots.definition import Definition, definition_of
from robots.models import Robot
from robots.rules import check_definition
from robots.runner import RunnerUnavailable
from robots.texts import in_language
from robots.trial import run_trial

TRY = "robots.change_robot"
# Seconds that REST in a test run may wait for the portal's request limit.
PATIENCE = 5.0


class PortalField(forms.ModelChoiceField):
    def label_from_instance(self, portal: Portal) -> str:
        return (
            _("%(portal)s (sandbox: REST and settings too)") % {"portal": portal}
            if lends(portal)
            else str(portal)
        )


class TrialForm(forms.Form):
    """A field for each input, made from the definition; values go in as a portal would send them."""

    def __init__(self, definition: Definition, application: Application, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.definition = definition
        self.fields["portal"] = PortalField(
            Portal.objects.filter(application=application, forgotten_at=None),
            required=False,
            label=_("As on portal"),
            empty_label=_("none: time zone UTC"),
            help_text=_("Its time zone and date format are used; a sandbox also answers call.portal."),
        )
        for item in definition["properties"]:
            self.fields[f"in_{item['id']}"] = _field(item)

    def inputs(self) -> dict[str, Any]:
        """Raw, as `properties` of a handler call."""
        found: dict[str, Any] = {}
        for item in self.definition["properties"]:
            text = self.cleaned_data.get(f"in_{item['id']}") or ""
            if not text:
                continue
            found[item["id"]] = text.splitlines() if item["multiple"] else text
        return found


def _field(item: dict[str, Any]) -> forms.Field:
    label = in_language(item["name"]) or item["id"]
    about = ", ".join(
        part
        for part in (
            item["id"],
            item["type"],
            _("required") if item["required"] else "",
            _("a line each") if item["multiple"] else "",
        )
        if part
    )
    default = item["default"]
    initial = "\n".join(map(str, default)) if isinstance(default, list) else default
    common: dict[str, Any] = {"label": label, "help_text": about, "required": False, "initial": initial}
    if item["multiple"]:
        return forms.CharField(widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}), **common)
    if item["type"] == "select":
        options = [(value, in_language(text)) for value, text in item["options"].items()]
        return forms.ChoiceField(choices=[("", "–"), *options], **common)
    if item["type"] == "bool":
        return forms.ChoiceField(choices=[("", "–"), ("Y", _("yes")), ("N", _("no"))], **common)
    if item["type"] == "text":
        return forms.CharField(
            strip=False, widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}), **common
        )
    return forms.CharField(strip=False, widget=forms.TextInput(attrs={"class": "vTextField"}), **common)


def lends(portal: Portal) -> bool:
    """Whether a test run may ask this portal and read its settings."""
    return portal.state == Portal.State.INSTALLED and transport.is_sandbox(portal.client_endpoint)


def form_for(request: HttpRequest, robot: Robot, definition: Definition) -> TrialForm | None:
    """The empty form for the robot's own page; None where this person may not try it."""
    if not request.user.has_perm(TRY) or check_definition(definition):
        return None
    return TrialForm(definition, robot.application)


def trial_view(request: HttpRequest, pk: int) -> HttpResponse:
    """GET shows the form; POST computes and shows values, log, time and the exact `event.send`."""
    if not request.user.has_perm(TRY):
        raise PermissionDenied
    robot = Robot.objects.select_related("application").filter(pk=pk).first()
    if robot is None:
        raise Http404
    definition = definition_of(robot)
    problems = check_definition(definition)
    form = TrialForm(definition, robot.application, request.POST or None)
    outcome = None
    if request.method == "POST" and form.is_valid() and not problems:
        outcome = _run(definition, form.inputs(), form.cleaned_data["portal"])
    return TemplateResponse(
        request,
        "admin/robots/robot/trial.html",
        {
            **admin.site.each_context(request),
            "opts": Robot._meta,
            "title": _("Test run of %(code)s") % {"code": robot.code},
            "robot": robot,
            "form": form,
            "problems": problems,
            "outcome": outcome,
        },
    )


def _as_on(portal: Portal | None) -> dict[str, Any]:
    """What a test run takes from a portal."""
    if portal is None:
        return {}
    taken: dict[str, Any] = {
        "zone": portal.time_zone,
        "date_format": portal.date_format,
        "domain": portal.domain,
        "member_id": portal.member_id,
    }
    if lends(portal):
        taken["rest"] = PortalClient(portal, person=True, patience=PATIENCE).call
        taken["settings"] = {setting.name: setting.value for setting in portal.settings.all()}
    return taken


def _run(definition: Definition, inputs: dict[str, Any], portal: Portal | None) -> dict[str, Any]:
    try:
        outcome = run_trial(definition, inputs, **_as_on(portal))
    except RunnerUnavailable as error:
        return {"badge": badge(BAD, _("the runner could not start")), "sentence": str(error)}
    sent: dict[str, Any] = {"EVENT_TOKEN": "…", "RETURN_VALUES": outcome.values}
    if outcome.log:
        sent["LOG_MESSAGE"] = outcome.log
    waits = definition["subscription"] != "no_wait"
    return {
        "badge": badge(OK, _("computed")) if outcome.ok else badge(BAD, _("failed")),
        "sentence": outcome.sentence,
        "values": outcome.values,
        "log": outcome.log,
        "lines": outcome.lines,
        "error": outcome.error,
        "seconds": number_format(outcome.seconds, decimal_pos=3),
        "sent": json.dumps(sent, ensure_ascii=False, indent=2) if outcome.ok and waits else "",
    }
