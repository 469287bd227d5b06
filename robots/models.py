"""Robots as they are edited, versions as they were published, registrations as portals hold them."""

from __future__ import annotations

from typing import Any

from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from portals.models import Application, Portal

# A room's models are found here, wherever they are written.
from robots.push_record import Push, PushItem

__all__ = [
    "ForeignCode",
    "Kind",
    "OnFailure",
    "Property",
    "Push",
    "PushItem",
    "Registration",
    "Robot",
    "RobotVersion",
    "VersionFrozen",
]


class Kind(models.TextChoices):
    """Robots and activities share one code namespace and one mechanism (contract §1)."""

    ROBOT = "robot", _("robot")
    ACTIVITY = "activity", _("activity")


class OnFailure(models.TextChoices):
    HOLD = "hold", _("hold the process until a person decides")
    RELEASE = "release", _("let the process go on with empty values")


class Robot(models.Model):
    """A draft: editing it makes no call and changes nothing on any portal (design §4)."""

    class Subscription(models.TextChoices):
        WAIT = "wait", _("waits for the result")
        NO_WAIT = "no_wait", _("does not wait")
        CHOICE = "choice", _("left out: whoever places it chooses")

    application = models.ForeignKey(
        Application, on_delete=models.PROTECT, related_name="robots", verbose_name=_("application")
    )
    code = models.CharField(_("code"), max_length=128, validators=[RegexValidator(r"^[a-zA-Z0-9.\-_]+$")])
    kind = models.CharField(_("kind"), max_length=8, choices=Kind, default=Kind.ROBOT)
    # A text is a string or {lang: string} (contract §5); so in every JSON field called name or description.
    name = models.JSONField(_("name"))
    description = models.JSONField(_("description"), blank=True, default=str)
    subscription = models.CharField(
        _("waiting"), max_length=8, choices=Subscription, default=Subscription.WAIT
    )
    auth_user_id = models.PositiveBigIntegerField(_("runs as user"), null=True, blank=True)
    document_type = models.JSONField(_("document type"), null=True, blank=True)
    filter = models.JSONField(_("filter"), null=True, blank=True)
    compute = models.JSONField(_("compute"), default=dict)
    on_failure = models.CharField(_("on failure"), max_length=8, choices=OnFailure, default=OnFailure.HOLD)
    # Set, the next push deletes it on the portals that hold it.
    removed_at = models.DateTimeField(_("removed"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    history = HistoricalRecords()

    class Meta:
        verbose_name = _("robot")
        verbose_name_plural = _("robots")
        ordering = ["application", "code"]
        constraints = [
            models.UniqueConstraint(fields=["application", "code"], name="robot_code_once_an_application"),
        ]

    def __str__(self) -> str:
        return self.code


class Property(models.Model):
    """An input or an output of a robot. Both maps share one namespace of ids, whatever their case (§5)."""

    class Direction(models.TextChoices):
        INPUT = "in", _("input")
        OUTPUT = "out", _("output")

    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, related_name="properties")
    direction = models.CharField(max_length=3, choices=Direction)
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    identifier = models.CharField(
        _("id"), max_length=128, validators=[RegexValidator(r"^[a-zA-Z][a-zA-Z0-9_]*$")]
    )
    type = models.CharField(_("type"), max_length=64)
    name = models.JSONField(_("name"))
    description = models.JSONField(_("description"), blank=True, default=str)
    # [[value, text], …]: the order is kept, which a JSON object on PostgreSQL would not.
    options = models.JSONField(_("options"), blank=True, default=list)
    required = models.BooleanField(_("required"), default=False)
    multiple = models.BooleanField(_("multiple"), default=False)
    default = models.JSONField(_("default"), null=True, blank=True)

    history = HistoricalRecords()

    class Meta:
        verbose_name = _("property")
        verbose_name_plural = _("properties")
        ordering = ["robot", "direction", "position", "id"]
        constraints = [
            models.UniqueConstraint("robot", Lower("identifier"), name="property_id_once_a_robot"),
        ]

    def __str__(self) -> str:
        return self.identifier


class VersionFrozen(Exception):
    """A published version never changes; publish a new one."""


class RobotVersion(models.Model):
    """What was published, frozen: the payload without HANDLER, and how it computes."""

    robot = models.ForeignKey(
        Robot, on_delete=models.PROTECT, related_name="versions", verbose_name=_("robot")
    )
    number = models.PositiveIntegerField(_("number"))
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    code = models.CharField(_("code"), max_length=128)
    # JSON text, not a JSON column: the order of properties is what the settings form shows.
    payload_text = models.TextField(_("payload"))
    compute = models.JSONField(_("compute"))
    on_failure = models.CharField(_("on failure"), max_length=8, choices=OnFailure, default=OnFailure.HOLD)
    digest = models.CharField(max_length=64)
    note = models.CharField(_("note"), max_length=500, blank=True)
    published_by = models.CharField(_("published by"), max_length=150, blank=True)
    published_at = models.DateTimeField(_("published"))

    class Meta:
        verbose_name = _("version")
        verbose_name_plural = _("versions")
        ordering = ["robot", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["robot", "number"], name="version_number_once_a_robot"),
        ]

    def __str__(self) -> str:
        return f"{self.code} v{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise VersionFrozen(f"{self} is published and can't be changed. Publish a new version.")
        super().save(*args, **kwargs)


