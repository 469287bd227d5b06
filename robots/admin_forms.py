"""The form of a robot: what is typed becomes a definition, and the rules' problems find their fields."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from robots.admin_fields import (
    DOCUMENTS,
    DataListInput,
    ExpressionsArea,
    FilterSideField,
    LanguagesField,
    OptionsField,
    PartsField,
    kept_string,
)
from robots.compute import compute_type_names, handler_names
from robots.definition import Definition, normal
from robots.models import Property, Robot
from robots.problem import Problem
from robots.rules import WRONG_CODE
from robots.rules_properties import WRONG_ID
from robots.value_types import TYPES

SIDES = ("include", "exclude")
_RETURNS_LINE = re.compile(r"\s*([A-Za-z0-9_]+)\s*=\s*(.+?)\s*")


class RobotForm(forms.ModelForm):
    """`definition()` is what the person typed; properties come from the two formsets."""

    name = LanguagesField(label=gettext_lazy("Name"), required=False)
    description = LanguagesField(label=gettext_lazy("Description"), required=False, long=True)
    document_type = PartsField(
        label=gettext_lazy("Document type"),
        required=False,
        widget=DataListInput(DOCUMENTS),
        help_text=gettext_lazy(
            "Which fields the settings form offers: module, object, type. Where it shows is the filter's."
        ),
    )
    include = FilterSideField(
        label=gettext_lazy("Shown for"), help_text=gettext_lazy("Nothing ticked: shown everywhere.")
    )
    exclude = FilterSideField(label=gettext_lazy("Not shown for"))
    compute_type = forms.ChoiceField(label=gettext_lazy("Computed by"), required=False)
    function = forms.CharField(
        label=gettext_lazy("Python function"),
        required=False,
        widget=DataListInput(lambda: [(name, "") for name in handler_names()]),
        help_text=gettext_lazy("Registered with robot_handler in one of your apps."),
    )
    returns = forms.CharField(
        label=gettext_lazy("Expressions"),
        required=False,
        strip=False,
        widget=ExpressionsArea(),
        help_text=gettext_lazy("A line for each output: total = round(amount * (100 - percent) / 100, 2)"),
    )
    log = forms.CharField(
        label=gettext_lazy("Message in the process's log"),
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=gettext_lazy("{amount} stands for an input or an output."),
    )
    publish_note = forms.CharField(
        label=gettext_lazy("Note"),
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=gettext_lazy("What changed, for whoever reads the versions."),
    )

    class Meta:
        model = Robot
        fields = [
            "application",
            "code",
            "kind",
            "name",
            "description",
            "subscription",
            "auth_user_id",
            "document_type",
            "on_failure",
        ]
        error_messages = {"code": {"invalid": WRONG_CODE}}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "compute_type" not in self.fields:
            return
        names = {"expression": _("expressions"), "python": _("a Python function")}
        self.fields["compute_type"] = forms.ChoiceField(
            label=_("Computed by"), choices=[(name, names.get(name, name)) for name in compute_type_names()]
        )
        self.held_filter = self.instance.filter or {}
        compute = self.instance.compute or {}
        returns = compute.get("returns") or {}
        self.initial.update(
            {
                **{side: FilterSideField.parts(self.held_filter.get(side)) for side in SIDES},
                "compute_type": compute.get("type") or "expression",
                "function": compute.get("function"),
                "returns": "\n".join(f"{name} = {source}" for name, source in returns.items()),
                "log": compute.get("log"),
            }
        )
        # The last formset checks the whole, and finds the fields of this form through the instance.
        self.instance.admin_form = self

    def clean_name(self) -> Any:
        return kept_string(self.instance.name, self.cleaned_data["name"])

    def clean_description(self) -> Any:
        return kept_string(self.instance.description, self.cleaned_data["description"])

    def clean_returns(self) -> dict[str, str]:
        found = {}
        for line in (self.cleaned_data["returns"] or "").splitlines():
            if not line.strip():
                continue
            parts = _RETURNS_LINE.fullmatch(line)
            if not parts:
                raise ValidationError(_("“%s” is no line of the form output = expression.") % line[:80])
            found[parts[1]] = parts[2]
        return found

    def definition(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> Definition:
        """What was typed, as a definition; fields that are fixed come from the row."""
        typed = self.cleaned_data
        value = {name: typed.get(name, getattr(self.instance, name)) for name in ("code", "kind")}
        names = ("name", "description", "subscription", "auth_user_id", "document_type", "on_failure")
        return normal(
            value
            | {name: typed.get(name) for name in names}
            | {
                "filter": {side: self._side(side) for side in SIDES},
                "properties": inputs,
                "return_properties": outputs,
                "compute": self._compute(),
            }
        )

    def _side(self, side: str) -> list[Any]:
        """A filter's side in the order it had, what is new behind; untouched, as it came."""
        held, wanted = self.held_filter.get(side) or [], self.cleaned_data.get(side) or []
        if side not in self.changed_data:
            return list(held)
        return [entry for entry in held if entry in wanted] + [entry for entry in wanted if entry not in held]

    def _compute(self) -> dict[str, Any]:
        typed = self.cleaned_data
        kind = typed.get("compute_type") or "expression"
        if kind == "python":
            return {"type": kind, "function": typed.get("function") or ""}
        if kind == "expression":
            compute: dict[str, Any] = {"type": kind, "returns": typed.get("returns") or {}}
            return compute | ({"log": typed["log"]} if typed.get("log") else {})
        # A type of somebody's own is kept as it came by a catalog file.
        held = self.instance.compute or {}
        return held if held.get("type") == kind else {"type": kind}

    def take(self, problem: Problem) -> None:
        """Shows a rule's problem beside the field it is about."""
        first, *rest = [*problem.path, ""]
        place = {
            "filter": str(rest[0]) if rest and rest[0] in SIDES else "include",
            "compute": {"function": "function", "log": "log", "type": "compute_type"}.get(
                str(rest[0]) if rest else "", "returns"
            ),
        }.get(str(first), str(first))
        self.add_error(place if place in self.fields else None, problem.message)


