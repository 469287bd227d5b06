"""The story of a call in plain words, from the rows alone.

Whoever reads it needs no table of codes: every moment says what happened, when, and what follows from it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from handlers.attempt_words import title_of
from handlers.models import OPEN_STATES, Attempt, Cause, Confirmation, Invocation, Sending, State
from portals.models import Portal
from portals.panels import BAD, INFO, OFF, OK, WARN
from robots.texts import in_language

# Younger than this between call and receipt is the network, not news.
NOTED_WITHIN = dt.timedelta(seconds=1)
LATE = dt.timedelta(seconds=10)

TONES: dict[str, str] = {
    State.RECEIVED: INFO,
    State.COMPUTING: INFO,
    State.READY: INFO,
    State.SENDING: INFO,
    State.DELIVERED: OK,
    State.NOT_AWAITED: OK,
    State.EXPIRED: OFF,
    State.REFUSED: WARN,
    State.FAILED: BAD,
}


@dataclass(frozen=True)
class Moment:
    """One thing that happened. `at` None: not known exactly; `details`: further lines."""

    at: dt.datetime | None
    tone: str
    title: str
    details: list[str] = field(default_factory=list)
    sending: Sending | None = None
    ahead: bool = False


def tone_of(invocation: Invocation) -> str:
    """The colour that goes with its state; a taken result whose process still waits is not well."""
    if invocation.confirmation == Confirmation.STUCK:
        return BAD
    return TONES[invocation.state]


def headline(invocation: Invocation) -> str:
    """How the call stands, in one sentence."""
    state = State(invocation.state)
    if state == State.DELIVERED:
        return _delivered(invocation)
    cause = _cause(invocation)
    words = {
        State.RECEIVED: _("Taken in; its turn to be computed comes."),
        State.COMPUTING: _("Being computed."),
        State.READY: _("Computed; waits to be sent."),
        State.SENDING: _("Its result is on the way to the portal."),
        State.NOT_AWAITED: _("Computed. The process does not wait, so nothing is sent."),
        State.EXPIRED: _("The process stopped waiting before a result could be sent."),
        State.REFUSED: _("The portal takes no result for it: %(cause)s."),
        State.FAILED: _("Failed: %(cause)s. The process still waits for a person."),
    }
    if state == State.FAILED and not invocation.waits:
        return _("Failed: %(cause)s. The process did not wait.") % {"cause": cause}
    if state == State.READY and (held := _held(invocation.portal)):
        return _("Computed; waits to be sent: %(why)s.") % {"why": held}
    return words[state] % {"cause": cause}


def what_to_do(invocation: Invocation) -> str:
    """What the person does about it; '' is nothing."""
    if invocation.confirmation == Confirmation.STUCK:
        return _("Look at the process on the portal: it did not go on. Replay sends the result once more.")
    if invocation.state != State.FAILED:
        return ""
    by_cause = {
        Cause.CODE_UNKNOWN: _("Make or publish a robot with this code, then replay."),
        Cause.INPUT_WRONG: _(
            "Correct what the automation fills in, or the portal's date format; then replay."
        ),
        Cause.ROBOT_ERROR: _("Correct the robot's code, then replay."),
        Cause.OUTPUT_WRONG: _("Declare the output, or correct what the robot returns; then replay."),
        Cause.TIME_LIMIT: _("Make the robot quicker or raise ROBOT_TIME_LIMIT, then replay."),
        Cause.MEMORY: _("Let the robot use less memory or raise ROBOT_MEMORY_MB, then replay."),
        Cause.PROCESS_DIED: _("See the robot's code for what ends its process, then replay."),
        Cause.SEND_REFUSED: _("See what the portal said. Replay sends the same result again."),
    }
    return by_cause.get(Cause(invocation.cause), "") if invocation.cause else ""


def story(invocation: Invocation, attempts: Iterable[Attempt]) -> list[Moment]:
    """Every moment, the earliest first, what is still to come last.

    Wants portal, version and sending (select_related) and the attempts with their sending; makes no query.
    """
    attempts = list(attempts)
    moments = [*_arrival(invocation), *(_attempted(attempt) for attempt in attempts)]
    moments += [*_computing(invocation), *_sent(invocation), *_end(invocation, attempts)]
    known = sorted((m for m in moments if m.at is not None), key=lambda m: _place(m, invocation, attempts))
    return known + [m for m in moments if m.at is None] + _to_come(invocation)


def _place(moment: Moment, invocation: Invocation, attempts: list[Attempt]) -> dt.datetime:
    """Where it stands: why a call ended is noted right after its end, and told before it."""
    at = moment.at or invocation.received_at
    noted = [each.at for each in attempts if at <= each.at < at + NOTED_WITHIN]
    return max(noted, default=at) if at is invocation.ended_at else at


def _arrival(invocation: Invocation) -> list[Moment]:
    details = []
    if invocation.run == 1 and invocation.received_at - invocation.called_at > LATE:
        late = int((invocation.received_at - invocation.called_at).total_seconds())
        details.append(
            _("The portal had made the call %(seconds)s s earlier (%(when)s).")
            % {"seconds": number_format(late), "when": _clock(invocation.called_at)}
        )
    if not invocation.waits:
        details.append(_("The process does not wait for a result."))
    elif invocation.deadline is not None:
        details.append(_("The process waits, at most until %(when)s") % {"when": _clock(invocation.deadline)})
    else:
        details.append(_("The process waits until it gets an answer, for ever if need be."))
    if invocation.repeats:
        details.append(
            ngettext(
                "The same call came once more; it is one call all the same.",
                "The same call came %(n)d times more; it is one call all the same.",
                invocation.repeats,
            )
            % {"n": invocation.repeats}
        )
    if invocation.run > 1:
        title = _("Run %(run)d of this call began, by replay") % {"run": invocation.run}
    else:
        title = _("Received from %(portal)s") % {"portal": invocation.portal}
    return [Moment(invocation.received_at, INFO, title, details)]


def _attempted(attempt: Attempt) -> Moment:
    details = [attempt.text] if attempt.text else []
    where = attempt.detail or {}
    if isinstance(where, dict) and where.get("file"):
        details.append(
            _("%(type)s in %(file)s, line %(line)s")
            % {"type": where.get("type", ""), "file": where["file"], "line": where.get("line", "?")}
        )
    tone = INFO if attempt.step in (Attempt.Step.PERSON, Attempt.Step.ACCEPT, Attempt.Step.CONFIRM) else WARN
    return Moment(attempt.at, tone, title_of(attempt), details, attempt.sending)


def _computing(invocation: Invocation) -> list[Moment]:
    if invocation.computed_at is None:
        if invocation.state == State.COMPUTING and invocation.started_at:
            return [Moment(invocation.started_at, INFO, _("Computing began"))]
        return []
    details = []
    if invocation.started_at and invocation.computed_at >= invocation.started_at:
        took = (invocation.computed_at - invocation.started_at).total_seconds()
        details.append(_("It took %(seconds)s s.") % {"seconds": number_format(took, decimal_pos=3)})
    if invocation.revision:
        details.append(_("Code revision %(revision)s.") % {"revision": invocation.revision})
    if invocation.tries > 1:
        details.append(_("At try %(n)d.") % {"n": invocation.tries})
    version = invocation.version
    title = (
        _("Computed by %(code)s, version %(number)d") % {"code": version.code, "number": version.number}
        if version
        else _("Computed")
    )
    return [Moment(invocation.computed_at, OK, title, details)]


def _sent(invocation: Invocation) -> list[Moment]:
    sending = invocation.sending
    if invocation.sent_at is None and sending is None:
        return []
    details = []
    if sending is not None:
        details.append(
            ngettext("In a batch of %(n)d result.", "In a batch of %(n)d results.", sending.results)
            % {"n": sending.results}
        )
        details.append(_answer(sending))
    if invocation.sends > 1:
        details.append(
            ngettext("Sent %(n)d time in all.", "Sent %(n)d times in all.", invocation.sends)
            % {"n": invocation.sends}
        )
    at = sending.started_at if sending is not None else invocation.sent_at
    return [Moment(at, INFO, _("Sent to the portal"), details, sending)]


def _answer(sending: Sending) -> str:
    took = number_format(sending.seconds, decimal_pos=3) if sending.seconds is not None else "?"
    if sending.outcome == Sending.Outcome.OPEN:
        return _("The answer has not come yet.")
    if sending.outcome == Sending.Outcome.ANSWERED:
        return _("The portal answered after %(seconds)s s.") % {"seconds": took}
    return f"{sending.get_outcome_display()}: {sending.code} {sending.text}".strip()


def _end(invocation: Invocation, attempts: list[Attempt]) -> list[Moment]:
    moments = []
    if invocation.released_at is not None:
        title = _("Released: the process may go on with empty values")
        moments.append(Moment(invocation.released_at, WARN, title))
    if invocation.ended_at is not None:
        title = str(State(invocation.state).label).capitalize()
        details = []
        if invocation.state == State.DELIVERED:
            title = _("The portal took the result")
        elif invocation.cause:
            details.append(_cause(invocation).capitalize() + ".")
        moments.append(Moment(invocation.ended_at, TONES[invocation.state], title, details))
    if invocation.confirmed_at is not None:
        moments.append(
            Moment(invocation.confirmed_at, OK, _("Arrival confirmed"), [_how(invocation, attempts)])
        )
    elif invocation.confirmation == Confirmation.UNOBSERVABLE:
        details = [_("This portal's plan does not let us ask for its processes.")]
        moments.append(Moment(None, INFO, _("Arrival can't be observed; sent twice to be sure"), details))
    elif invocation.confirmation == Confirmation.STUCK:
        moments.append(Moment(None, BAD, _("The portal took the result, yet the process still waits")))
    return moments


def _how(invocation: Invocation, attempts: list[Attempt]) -> str:
    if invocation.portal.instances == Portal.Instances.ABSENT:
        return _("The same result was sent once more; a token is spent once.")
    if any(attempt.step == Attempt.Step.CONFIRM for attempt in attempts):
        return _("The portal was asked for the process, and the result sent again where it had been lost.")
    return _("The portal was asked for the process: it has gone on.")


def _to_come(invocation: Invocation) -> list[Moment]:
    moments = []
    if invocation.state in OPEN_STATES:
        held = _held(invocation.portal)
        if held:
            moments.append(Moment(None, WARN, _("Held: %(why)s") % {"why": held}, ahead=True))
        elif invocation.state in (State.RECEIVED, State.READY):
            step = _("Next: computing") if invocation.state == State.RECEIVED else _("Next: sending")
            moments.append(Moment(invocation.due_at, OFF, step, ahead=True))
        if invocation.deadline is not None:
            moments.append(Moment(invocation.deadline, OFF, _("The process stops waiting"), ahead=True))
    elif invocation.confirm_at is not None:
        step = (
            _("Next: the same result once more, to be sure")
            if invocation.confirmation == Confirmation.REPEAT
            else _("Next: the portal is asked whether it arrived")
        )
        moments.append(Moment(invocation.confirm_at, OFF, step, ahead=True))
    return moments


def _delivered(invocation: Invocation) -> str:
    if invocation.confirmation == Confirmation.STUCK:
        return _("The portal took the result, yet the process still waits.")
    if invocation.released_at is not None:
        return _("Released: the process went on with empty values.")
    if invocation.confirmed_at is not None:
        return _("The portal took the result, and it arrived.")
    if invocation.confirmation == Confirmation.UNOBSERVABLE:
        return _("The portal took the result; arrival can't be observed on its plan.")
    if invocation.confirm_at is not None:
        return _("The portal took the result; its arrival will be looked for.")
    return _("The portal took the result.")


def _held(portal: Portal) -> str:
    """Why nothing goes to the portal now; '' where it does."""
    if portal.state == Portal.State.UNINSTALLED:
        return _("the application is uninstalled there")
    if portal.paused_at is not None:
        return _("the portal is paused")
    if portal.trouble and portal.trouble != Portal.Trouble.LIMITED:
        return str(portal.get_trouble_display())
    return ""


def _cause(invocation: Invocation) -> str:
    return str(invocation.get_cause_display()) if invocation.cause else _("no cause was noted")


def _clock(moment: dt.datetime) -> str:
    return date_format(timezone.localtime(moment), "DATETIME_FORMAT")


def robot_name(invocation: Invocation, payload: dict[str, object]) -> str:
    """The robot's name as its version gave it, else its code."""
    return in_language(payload.get("NAME")) or invocation.robot_code