class Registration(models.Model):
    """One robot on one portal: what is wanted, what we pushed, what the portal was last seen to hold.

    `pushed_*` is all there is to know of what a portal holds, since `list` tells codes only (§5).
    """

    class Observed(models.TextChoices):
        UNKNOWN = "unknown", _("not looked yet")
        PRESENT = "present", _("on the portal")
        MISSING = "missing", _("missing on the portal")
        FOREIGN = "foreign", _("there, but not ours")

    robot = models.ForeignKey(
        Robot, on_delete=models.PROTECT, related_name="registrations", verbose_name=_("robot")
    )
    portal = models.ForeignKey(
        Portal, on_delete=models.CASCADE, related_name="registrations", verbose_name=_("portal")
    )
    # Wanted there, in this version; null: wanted gone.
    wanted_version = models.ForeignKey(
        RobotVersion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("wanted"),
    )
    pushed_version = models.ForeignKey(
        RobotVersion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("pushed"),
    )
    # The whole payload as the portal took it, HANDLER included; JSON text for its order; '' is nothing.
    pushed_text = models.TextField(blank=True)
    pushed_kind = models.CharField(max_length=8, choices=Kind, blank=True)
    pushed_at = models.DateTimeField(_("pushed at"), null=True, blank=True)
    # Number of the portal's installation it was pushed under: a lower one is gone with the old installation.
    installation = models.PositiveIntegerField(default=0)
    # Set before an add goes out, so that a code found after an unknown answer is known to be ours.
    tried_kind = models.CharField(max_length=8, choices=Kind, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    observed = models.CharField(_("observed"), max_length=8, choices=Observed, default=Observed.UNKNOWN)
    observed_at = models.DateTimeField(_("observed at"), null=True, blank=True)
    adopted_by = models.CharField(_("adopted by"), max_length=150, blank=True)
    # A background push owes this row something (reinstall, update); cleared when the portal matches.
    due_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(_("error"), max_length=64, blank=True)
    error_text = models.CharField(_("what the portal said"), max_length=500, blank=True)
    error_at = models.DateTimeField(_("error at"), null=True, blank=True)

    class Meta:
        verbose_name = _("registration")
        verbose_name_plural = _("registrations")
        ordering = ["portal", "robot"]
        constraints = [
            models.UniqueConstraint(fields=["robot", "portal"], name="registration_once"),
        ]
        indexes = [
            models.Index(
                fields=["due_at", "portal"], name="registration_due", condition=models.Q(due_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.robot_id} @ {self.portal_id}"


class ForeignCode(models.Model):
    """A code that a portal lists under our application and that we never pushed there (design §4)."""

    portal = models.ForeignKey(Portal, on_delete=models.CASCADE, related_name="foreign_codes")
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    code = models.CharField(_("code"), max_length=255)
    seen_at = models.DateTimeField(_("seen"))

    class Meta:
        verbose_name = _("foreign code")
        verbose_name_plural = _("foreign codes")
        constraints = [
            models.UniqueConstraint(fields=["portal", "kind", "code"], name="foreign_code_once_a_portal"),
        ]

    def __str__(self) -> str:
        return self.code
