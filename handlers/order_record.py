"""A person's replay (or release) of many calls at once, as a stored order worked on in the background."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ReplayOrder(models.Model):
    """Which calls, who wants it and why, how far it is. A draft until it is confirmed."""

    class Deed(models.TextChoices):
        REPLAY = "replay", _("replay")
        RELEASE = "release", _("release")
        ACKNOWLEDGE = "acknowledge", _("acknowledgement")

    deed = models.CharField(_("what"), max_length=11, choices=Deed)
    ordered_by = models.CharField(_("ordered by"), max_length=150)
    ordered_at = models.DateTimeField(_("ordered"))
    why = models.CharField(_("why"), max_length=500, blank=True)
    language = models.CharField(max_length=10, blank=True)
    # Ids, oldest first: what the filter showed when it was asked for, and nothing that came after.
    calls = models.JSONField(default=list)
    total = models.PositiveIntegerField(_("calls"), default=0)
    confirmed_at = models.DateTimeField(_("confirmed"), null=True, blank=True)
    # So many of `calls` were decided about, in order; the fence of whoever works on it too.
    taken = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(_("on their way"), default=0)
    # {reason: how many}
    refused = models.JSONField(default=dict)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    cancelled_by = models.CharField(_("cancelled by"), max_length=150, blank=True)

    class Meta:
        verbose_name = _("replay of many")
        verbose_name_plural = _("replays of many")
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                name="replay_order_open",
                condition=models.Q(confirmed_at__isnull=False, ended_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
