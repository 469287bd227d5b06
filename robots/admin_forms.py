"""The form of a robot: what is typed becomes a definition, and the rules' problems find their fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from robots.admin_fields import (
    DOCUMENTS,
    DataListInput,
    ExpressionsArea,
    FilterSideField,
    LanguagesField,
    LinesField,
    OptionsField,
    PartsField,
)
from robots.admin_notation import read_default, read_returns, write_default, write_returns
from robots.compute import compute_type_names, handler_names
from robots.definition import Definition, draft_digest, normal
from robots.models import Property, Robot
from robots.problem import Problem
from robots.rules import WRONG_CODE
from robots.rules_properties import WRONG_ID
from robots.value_types import TYPES

SIDES = ("include", "exclude")
KEPT = ("name", "description", "document_type", "filter", "compute")
# Which fields a way to compute is made of; one of somebody's own is kept as it came by a catalog file.
SETTINGS = {"expression": ("returns", "log"), "python": ("function",)}


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
    returns = LinesField(
        label=gettext_lazy("Expressions"),
        widget=ExpressionsArea(),
        help_text=gettext_lazy(
            "A line for each output: total = round(amount * (100 - percent) / 100, 2). A line that begins with a "
            "space goes on with the one above."
        ),
    )
    log = LinesField(
        label=gettext_lazy("Message in the process's log"),
        widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
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
        # Kept aside: validation writes what was typed onto the instance.
        self.held = {name: getattr(self.instance, name) for name in KEPT}
        compute = self.held["compute"] or {}
        kind = compute.get("type") or "expression"
        own: dict[str, Any] = {name: compute.get(name) for name in SETTINGS.get(kind, ())}
        if isinstance(own.get("returns"), Mapping):
            own["returns"] = write_returns(own["returns"])
        sides = {side: FilterSideField.parts((self.held["filter"] or {}).get(side)) for side in SIDES}
        self.initial.update({"compute_type": kind, **own, **sides})
        # The last formset checks the whole, and finds the fields of this form through the instance.
        self.instance.admin_form = self

    def clean_returns(self) -> dict[str, str]:
        return read_returns(self.cleaned_data["returns"] or "")

    def clean(self) -> None:
        """What this save would lose: what another way to compute leaves behind in its fields, and what somebody
        else saved since the page was drawn."""
        super().clean()
        drawn_from = self.data.get("drawn_from")
        if (
            drawn_from
            and self.instance.pk
            and drawn_from != draft_digest(Robot.objects.get(pk=self.instance.pk))
        ):
            self.add_error(
                None,
                _(
                    "Somebody changed this robot since this page was opened, and saving would undo that. Open it in"
                    " another tab and look; save here once more to have it as it stands on this page."
                ),
            )
        kind = self.cleaned_data.get("compute_type") or ""
        for way, names in SETTINGS.items():
            for name in names:
                if kind and way != kind and self.cleaned_data.get(name):
                    self.add_error(
                        name, _("Saving would lose this: empty it, or choose the way to compute that has it.")
                    )

    def definition(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> Definition:
        """What was typed, as a definition; what nobody touched and what is fixed come from the row."""
        typed = self.cleaned_data
        value = {name: typed.get(name, getattr(self.instance, name)) for name in ("code", "kind")}
        return normal(
            value
            | {name: typed.get(name) for name in ("subscription", "auth_user_id", "on_failure")}
            | {name: kept(self, name) for name in ("name", "description", "document_type")}
            | {
                "filter": {side: self._side(side) for side in SIDES},
                "properties": inputs,
                "return_properties": outputs,
                "compute": self._compute(),
            }
        )

    def _side(self, side: str) -> list[Any]:
        """A filter's side in the order it had, what is new behind; untouched, as it came."""
        held, wanted = (self.held["filter"] or {}).get(side) or [], self.cleaned_data.get(side) or []
        if side not in self.changed_data:
            return list(held)
        return [entry for entry in held if entry in wanted] + [entry for entry in wanted if entry not in held]

    def _compute(self) -> dict[str, Any]:
        kind = self.cleaned_data.get("compute_type") or "expression"
        held = self.held["compute"] or {}
        compute = dict(held) if held.get("type") == kind else {"type": kind}
        for name in SETTINGS.get(kind, ()):
            if name in self.changed_data:
                compute[name] = self.cleaned_data.get(name)
                if not compute[name]:
                    del compute[name]
        return compute

    def take(self, problem: Problem) -> None:
        """Shows a rule's problem beside the field it is about."""
        first, *rest = [*problem.path, ""]
        place = {
            "filter": str(rest[0]) if rest and rest[0] in SIDES else "include",
            "compute": {"function": "function", "log": "log", "type": "compute_type"}.get(
                str(rest[0]) if rest else "", "returns"
            ),
        }.get(str(first), str(first))
        if place not in self.errors:
            self.add_error(place if place in self.fields else None, problem.message)


def kept(form: Any, name: str) -> Any:
    """What was typed, or what the row held where nobody typed: two spellings may read the same on a page."""
    return form.cleaned_data.get(name) if name in form.changed_data else form.held[name]


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
        help_text=gettext_lazy(
            "A line each: a = First, and for a further language a [ru] = Первый. A value that holds “=”, brackets or "
            'spaces at its ends goes in quotes: "a=b" = First. Further lines of a title begin with a space.'
        ),
    )
    default = LinesField(
        label=gettext_lazy("Default"),
        widget=forms.Textarea(attrs={"rows": 1, "class": "vLargeTextField"}),
        help_text=gettext_lazy(
            "Y or N for bool, 2026-11-24 for a date; a line each where multiple, there an empty value is written "
            '"" and one of two lines "one\\ntwo".'
        ),
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
        names = ("name", "description", "options", "default")
        self.held = {name: getattr(self.instance, name) for name in names}
        if self.instance.pk:
            self.initial["default"] = write_default(self.held["default"])

    def clean(self) -> None:
        super().clean()
        if "id" in self.errors:
            # A hidden field's own error would stand nowhere on the page.
            del self.errors["id"]
            self.add_error(
                None, _("Somebody deleted this meanwhile. Tick Delete here and save; add it anew to keep it.")
            )

    # Ids are compared by the rules, whatever their case, and rows are written by their ids.
    def validate_unique(self) -> None: ...

    def validate_constraints(self) -> None: ...

    def as_item(self) -> dict[str, Any]:
        """As an entry of a definition's map."""
        typed = self.cleaned_data
        return {
            "id": typed.get("identifier") or "",
            "type": typed.get("type") or "",
            "name": kept(self, "name"),
            "description": kept(self, "description"),
            "options": dict(kept(self, "options") or []),
            "required": bool(typed.get("required")),
            "multiple": bool(typed.get("multiple")),
            "default": self._default(),
        }

    def _default(self) -> Any:
        # Whether the text is one value or several is the tick's to say.
        if not {"default", "multiple"} & set(self.changed_data):
            return self.held["default"]
        return read_default(self.cleaned_data.get("default") or "", bool(self.cleaned_data.get("multiple")))

    def take(self, field: str, message: str) -> None:
        """Shows a rule's problem beside the field it is about."""
        place = "identifier" if field == "id" else field
        self.add_error(place if place in self.fields else None, message)
