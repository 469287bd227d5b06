"""A push as a stored order: who wanted what on which portals, when, and how it ended on each.

Carried out by the workers (`robots.push_queue`); read by the admin. A check of what portals hold is ordered,
carried out and read in the same way, so it is a kind of the same record.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from portals.models import Portal


class Push(models.Model):
    """What one person ordered at one stroke. What it was for each portal, and its end there, is in `items`."""

    class Kind(models.TextChoices):
        PUSH = "push", _("push")
        CHECK = "check", _("check")

    class Way(models.TextChoices):
        ADMIN = "admin", _("from the admin")
        COMMAND = "command", _("by a command")

    kind = models.CharField(_("what"), max_length=5, choices=Kind, default=Kind.PUSH)
    way = models.CharField(_("way"), max_length=7, choices=Way, default=Way.ADMIN)
    ordered_by = models.CharField(_("ordered by"), max_length=150)
    ordered_at = models.DateTimeField(_("ordered"))
    # What the results are written in: they are read by who ordered it.
    language = models.CharField(max_length=10, blank=True)
    # Codes of the robots, for whoever reads the list; what is wanted where is with the items.
    codes = models.JSONField(_("robots"), default=list)
    # Codes that a person takes over where they are foreign (design §4).
    adopt = models.JSONField(default=list)
    retry_of = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="retries",
        verbose_name=_("retry of"),
    )
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    cancelled_by = models.CharField(_("cancelled by"), max_length=150, blank=True)
    cancelled_at = models.DateTimeField(_("cancelled"), null=True, blank=True)

    class Meta:
        verbose_name = _("push")
        verbose_name_plural = _("pushes")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"#{self.pk}"


class PushItem(models.Model):
    """One portal's part of a push. `tries` is its fence: who ends it must hold the number he began with."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        WORKING = "working", _("under way")
        DONE = "done", _("done")
        # The portal takes nothing now; its registrations stay due, so it is tried again by itself.
        HELD = "held", _("held by the portal")
        FAILED = "failed", _("not done")
        CANCELLED = "cancelled", _("cancelled")

    push = models.ForeignKey(Push, on_delete=models.CASCADE, related_name="items", verbose_name=_("push"))
    portal = models.ForeignKey(
        Portal, on_delete=models.CASCADE, related_name="push_items", verbose_name=_("portal")
    )
    state = models.CharField(_("state"), max_length=9, choices=State, default=State.WAITING)
    # [{"robot": id, "code": str, "version": id or null for its absence, "number": int or null,
    #   "before": id of what was wanted when it was ordered, or null, "action": str}]
    wanted = models.JSONField(default=list)
    # [{"code": str, "action": str, "done": bool, "why": str, "error_code": str}], as the portal answered.
    outcomes = models.JSONField(default=list)
    # A sentence where the portal as a whole took nothing more.
    trouble = models.TextField(_("trouble"), blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name = _("push to a portal")
        verbose_name_plural = _("pushes to portals")
        ordering = ["push", "id"]
        constraints = [
            models.UniqueConstraint(fields=["push", "portal"], name="push_item_once_a_portal"),
        ]
        indexes = [
            models.Index(
                fields=["push", "id"],
                name="push_item_open",
                condition=models.Q(state__in=["waiting", "working"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.push_id} @ {self.portal_id}"

    def undone(self) -> list[dict[str, Any]]:
        """What of `wanted` is not on the portal as far as this push knows."""
        done = {outcome["code"] for outcome in self.outcomes if outcome["done"]}
        return [each for each in self.wanted if each["code"] not in done]
