"""A call and its story. Narrow rows change; wide ones are written once or twice (design §2)."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

# A room's models are found here, wherever they are written, and so are their states.
from handlers.order_record import ReplayOrder as ReplayOrder
from handlers.refused_call import RefusedCall as RefusedCall
from handlers.states import OPEN_STATES as OPEN_STATES
from handlers.states import Cause as Cause
from handlers.states import Confirmation as Confirmation
from handlers.states import State as State
from portals.models import Portal
from robots.models import RobotVersion


class Sending(models.Model):
    """One request that carried results: the intent is committed before it, the answer right after it."""

    class Outcome(models.TextChoices):
        OPEN = "open", _("no answer yet")
        ANSWERED = "answered", _("answered")
        PASSES = "passes", _("could not be taken now")
        UNKNOWN = "unknown", _("the answer is not known")
        TROUBLE = "trouble", _("the portal's trouble")

    portal = models.ForeignKey(Portal, on_delete=models.CASCADE, verbose_name=_("portal"))
    started_at = models.DateTimeField(_("sent"))
    answered_at = models.DateTimeField(_("answered"), null=True, blank=True)
    # `time.start` of the answer: the portal's own clock, which MODIFIED is read against (§7).
    portal_time = models.DateTimeField(_("portal's time"), null=True, blank=True)
    # Results, log lines and looks in it.
    results = models.PositiveSmallIntegerField(_("results"), default=0)
    lines = models.PositiveSmallIntegerField(_("log lines"), default=0)
    looks = models.PositiveSmallIntegerField(_("looks"), default=0)
    seconds = models.FloatField(_("seconds"), null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=8, choices=Outcome, default=Outcome.OPEN)
    code = models.CharField(_("code"), max_length=64, blank=True)
    text = models.CharField(_("text"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("sending")
        verbose_name_plural = _("sendings")
        indexes = [models.Index(fields=["portal", "-id"], name="sending_portal")]

    def __str__(self) -> str:
        return f"#{self.pk}"


class ReceivedCall(models.Model):
    """What came in, and what it is looked for by: written at acceptance, and never again (a repeat is counted).

    Apart from what changes on the way: each new version of a row on PostgreSQL writes all the row's indexes, and
    of the log's long ones none changes (docs/decisions.md: WAL a call).
    """

    # The index that begins with the portal serves the key as well.
    portal = models.ForeignKey(Portal, on_delete=models.PROTECT, verbose_name=_("portal"), db_index=False)
    # sha256 of the event token: one token, one call, however often it is sent.
    token_hash = models.BinaryField(max_length=32)
    run = models.PositiveSmallIntegerField(_("run"), default=1)
    robot_code = models.CharField(_("robot"), max_length=128)
    version = models.ForeignKey(
        RobotVersion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("version"),
        db_index=False,
    )
    workflow_id = models.CharField(_("process"), max_length=128, blank=True)
    document_id = models.CharField(_("document"), max_length=255, blank=True)
    document_type = models.CharField(_("document type"), max_length=255, blank=True)
    waits = models.BooleanField(_("the process waits"))
    called_at = models.DateTimeField(_("called"))
    received_at = models.DateTimeField(_("received"))
    repeats = models.PositiveSmallIntegerField(_("times the call came again"), default=0)
    event_token = models.BinaryField()
    # {"properties": {id: raw}, "document_id": [...], "document_type": [...], "timeout_duration": int,
    #  "auth": {"member_id", "user_id", "domain", "scope"}}: JSON text, since it is never searched.
    call = models.TextField(blank=True)

    class Meta:
        verbose_name = _("call as it came")
        verbose_name_plural = _("calls as they came")
        constraints = [
            models.UniqueConstraint(fields=["portal", "token_hash", "run"], name="received_once_a_run"),
        ]
        indexes = [
            models.Index(fields=["workflow_id"], name="received_workflow"),
            models.Index(fields=["document_id"], name="received_document"),
            models.Index(fields=["robot_code", "-id"], name="received_robot"),
            models.Index(fields=["portal", "-id"], name="received_portal"),
            # With the id, so that a day is counted without reading what came.
            models.Index(fields=["received_at", "id"], name="received_time"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class KeyOfParent(models.OneToOneField[Any, Any]):
    """A key that is another row's: on SQLite the row's own number, so that no index stands beside the table."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return "integer" if connection.vendor == "sqlite" else super().db_type(connection)


class _Narrow(models.Manager["Invocation"]):
    """Without what came and its token: a list needs neither."""

    def get_queryset(self) -> models.QuerySet[Invocation]:
        return super().get_queryset().defer("event_token", "call")


