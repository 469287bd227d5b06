"""The log of calls that proved nothing."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class RefusedCall(models.Model):
    """A call that proved nothing: when, from where, which portal it claimed, why (bounded, scrubbed)."""

    class Reason(models.TextChoices):
        """What the log tells in words; `sentence` is what the caller was answered."""

        TYPE_WRONG = "type_wrong", _("it was no form")
        FORM_TOO_BIG = "form_too_big", _("the form is too large")
        FORM_UNREADABLE = "form_unreadable", _("the form lacks what makes it a call")
        APPLICATION_UNKNOWN = "application_unknown", _("no such application here")
        PORTAL_UNKNOWN = "portal_unknown", _("the application is not installed on the claimed portal")
        UNINSTALLED = "uninstalled", _("the application was uninstalled on the claimed portal")
        TOKEN_UNKNOWN = "token_unknown", _("the portal's application token is not known yet")
        TOKEN_WRONG = "token_wrong", _("the application token is not the claimed portal's")

    at = models.DateTimeField(_("at"))
    address = models.CharField(_("from"), max_length=45, blank=True)
    application = models.CharField(_("application"), max_length=50, blank=True)
    member_id = models.CharField(_("claimed portal"), max_length=64, blank=True)
    domain = models.CharField(_("claimed domain"), max_length=255, blank=True)
    robot_code = models.CharField(_("robot"), max_length=128, blank=True)
    reason = models.CharField(_("why"), max_length=40, choices=Reason)
    sentence = models.CharField(_("what the caller was told"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("refused call")
        verbose_name_plural = _("refused calls")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.reason
