"""The forms of applications and portals: a secret can be set and replaced, never read back."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portals.crypto import is_set
from portals.models import Application, Portal, PortalSetting


def _hidden_input() -> forms.PasswordInput:
    return forms.PasswordInput(
        render_value=False, attrs={"autocomplete": "new-password", "class": "vTextField"}
    )


class ApplicationForm(forms.ModelForm):
    """The secret can be set and replaced; what is stored is never sent back."""

    secret = forms.CharField(
        label=gettext_lazy("Client secret"),
        required=False,
        strip=True,
        widget=_hidden_input(),
    )

    class Meta:
        model = Application
        fields = ["name", "slug", "client_id"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "secret" not in self.fields:
            return
        stored = is_set(self.instance, "client_secret")
        self.fields["secret"].required = not stored
        self.fields["secret"].help_text = (
            _("Set. Leave empty to keep it; it is not shown again.")
            if stored
            else _("From the application's card in Bitrix24. Stored encrypted and not shown again.")
        )

    def save(self, commit: bool = True) -> Any:
        if self.cleaned_data.get("secret"):
            self.instance.client_secret = self.cleaned_data["secret"]
        return super().save(commit)


# What the hub guesses of a portal until a person says it.
_GUESSED = {"time_zone", "date_format"}


class PortalForm(forms.ModelForm):
    """What a person may change of a portal; a zone or date order set here is no guess any more."""

    time_zone = forms.ChoiceField(label=gettext_lazy("Time zone"))

    class Meta:
        model = Portal
        fields = ["groups", "time_zone", "date_format", "note"]
        widgets = {"groups": forms.CheckboxSelectMultiple}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # People who may only look get a form without fields, but for those declared here.
        if "date_format" not in self.fields:
            del self.fields["time_zone"]
            return
        zones = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
        if self.instance.time_zone not in zones:
            zones.insert(0, self.instance.time_zone)
        self.fields["time_zone"] = forms.ChoiceField(
            label=_("Time zone"), choices=[(zone, zone) for zone in zones]
        )
        for name in _GUESSED:
            self.fields[name].help_text = getattr(self.instance, f"get_{name}_source_display")()

    def save(self, commit: bool = True) -> Any:
        for name in _GUESSED.intersection(self.changed_data):
            setattr(self.instance, f"{name}_source", Portal.Source.PERSON)
        return super().save(commit)

    def changed_columns(self) -> set[str]:
        """Of the portal's own row."""
        changed = set(self.changed_data) - {"groups"}
        return changed | {f"{name}_source" for name in _GUESSED & changed}


class PortalSettingForm(forms.ModelForm):
    """A value that robots read; written here, read by robots only."""

    secret = forms.CharField(
        label=gettext_lazy("Value"), required=False, strip=False, widget=_hidden_input(), max_length=4000
    )

    class Meta:
        model = PortalSetting
        fields = ["name"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "secret" not in self.fields:
            return
        held = bool(self.instance.pk)
        self.fields["secret"].required = not held
        self.fields["secret"].help_text = (
            _("Set. Leave empty to keep it; it is not shown again.") if held else ""
        )

    def save(self, commit: bool = True) -> Any:
        if self.cleaned_data.get("secret"):
            self.instance.value = self.cleaned_data["secret"]
        return super().save(commit)
