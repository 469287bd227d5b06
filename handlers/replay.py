"""What a person does to a call: replay it, release the process that waits, or acknowledge that it failed (design §2).

A token has one result for ever. Where any run of the token stored one, a replay sends that one again; a new
result may be computed and sent only where none was ever stored. It is computed by the call's own version, or, where
its code was unknown when it came, by the one that acceptance would choose now.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from handlers import attempts, claims
from handlers.attempts import Note
from handlers.claims import Settlement
from handlers.computed import result_text
from handlers.models import OPEN_STATES, Confirmation, Invocation, InvocationResult, State
from portals.clock import db_now
from portals.wake import wake
from robots.models import Registration, RobotVersion


class CannotReplay(Exception):
    """The call can't be replayed or released as it stands; the message says why."""


def stored_result(invocation: Invocation) -> str:
    """The token's one result, whichever run stored it; '' where none did."""
    found = (
        InvocationResult.objects.filter(
            invocation__portal_id=invocation.portal_id, invocation__token_hash=bytes(invocation.token_hash)
        )
        .order_by("invocation__run")
        .values_list("result", flat=True)
        .first()
    )
    return found or ""


def replay(invocation: Invocation, by: str, why: str) -> Invocation:
    """A new run of the same call; the former stays as it ended. Raises CannotReplay."""
    with transaction.atomic():
        runs = Invocation.objects.filter(
            portal_id=invocation.portal_id, token_hash=bytes(invocation.token_hash)
        )
        newest = runs.latest("run")
        if newest.state in OPEN_STATES:
            raise CannotReplay(_("A run of this call is still open."))
        version_id = invocation.version_id or version_sought(invocation)
        if version_id is None:
            raise CannotReplay(_("No robot with this code is published. Publish one, then replay."))
        if invocation.deadline is not None and invocation.deadline <= db_now():
            raise CannotReplay(_("The process has stopped waiting for this call."))
        # From here on nobody else releases or replays it; what a release stored just before is seen below.
        if not claims.follow(newest.pk):
            raise CannotReplay(_("The call has changed meanwhile. Look at it again."))
        result = stored_result(invocation)
        if result and not invocation.waits:
            raise CannotReplay(_("The robot does not wait: nothing is sent for it."))
        again = _new_run(invocation, newest.run + 1, result, version_id)
        attempts.write([Note(again.pk, "person", "replay", why, actor=by)])
    wake("deliver" if result else "compute")
    return again


def release(invocation: Invocation, by: str, why: str) -> Invocation:
    """Lets the portal's process go on with empty values and `why` in its log. Raises CannotReplay.

    The empty values become the token's one result, so nothing else can be sent for it afterwards.
    """
    if not invocation.waits:
        raise CannotReplay(_("The robot does not wait: there is nothing to release."))
    if invocation.followed_at is not None:
        raise CannotReplay(_("The call was run again: its latest run is the one to decide about."))
    if stored_result(invocation):
        raise CannotReplay(_("A result is stored for this call already. Replay sends it again."))
    if invocation.state != State.FAILED:
        raise CannotReplay(_("Only a failed call can be released."))
    if invocation.deadline is not None and invocation.deadline <= db_now():
        raise CannotReplay(_("The process has stopped waiting for this call."))
    with transaction.atomic():
        ours = claims.settle(
            [
                Settlement(
                    invocation.pk,
                    invocation.fence,
                    "failed",
                    "ready",
                    invocation.cause,
                    released=True,
                    result=result_text({}, why),
                )
            ]
        )
        if not ours:
            raise CannotReplay(_("The call has changed meanwhile. Look at it again."))
        # Where it comes to nothing, it is news again.
        Invocation.objects.filter(pk=invocation.pk).update(acknowledged_at=None)
        attempts.write([Note(invocation.pk, "person", "release", why, actor=by)])
    wake("deliver")
    invocation.refresh_from_db()
    return invocation


def acknowledge(invocation: Invocation, by: str, why: str) -> Invocation:
    """It asks for a person no longer; nothing is computed or sent. Raises CannotReplay.

    For what nothing else ends: nobody waits (any more), or a person has seen to the process on the portal. It may be
    replayed or released afterwards all the same.
    """
    unseen = Invocation.objects.filter(
        Q(state=State.FAILED) | Q(confirmation=Confirmation.STUCK),
        pk=invocation.pk,
        followed_at=None,
        acknowledged_at=None,
    )
    with transaction.atomic():
        if not unseen.update(acknowledged_at=db_now()):
            raise CannotReplay(_("It asks for nobody: it did not fail, was run again or acknowledged."))
        attempts.write([Note(invocation.pk, "person", "acknowledge", why, actor=by)])
    invocation.refresh_from_db()
    return invocation


def version_sought(invocation: Invocation) -> int | None:
    """The version that acceptance would choose now: the one last pushed there, else the latest published."""
    application = invocation.portal.application_id
    pushed = Registration.objects.filter(
        portal_id=invocation.portal_id,
        robot__application_id=application,
        robot__code=invocation.robot_code,
        pushed_version__isnull=False,
    )
    latest = RobotVersion.objects.filter(robot__application_id=application, code=invocation.robot_code)
    return (
        pushed.values_list("pushed_version_id", flat=True).first()
        or latest.order_by("-number").values_list("pk", flat=True).first()
    )


def _new_run(invocation: Invocation, run: int, result: str, version_id: int) -> Invocation:
    now = db_now()
    again = Invocation.objects.create(
        portal_id=invocation.portal_id,
        token_hash=bytes(invocation.token_hash),
        run=run,
        robot_code=invocation.robot_code,
        lane_portal_id=invocation.portal_id,
        lane_robot=invocation.robot_code,
        version_id=version_id,
        workflow_id=invocation.workflow_id,
        document_id=invocation.document_id,
        document_type=invocation.document_type,
        waits=invocation.waits,
        state=State.READY if result else State.RECEIVED,
        due_at=now,
        deadline=invocation.deadline,
        called_at=invocation.called_at,
        received_at=now,
        event_token=bytes(invocation.event_token),
        call=invocation.call,
        # Nothing of the earlier run's log lines is written twice: a stored result is a repeat.
        sends=1 if result else 0,
    )
    if result:
        InvocationResult.objects.create(invocation=again, result=result)
    return again