class PropertyForm(forms.ModelForm):
    name = LanguagesField(label=gettext_lazy("Name"), required=False)
    description = LanguagesField(label=gettext_lazy("Description"), required=False, long=True)
    type = forms.CharField(
        label=gettext_lazy("Type"),
        initial="string",
        widget=DataListInput([(name, "") for name in TYPES]),
        help_text=gettext_lazy(
            "bool, date, datetime, double, file, int, select, string, text, time, user; UF:… too."
        ),
    )
    options = OptionsField(
        label=gettext_lazy("Options of a select"),
        required=False,
        help_text=gettext_lazy("A line each: a = First, and for a further language a [ru] = Первый"),
    )
    default = forms.CharField(
        label=gettext_lazy("Default"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 1, "class": "vLargeTextField"}),
        help_text=gettext_lazy("Y or N for bool, 2026-11-24 for a date; a line each where multiple."),
    )

    class Meta:
        model = Property
        fields = [
            "position",
            "identifier",
            "type",
            "name",
            "required",
            "multiple",
            "default",
            "options",
            "description",
        ]
        error_messages = {"identifier": {"invalid": WRONG_ID}}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["position"].required = False
        if not self.instance.pk:
            self.initial["position"] = None
        # Kept aside: validation writes what was typed onto the instance.
        self.held = {name: getattr(self.instance, name) for name in ("name", "description", "default")}
        held = self.held["default"] if self.instance.pk else None
        if isinstance(held, list):
            self.initial["default"] = "\n".join(map(str, held))
        elif held is not None:
            self.initial["default"] = ("N", "Y")[held] if isinstance(held, bool) else str(held)

    # Ids are compared by the rules, whatever their case, and rows are written by their ids.
    def validate_unique(self) -> None: ...

    def validate_constraints(self) -> None: ...

    def as_item(self) -> dict[str, Any]:
        """As an entry of a definition's map."""
        typed = self.cleaned_data
        return {
            "id": typed.get("identifier") or "",
            "type": typed.get("type") or "",
            "name": kept_string(self.held["name"], typed.get("name")),
            "description": kept_string(self.held["description"], typed.get("description")),
            "options": dict(typed.get("options") or []),
            "required": bool(typed.get("required")),
            "multiple": bool(typed.get("multiple")),
            "default": self._default(),
        }

    def _default(self) -> Any:
        text = (self.cleaned_data.get("default") or "").replace("\r\n", "\n")
        if "default" not in self.changed_data and self.instance.pk:
            return self.held["default"]
        if self.cleaned_data.get("multiple"):
            return [line for line in text.split("\n") if line] or None
        return text or None

    def take(self, field: str, message: str) -> None:
        """Shows a rule's problem beside the field it is about."""
        place = "identifier" if field == "id" else field
        self.add_error(place if place in self.fields else None, message)
