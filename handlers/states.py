"""The named states of a call, why it ended as it did, and how far it is known that its result arrived."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class State(models.TextChoices):
    RECEIVED = "received", _("received")
    COMPUTING = "computing", _("computing")
    READY = "ready", _("ready to send")
    SENDING = "sending", _("being sent")
    DELIVERED = "delivered", _("delivered")
    NOT_AWAITED = "not_awaited", _("done, not awaited")
    EXPIRED = "expired", _("expired: the wait was over")
    REFUSED = "refused", _("refused by the portal")
    FAILED = "failed", _("failed: a person must look")


OPEN_STATES = (State.RECEIVED, State.COMPUTING, State.READY, State.SENDING)


class Cause(models.TextChoices):
    """Why a call ended as it did; a closed list."""

    TOKEN_REFUSED = "token_refused", _("the portal does not know the token")
    PROCESS_GONE = "process_gone", _("the process no longer exists")
    PORTAL_GONE = "portal_gone", _("the portal is gone")
    WAIT_OVER = "wait_over", _("the process had stopped waiting")
    CODE_UNKNOWN = "code_unknown", _("no robot has this code")
    INPUT_WRONG = "input_wrong", _("an input can't be read")
    ROBOT_ERROR = "robot_error", _("the robot's code raised an error")
    OUTPUT_WRONG = "output_wrong", _("what the robot returned can't be sent")
    TIME_LIMIT = "time_limit", _("the robot ran too long")
    MEMORY = "memory", _("the robot used too much memory")
    PROCESS_DIED = "process_died", _("the robot's process died")
    SEND_REFUSED = "send_refused", _("the portal refused the result")
    TOKEN_UNREADABLE = "token_unreadable", _("no key opens the stored event token")
    DATA_UNREADABLE = "data_unreadable", _("what is stored for it can't be read")
    RESTORED = "restored", _("restored from a backup: whether it was answered since is not known")


class Confirmation(models.TextChoices):
    """How far it is known that a delivered result arrived (contract §7)."""

    NONE = "", _("nothing to confirm")
    LOOK = "look", _("will be looked for")
    REPEAT = "repeat", _("will be sent once more")
    CONFIRMED = "confirmed", _("arrived")
    UNOBSERVABLE = "unobservable", _("taken; arrival not observable on this plan")
    MAYBE = "maybe", _("may have arrived: the answer to a sending was lost")
    STUCK = "stuck", _("the portal took it, the process still waits")
