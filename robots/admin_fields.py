"""Form fields for what a robot's columns hold: texts by language, options, document types, filters.

Each shows what a person can type without knowing JSON (`admin_notation`), and gives back what a definition holds.
Rules are not checked here but in `rules`, so that the admin and a catalog file are refused for the same things.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from robots.admin_notation import (
    one_break,
    read_languages,
    read_options,
    write_languages,
    write_options,
)
from robots.expression import WORDS
from robots.expression_functions import TABLE

# Document kinds of contract §5; others can be typed.
DOCUMENTS: list[tuple[str, Any]] = [
    ("crm, CCrmDocumentDeal, DEAL", gettext_lazy("Deal")),
    ("crm, CCrmDocumentLead, LEAD", gettext_lazy("Lead")),
    ("crm, CCrmDocumentContact, CONTACT", gettext_lazy("Contact")),
    ("crm, CCrmDocumentCompany, COMPANY", gettext_lazy("Company")),
    (r"crm, Bitrix\Crm\Integration\BizProc\Document\Quote, QUOTE", gettext_lazy("Quote")),
    (r"crm, Bitrix\Crm\Integration\BizProc\Document\SmartInvoice, SMART_INVOICE", gettext_lazy("Invoice")),
    (r"crm, Bitrix\Crm\Integration\BizProc\Document\Order, ORDER", gettext_lazy("Order")),
    # “…” stands for a number; the rules refuse it where nobody put one in its place.
    (
        r"crm, Bitrix\Crm\Integration\BizProc\Document\Dynamic, DYNAMIC_…",
        gettext_lazy("Smart process: its number for …"),
    ),
    (r"tasks, Bitrix\Tasks\Integration\Bizproc\Document\Task, TASK", gettext_lazy("Task")),
    ("lists, BizprocDocument, iblock_…", gettext_lazy("Workflow list: its number for …")),
    (r"lists, Bitrix\Lists\BizprocDocumentLists, iblock_…", gettext_lazy("List: its number for …")),
    (r"disk, Bitrix\Disk\BizProcDocument, STORAGE_…", gettext_lazy("Drive: its number for …")),
]
# What a filter shows a robot for: an edition or the first parts of a document type.
FILTERS: list[tuple[str, Any]] = [
    ("b24", gettext_lazy("Cloud, everywhere")),
    ("box", gettext_lazy("On premise, everywhere")),
    ("crm", gettext_lazy("All of CRM")),
    ("crm, CCrmDocumentDeal", gettext_lazy("Deals")),
    ("crm, CCrmDocumentLead", gettext_lazy("Leads")),
    ("crm, CCrmDocumentContact", gettext_lazy("Contacts")),
    ("crm, CCrmDocumentCompany", gettext_lazy("Companies")),
    (r"crm, Bitrix\Crm\Integration\BizProc\Document\Quote", gettext_lazy("Quotes")),
    (r"crm, Bitrix\Crm\Integration\BizProc\Document\SmartInvoice", gettext_lazy("Invoices")),
    (r"crm, Bitrix\Crm\Integration\BizProc\Document\Order", gettext_lazy("Orders")),
    (r"crm, Bitrix\Crm\Integration\BizProc\Document\Dynamic", gettext_lazy("Smart processes")),
    ("tasks", gettext_lazy("Tasks")),
    ("lists", gettext_lazy("Lists")),
    ("disk", gettext_lazy("Drive")),
]


class DataListInput(forms.TextInput):
    """A text with suggestions: what is known is chosen, anything else is typed."""

    template_name = "admin/robots/widgets/datalist.html"

    def __init__(self, choices: Any, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"class": "vTextField", **(attrs or {})})
        self.choices = choices

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        listed = f"{context['widget']['attrs'].get('id', name)}_list"
        context["widget"]["attrs"]["list"] = listed
        choices = self.choices() if callable(self.choices) else self.choices
        return {**context, "list_id": listed, "choices": choices}


class ExpressionsArea(forms.Textarea):
    """Lines of expressions, with what can stand in them to read below; `complete.js` offers it while one types."""

    template_name = "admin/robots/widgets/expressions.html"

    def __init__(self) -> None:
        # The checker of the browser's language would underline every name.
        super().__init__({"rows": 4, "class": "vLargeTextField hub-code", "spellcheck": "false"})

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        return {**context, "functions": sorted(TABLE.items()), "words": WORDS.items()}


class LinesField(forms.CharField):
    """A text as it is typed, spaces and all; line breaks are LF, so that nothing has changed where nobody typed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, strip=False, **kwargs)

    def to_python(self, value: Any) -> str:
        return one_break(super().to_python(value) or "")

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(one_break(str(initial or "")), data)


class LineInput(forms.TextInput):
    """One line; where a text of several came by a catalog, as many as it has: an <input> would join them."""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        if "\n" in one_break(str(value or "")):
            context["widget"]["template_name"] = "django/forms/widgets/textarea.html"
            context["widget"]["attrs"] |= {"rows": 3, "class": "vLargeTextField"}
        return context


