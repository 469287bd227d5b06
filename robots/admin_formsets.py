"""The two maps of a robot on its page; the last of them checks the definition as a whole."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.utils.translation import gettext as _

from robots.admin_forms import PropertyForm
from robots.models import Property
from robots.rules import check_definition

_MAPS = {Property.Direction.INPUT: "properties", Property.Direction.OUTPUT: "return_properties"}


class PropertyFormSet(BaseInlineFormSet):
    """One of the two maps. The last of a request's formsets checks the definition as a whole."""

    def __init__(
        self, *args: Any, together: list[PropertyFormSet] | None = None, last: bool = True, **kwargs: Any
    ):
        super().__init__(*args, **kwargs)
        self.together = together if together is not None else []
        self.together.append(self)
        self.last = last

    direction = Property.Direction.INPUT

    def get_queryset(self) -> Any:
        """The admin pairs forms and rows by their place: where a row is gone, the last form would not be shown."""
        if self.is_bound and "forms" in self.__dict__:
            return [form.instance for form in self.initial_forms]
        return super().get_queryset()

    def kept(self) -> list[PropertyForm]:
        """The forms that stay, in their order."""
        forms_there = [
            form
            for form in self.forms
            if hasattr(form, "cleaned_data")
            and not form.cleaned_data.get("DELETE")
            and (form.has_changed() or form.instance.pk)
        ]
        return sorted((form for form in forms_there if isinstance(form, PropertyForm)), key=_place)

    def clean(self) -> None:
        super().clean()
        form = getattr(self.instance, "admin_form", None)
        if not self.last or form is None or not hasattr(form, "cleaned_data"):
            return
        sides = {_MAPS[formset.direction]: formset.kept() for formset in self.together}
        items = {name: [each.as_item() for each in sides.get(name, [])] for name in _MAPS.values()}
        definition = form.definition(items["properties"], items["return_properties"])
        problems = check_definition(definition)
        for problem in problems:
            name, index = str(problem.path[0]) if problem.path else "", problem.path[1:2]
            if name in sides and index and isinstance(index[0], int):
                target = sides[name][index[0]]
                field = str(problem.path[2]) if len(problem.path) > 2 else ""
                if field not in target.errors:
                    target.take(field, problem.message)
            elif name in sides:
                form.add_error(None, problem.message)
            elif name not in form.errors:
                form.take(problem)
        if problems:
            # The other formset and the form were found valid before; this keeps the whole from being saved.
            raise ValidationError(_("See what is said beside the fields."))
        self.instance.admin_definition = definition


def _place(form: PropertyForm) -> int:
    """New ones without a number come last."""
    place = form.cleaned_data.get("position")
    return 2**31 if place is None else int(place)


class InputFormSet(PropertyFormSet):
    direction = Property.Direction.INPUT


class OutputFormSet(PropertyFormSet):
    direction = Property.Direction.OUTPUT
