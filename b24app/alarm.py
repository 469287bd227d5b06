"""What is wrong and lasts: one row a cause while it lasts, kept afterwards."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Kind(models.TextChoices):
    """What may be wrong; `b24app/alarm_causes.py` finds each, `b24app/alarm_words.py` says what to do."""

    CALLS_LATE = "calls_late", _("calls are not computed")
    RESULTS_LATE = "results_late", _("results are not sent")
    UNCONFIRMED = "unconfirmed", _("arrival of results is not looked for")
    STUCK = "stuck", _("a portal took results, its processes still wait")
    PORTAL_TROUBLE = "portal_trouble", _("a portal takes nothing")
    PORTAL_NO_ADMIN = "portal_no_admin", _("a portal has lost its administrator")
    ROBOT_FAILING = "robot_failing", _("a robot fails often")
    SWEEPER_SILENT = "sweeper_silent", _("nothing sweeps")
    SWEEP_FAILS = "sweep_fails", _("a sweep fails each time")
    BROKER_AWAY = "broker_away", _("the broker does not answer")
    DATABASE_AWAY = "database_away", _("the database does not answer")
    SPOOL_USED = "spool_used", _("calls wait on a machine's disk")
    SPOOL_FULL = "spool_full", _("a machine's spool fills up")
    SPOOL_BROKEN = "spool_broken", _("a machine's spool takes nothing")
    DEAD_LETTERS = "dead_letters", _("calls that can't be read or stored")


class FailingSweep(models.Model):
    """A room whose last sweep failed, and since when each of them has; gone with the first that ends well."""

    room = models.CharField(max_length=20, primary_key=True)
    since = models.DateTimeField()
    # The exception's type: its text may hold what no alarm should.
    error = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.room


# What a channel was told of has become another, which it is not told of yet.
AGAIN = "again"


class Alarm(models.Model):
    """One cause, from its first sight to its end. `subject` tells two of a kind apart: a portal, a robot, a machine.

    `params` are what its sentence names. `told` holds per channel how far it was told: "open", AGAIN or "ended".
    """

    kind = models.CharField(_("what"), max_length=20, choices=Kind)
    subject = models.CharField(_("of"), max_length=200, blank=True)
    params = models.JSONField(default=dict)
    opened_at = models.DateTimeField(_("since"))
    seen_at = models.DateTimeField(_("last seen"))
    ended_at = models.DateTimeField(_("over since"), null=True, blank=True)
    told = models.JSONField(_("told"), default=dict)
    # A channel that failed is tried again from then on.
    next_try_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("alarm")
        verbose_name_plural = _("alarms")
        ordering = ["-opened_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(ended_at=None), name="alarm_open_once_a_cause"
            ),
        ]
        indexes = [models.Index(fields=["ended_at"], name="alarm_ended")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}".strip()