class LanguagesWidget(forms.MultiWidget):
    """One box a language of ours, side by side; further languages as lines `de: Rabatt`."""

    template_name = "admin/robots/widgets/languages.html"
    title: Any = ""

    def __init__(self, long: bool = False) -> None:
        self.languages = [code for code, _name in settings.LANGUAGES]
        one: type[forms.Widget] = forms.Textarea if long else LineInput
        attrs = {"class": "vLargeTextField", "rows": 2} if long else {"class": "vTextField"}
        widgets: dict[str, forms.Widget | type[forms.Widget]] = {
            code: one(attrs=dict(attrs)) for code in self.languages
        }
        widgets["others"] = forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"})
        super().__init__(widgets)

    def decompress(self, value: Any) -> list[str]:
        if not isinstance(value, Mapping):
            return [str(value or ""), *[""] * len(self.languages)]
        others = {code: text for code, text in value.items() if code not in self.languages}
        return [*(str(value.get(code, "")) for code in self.languages), write_languages(others)]

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        labels = [
            *(str(title) for _code, title in settings.LANGUAGES),
            _("Other languages, such as de: Rabatt; further lines of a text begin with a space"),
        ]
        for part, label in zip(context["widget"]["subwidgets"], labels, strict=True):
            part["attrs"]["aria-label"] = f"{self.title}: {label}" if self.title else label
            part["label"] = label
        return context


class LanguagesField(forms.MultiValueField):
    """A text as `{lang: string}`; the forms keep a plain string as long as nobody changes it."""

    def __init__(self, *, long: bool = False, **kwargs: Any) -> None:
        widget = LanguagesWidget(long)
        widget.title = kwargs.get("label", "")
        fields = [LinesField() for _part in widget.widgets]
        super().__init__(fields, widget=widget, require_all_fields=False, **kwargs)

    def compress(self, values: list[str]) -> Any:
        if not values:
            return ""
        *ours, others = values
        codes = [code for code, _name in settings.LANGUAGES]
        text = {code: words for code, words in zip(codes, ours, strict=True) if words}
        for code, words in read_languages(others or ""):
            if code in text:
                raise ValidationError(_("“%s” has a box of its own; write the text in one of them.") % code)
            text[code] = words
        return text or ""


class OptionsField(forms.Field):
    """Options of a select, an entry each, as rows hold them: [[value, text], …]."""

    widget = forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField hub-code"})

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else write_options(value or [])

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial) != one_break(data or ""))

    def to_python(self, value: Any) -> list[list[Any]]:
        return read_options(value or "")


class PartsField(forms.Field):
    """A document type as its parts with commas between."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((self.prepare_value(initial) or "") != (data or ""))

    def to_python(self, value: Any) -> list[str] | None:
        return parts_of(value) if (value or "").strip() else None


class FilterSideWidget(forms.MultiWidget):
    template_name = "admin/robots/widgets/filter_side.html"
    title: Any = ""

    def __init__(self) -> None:
        others = forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField hub-code"})
        super().__init__({"known": forms.CheckboxSelectMultiple(choices=FILTERS), "others": others})

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = {**super().get_context(name, value, attrs), "title": self.title}
        named = _("%(title)s: others, a line each") % {"title": self.title}
        context["widget"]["subwidgets"][-1]["attrs"]["aria-label"] = named
        return context

    def decompress(self, value: Any) -> list[Any]:
        """Of nothing only: Django does not ask it about a list, and a filter's side is one (see `parts`)."""
        return [[], ""]


class FilterSideField(forms.MultiValueField):
    """INCLUDE or EXCLUDE of a filter: ticks for what is known, further entries as lines."""

    def __init__(self, **kwargs: Any) -> None:
        fields = [
            forms.MultipleChoiceField(choices=FILTERS, required=False),
            forms.CharField(required=False),
        ]
        widget = FilterSideWidget()
        widget.title = kwargs.get("label", "")
        super().__init__(fields, widget=widget, require_all_fields=False, required=False, **kwargs)

    @staticmethod
    def parts(entries: Any) -> list[Any]:
        """The stored side as the two widgets hold it: what is ticked, and the others as lines."""
        known = dict(FILTERS)
        lines = [entry if isinstance(entry, str) else ", ".join(entry) for entry in entries or []]
        others = [line for line in lines if line not in known]
        return [[line for line in lines if line in known], "\n".join(others)]

    def compress(self, values: list[Any]) -> list[Any]:
        known, others = values or [[], ""]
        entries = [*known, *(line for line in (others or "").splitlines() if line.strip())]
        return [entry if entry in ("b24", "box") else parts_of(entry) for entry in entries]


def parts_of(text: str) -> list[str]:
    """`crm, CCrmDocumentDeal, DEAL` -> its parts."""
    return [part.strip() for part in text.split(",")]