class Invocation(ReceivedCall):
    """One run of one call: (portal, token, run). Only `handlers/claims.py` writes state, lease and fence."""

    came = KeyOfParent(
        ReceivedCall,
        on_delete=models.CASCADE,
        parent_link=True,
        primary_key=True,
        db_column="id",
        related_name="invocation",
    )
    # The call's own portal and robot once more, for the indexes of what is due.
    lane_portal = models.ForeignKey(
        Portal,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        db_column="portal_id",
    )
    lane_robot = models.CharField(max_length=128, db_column="robot_code")

    state = models.CharField(_("state"), max_length=12, choices=State, default=State.RECEIVED)
    cause = models.CharField(_("cause"), max_length=16, choices=Cause, blank=True, default="")
    due_at = models.DateTimeField(_("due"))
    deadline = models.DateTimeField(_("deadline"), null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    owner = models.CharField(max_length=64, blank=True, default="")
    fence = models.PositiveIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(_("tries to compute"), default=0)
    sends = models.PositiveSmallIntegerField(_("times sent"), default=0)
    # No index and no rule of the database: each claim would pay for both. `purge` keeps the row as long as the call.
    sending = models.ForeignKey(
        Sending,
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        db_index=False,
        db_constraint=False,
        verbose_name=_("last sending"),
    )

    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    computed_at = models.DateTimeField(_("computed"), null=True, blank=True)
    sent_at = models.DateTimeField(_("last sent"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    released_at = models.DateTimeField(_("released"), null=True, blank=True)
    # A later run goes on with the call: this one is over for good.
    followed_at = models.DateTimeField(_("run again"), null=True, blank=True)
    # A person has seen it and asks for nothing more.
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True, blank=True)
    confirmed_at = models.DateTimeField(_("confirmed"), null=True, blank=True)
    confirmation = models.CharField(
        _("arrival"), max_length=12, choices=Confirmation, blank=True, default=Confirmation.NONE
    )
    # Next look or repeat; null: none owed.
    confirm_at = models.DateTimeField(null=True, blank=True)
    # The process was seen in the portal's list: from then on "not listed" means gone.
    seen_listed = models.BooleanField(default=False)
    revision = models.CharField(_("code revision"), max_length=40, blank=True, default="")

    objects: ClassVar[_Narrow] = _Narrow()
    # With what came and its token: for those who work on it.
    whole: ClassVar[models.Manager[Invocation]] = models.Manager()

    class Meta:
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=State.values), name="invocation_state_known"),
            models.CheckConstraint(
                condition=Q(cause="") | Q(cause__in=Cause.values), name="invocation_cause_known"
            ),
            # Of a token's runs only the last may be under way, so no two can come to results of their own.
            models.CheckConstraint(
                condition=Q(followed_at=None) | ~Q(state__in=OPEN_STATES), name="invocation_followed_is_over"
            ),
        ]
        indexes = [
            models.Index(
                fields=["lane_portal", "lane_robot", "due_at", "came"],
                name="invocation_received",
                condition=Q(state="received"),
            ),
            models.Index(
                # Nearest deadline first: those with one, then those without.
                fields=["lane_portal", "deadline", "due_at", "came"],
                name="invocation_ready",
                condition=Q(state="ready"),
            ),
            models.Index(
                fields=["lease_until"],
                name="invocation_leased",
                condition=Q(state__in=["computing", "sending"]),
            ),
            models.Index(
                fields=["deadline"],
                name="invocation_deadline",
                condition=Q(state__in=["received", "ready"], deadline__isnull=False),
            ),
            models.Index(
                fields=["lane_portal", "confirm_at"],
                name="invocation_confirm",
                condition=Q(confirm_at__isnull=False),
            ),
            models.Index(
                fields=["state", "-came"],
                name="invocation_attention",
                condition=Q(state__in=["failed", "refused"]),
            ),
            models.Index(fields=["-came"], name="invocation_stuck", condition=Q(confirmation="stuck")),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def result(self) -> str:
        """The token's one result as it is stored; '' where there is none yet."""
        return self.stored.result if hasattr(self, "stored") else ""

    @property
    def lines(self) -> str:
        """Lines for the process's own log as they are stored; '' for none."""
        return self.stored.lines if hasattr(self, "stored") else ""


class InvocationResult(models.Model):
    """The token's one result for ever: a row that is inserted once and changed by nobody."""

    invocation = KeyOfParent(
        Invocation,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="stored",
        verbose_name=_("call"),
        # It is inserted with a change of its call, in one transaction, and forgotten before it (`purge`): the rule of
        # the database locked the row that the same transaction had just written, at 54 B of WAL a call.
        db_constraint=False,
    )
    # As it goes over the wire: {"values": {...}, "log": str | null}.
    result = models.TextField()
    # Lines for the process's own log: [str, …].
    lines = models.TextField(blank=True, default="")

    class Meta:
        verbose_name = _("call's result")
        verbose_name_plural = _("calls' results")

    def __str__(self) -> str:
        return f"#{self.pk}"


class Attempt(models.Model):
    """One thing that went wrong on a call's way, or that a person did to it."""

    class Step(models.TextChoices):
        ACCEPT = "accept", _("taken in")
        COMPUTE = "compute", _("computing")
        SEND = "send", _("sending")
        CONFIRM = "confirm", _("confirming")
        PERSON = "person", _("by a person")

    invocation = models.ForeignKey(
        Invocation, on_delete=models.CASCADE, related_name="attempts", verbose_name=_("call")
    )
    step = models.CharField(_("step"), max_length=8, choices=Step)
    at = models.DateTimeField(_("at"))
    code = models.CharField(_("code"), max_length=64)
    text = models.CharField(_("what happened"), max_length=1000, blank=True)
    # {"type", "message", "file", "line"} of a robot's failure: no locals, scrubbed.
    detail = models.JSONField(null=True, blank=True)
    sending = models.ForeignKey(Sending, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    actor = models.CharField(_("who"), max_length=150, blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.step}: {self.code}"
