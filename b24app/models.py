"""Tokens with which programs read the audit API. A token itself is nowhere: only its hash is kept."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from b24app.alarm import Alarm, FailingSweep  # noqa: F401  (models of this app, in a module of their own)

# So that a token found in a file or a log is known for what it is.
PREFIX = "hub_"


def token_hash(token: str) -> bytes:
    """sha256 of a token (32 bytes): 256 random bits need neither salt nor stretching."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


class ApiToken(models.Model):
    """Lets a program read what its user may see in the admin, and nothing else."""

    name = models.CharField(
        _("name"), max_length=100, unique=True, help_text=_("Which program it is for, and where that runs.")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="api_tokens",
        verbose_name=_("reads as"),
        help_text=_("The program sees what this account may see."),
    )
    hash = models.BinaryField(max_length=32, unique=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    # A day, not a moment: otherwise each page read would be a write.
    last_used_day = models.DateField(_("last used"), null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(
        _("expires"), null=True, blank=True, help_text=_("Empty: it works until it is deleted.")
    )

    # The token itself, on the object that was just made; in no column.
    shown_once = ""

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def make(self) -> str:
        """A new token for this row: returned once, its hash set. Saves nothing."""
        token = PREFIX + secrets.token_urlsafe(32)
        self.hash = token_hash(token)
        return token

    def note_use(self) -> None:
        """Writes the day, once a day."""
        today = timezone.now().astimezone(dt.UTC).date()
        if self.last_used_day != today:
            ApiToken.objects.filter(pk=self.pk).update(last_used_day=today)


def token_in_force(token: str) -> ApiToken | None:
    """The row of a token that was made, has not expired and belongs to somebody active; else None."""
    found = ApiToken.objects.select_related("user").filter(hash=token_hash(token)).first()
    if found is None or not found.user.is_active:
        return None
    if found.expires_at is not None and found.expires_at <= timezone.now():
        return None
    return found
