"""What a person does about a failed call, in sentences that hold: a replay has the same input and the same version.

So what lies in the input or in the definition is mended for the calls to come; this one is released.
"""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext as _

from handlers.models import Cause, Confirmation, Invocation, State


def what_to_do(invocation: Invocation) -> str:
    """'' is nothing. Wants the version (select_related)."""
    if invocation.followed_at is not None or invocation.acknowledged_at is not None:
        return ""
    if invocation.confirmation == Confirmation.STUCK:
        return _("Look at the process on the portal: it did not go on. Replay sends the result once more.")
    if invocation.state != State.FAILED or not invocation.cause:
        return ""
    if invocation.waits and is_late(invocation):
        return _(
            "Nothing can be sent for it any more. Correct the cause for the calls to come, then acknowledge it."
        )
    cause = Cause(invocation.cause)
    if cause == Cause.CODE_UNKNOWN and invocation.version is None:
        return _("Make or publish a robot with this code, then replay.")
    if cause == Cause.INPUT_WRONG:
        return " ".join(
            [
                _(
                    "A replay reads the same input again: it helps where the portal's date format or time zone was"
                    " wrong, once they are set right on the portal's page."
                ),
                _released(
                    invocation,
                    _(
                        "Otherwise correct, for the calls to come, what the automation fills in, or the property's"
                        " type or default (publish, push)."
                    ),
                ),
            ]
        )
    if cause in (Cause.ROBOT_ERROR, Cause.OUTPUT_WRONG) and not _is_python(invocation):
        return _released(
            invocation,
            _(
                "A replay computes with the same version, so correct the robot for the calls to come"
                " (publish, push)."
            ),
        )
    by_cause = {
        Cause.CODE_UNKNOWN: _("Install the code that the robot names, restart the workers, then replay."),
        Cause.ROBOT_ERROR: _("Correct the robot's code, then replay."),
        Cause.TIME_LIMIT: _("Make the robot quicker or raise ROBOT_TIME_LIMIT, then replay."),
        Cause.MEMORY: _("Let the robot use less memory or raise ROBOT_MEMORY_MB, then replay."),
        Cause.PROCESS_DIED: _("See the robot's code for what ends its process, then replay."),
        Cause.RESTORED: _(
            "Look at the process on the portal first. Where it went on, acknowledge this call; where it still waits,"
            " replay it: a new result is computed and sent."
        ),
        Cause.SEND_REFUSED: _("See what the portal said. Replay sends the same result again."),
        Cause.TOKEN_UNREADABLE: _(
            "Put the key that encrypted it back into ENCRYPTION_KEYS, restart all processes, then replay."
        ),
        Cause.DATA_UNREADABLE: _(
            "See below what can't be read. Where it is one of the portal's settings, put the key that"
            " encrypted it back into ENCRYPTION_KEYS, restart all processes, then replay. What is damaged only a"
            " backup has whole."
        ),
    }
    if cause == Cause.OUTPUT_WRONG:
        return _released(
            invocation,
            _(
                "Correct what the robot's code returns, then replay. An output that has to be declared first"
                " (publish, push) is there for the calls to come."
            ),
        )
    return by_cause.get(cause, "")


def is_late(invocation: Invocation) -> bool:
    """Whether its process has stopped waiting, by this machine's clock: words only, nothing is decided by it."""
    return invocation.deadline is not None and invocation.deadline <= timezone.now()


def _is_python(invocation: Invocation) -> bool:
    """Whether its code lies beside the version and can be mended under it."""
    return invocation.version is None or invocation.version.compute.get("type") == "python"


def _released(invocation: Invocation, sentence: str) -> str:
    """The sentence, and what is left to do about this call: its process is let go where it waits."""
    if invocation.waits:
        return f"{sentence} {_('Release lets this process go on.')}"
    return f"{sentence} {_('Acknowledge this call: nobody waits for it.')}"
