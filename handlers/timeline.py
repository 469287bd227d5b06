"""The story of a call in plain words, from the rows alone.

Whoever reads it needs no table of codes: every moment says what happened, when, and what follows from it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.utils.formats import number_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from handlers.advice import is_late
from handlers.advice import what_to_do as what_to_do
from handlers.attempt_words import details_of, title_of, words_of
from handlers.clock_words import clock
from handlers.models import OPEN_STATES, Attempt, Cause, Confirmation, Invocation, Sending, State
from portals import error_words
from portals.models import Portal
from portals.panels import BAD, INFO, OFF, OK, WARN, badge
from robots.texts import in_language

# Younger than this between call and receipt is the network, not news.
LATE = dt.timedelta(seconds=10)
# What went wrong is noted right after the row was settled by it, in the next statement.
NOTED_WITHIN = dt.timedelta(seconds=1)

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
    """The colour that goes with its state; a taken result whose process still waits is not well, and what needs
    nobody any more is not bad."""
    tone = BAD if invocation.confirmation == Confirmation.STUCK else TONES[invocation.state]
    return OFF if tone == BAD and not needs_a_person(invocation) else tone


def state_badge(invocation: Invocation) -> SafeString:
    """Its state in its colour; that a person must look is said only where it is so."""
    failed = invocation.state == State.FAILED and not needs_a_person(invocation)
    return badge(tone_of(invocation), _("failed") if failed else invocation.get_state_display())


def needs_a_person(invocation: Invocation) -> bool:
    """As `attention` finds it: failed or stuck, and neither run again nor acknowledged."""
    bad = invocation.state == State.FAILED or invocation.confirmation == Confirmation.STUCK
    return bad and invocation.followed_at is None and invocation.acknowledged_at is None


def headline(invocation: Invocation) -> str:
    """How the call stands, in one sentence or two."""
    if invocation.followed_at is not None:
        again = _("It was run again since; its latest run tells how the call stands.")
        return f"{_how_it_ended(invocation)} {again}"
    if invocation.acknowledged_at is not None and invocation.state == State.FAILED:
        return f"{_failed(invocation)} {_('A person has acknowledged it.')}"
    return _how_it_ended(invocation)


def _how_it_ended(invocation: Invocation) -> str:
    state = State(invocation.state)
    if state == State.DELIVERED:
        return _delivered(invocation)
    if state == State.FAILED:
        return _failed(invocation)
    cause = _cause(invocation)
    words = {
        State.RECEIVED: _("Taken in; its turn to be computed comes."),
        State.COMPUTING: _("Being computed."),
        State.READY: _("Computed; waits to be sent."),
        State.SENDING: _("Its result is on the way to the portal."),
        State.NOT_AWAITED: _("Computed. The process does not wait, so nothing is sent."),
        State.EXPIRED: _("The process stopped waiting before a result could be sent."),
        State.REFUSED: _("The portal takes no result for it: %(cause)s."),
    }
    if state == State.READY and (held := _held(invocation.portal)):
        return _("Computed; waits to be sent: %(why)s.") % {"why": held}
    return words[state] % {"cause": cause}


def _failed(invocation: Invocation) -> str:
    cause = _cause(invocation)
    if invocation.followed_at is not None:
        return _("Failed: %(cause)s.") % {"cause": cause}
    if not invocation.waits:
        return _("Failed: %(cause)s. The process did not wait.") % {"cause": cause}
    if invocation.deadline is not None and is_late(invocation):
        when = clock(invocation.deadline)
        words = _("Failed: %(cause)s. The process waited until %(when)s and went on without a result.")
        return words % {"cause": cause, "when": when}
    if invocation.cause == Cause.RESTORED:
        return _("Restored from a backup: whether the process still waits, only the portal can tell.")
    return _("Failed: %(cause)s. The process still waits for a person.") % {"cause": cause}


def story(invocation: Invocation, attempts: Iterable[Attempt]) -> list[Moment]:
    """Every moment, the earliest first, what is still to come last.

    At equal times the order of the steps. Wants portal, version, sending and stored (select_related) and the
    attempts with their sending; makes no query.
    """
    attempts = list(attempts)
    moments = [*_arrival(invocation), *(_attempted(attempt, invocation) for attempt in attempts)]
    moments += [*_computing(invocation), *_sent(invocation)]
    placed = [(moment.at, moment) for moment in moments]
    placed += [(_after_its_reason(moment.at, attempts), moment) for moment in _end(invocation, attempts)]
    known = [(at, number, moment) for number, (at, moment) in enumerate(placed) if at is not None]
    told = [moment for _at, _number, moment in sorted(known, key=lambda each: each[:2])]
    return told + [moment for at, moment in placed if at is None] + _to_come(invocation)


def _after_its_reason(at: dt.datetime | None, attempts: list[Attempt]) -> dt.datetime | None:
    """Where an end belongs in the order: what led to it was noted a moment later, and stands before it."""
    if at is None:
        return None
    return max([at, *(note.at for note in attempts if at < note.at <= at + NOTED_WITHIN)])


def _arrival(invocation: Invocation) -> list[Moment]:
    details = []
    if invocation.run == 1 and invocation.received_at - invocation.called_at > LATE:
        late = int((invocation.received_at - invocation.called_at).total_seconds())
        details.append(
            _("The portal had made the call %(seconds)s s earlier (%(when)s).")
            % {"seconds": number_format(late), "when": clock(invocation.called_at)}
        )
    if not invocation.waits:
        details.append(_("The process does not wait for a result."))
    elif invocation.deadline is not None:
        details.append(_("The process waits, at most until %(when)s") % {"when": clock(invocation.deadline)})
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


def _attempted(attempt: Attempt, invocation: Invocation) -> Moment:
    tone = INFO if attempt.step in (Attempt.Step.PERSON, Attempt.Step.ACCEPT, Attempt.Step.CONFIRM) else WARN
    return Moment(attempt.at, tone, title_of(attempt), details_of(attempt, invocation), attempt.sending)


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
        details.append(_revision(invocation))
    if invocation.tries > 1:
        details.append(_("At try %(n)d.") % {"n": invocation.tries})
    version = invocation.version
    title = (
        _("Computed by %(code)s, version %(number)d") % {"code": version.code, "number": version.number}
        if version
        else _("Computed")
    )
    return [Moment(invocation.computed_at, OK, title, details)]


def _revision(invocation: Invocation) -> str:
    """What computed, beside the version: the expression language's edition, or which Python source."""
    compute = invocation.version.compute if invocation.version else {}
    if compute.get("type") == "expression":
        words = _("By the hub's expression language, edition %(revision)s.")
    else:
        words = _("Code revision %(revision)s (fingerprint of the robot's source file as it was loaded).")
    return words % {"revision": invocation.revision}


def _sent(invocation: Invocation) -> list[Moment]:
    sending = invocation.sending
    if invocation.sent_at is None and sending is None:
        return []
    details = []
    # A portal in trouble took nothing, if it was asked at all.
    held_up = sending is not None and sending.outcome == Sending.Outcome.TROUBLE
    if sending is not None:
        if not held_up:
            details.append(
                ngettext("In a batch of %(n)d result.", "In a batch of %(n)d results.", sending.results)
                % {"n": sending.results}
            )
        details.append(_answer(sending))
    if invocation.sends > (0 if held_up else 1):
        details.append(
            ngettext("Sent %(n)d time in all.", "Sent %(n)d times in all.", invocation.sends)
            % {"n": invocation.sends}
        )
    at = sending.started_at if sending is not None else invocation.sent_at
    title = _("Held up by the portal's trouble") if held_up else _("Sent to the portal")
    return [Moment(at, WARN if held_up else INFO, title, details, sending)]


def _answer(sending: Sending) -> str:
    took = number_format(sending.seconds, decimal_pos=3) if sending.seconds is not None else "?"
    if sending.outcome == Sending.Outcome.OPEN:
        return _("The answer has not come yet.")
    if sending.outcome == Sending.Outcome.ANSWERED:
        return _("The portal answered after %(seconds)s s.") % {"seconds": took}
    parts = (words_of(sending.code) if sending.code else "", error_words.beside(sending.code, sending.text))
    return ": ".join([sending.get_outcome_display(), *(part for part in parts if part)])


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
            if invocation.confirmation == Confirmation.MAYBE:
                title = _("The answer to a sending was lost, and then the process was gone")
        elif invocation.cause:
            details.append(_cause(invocation).capitalize() + ".")
        moments.append(Moment(invocation.ended_at, TONES[invocation.state], title, details))
    if invocation.confirmed_at is not None:
        moments.append(
            Moment(invocation.confirmed_at, OK, _("Arrival confirmed"), [_how(invocation, attempts)])
        )
    elif invocation.confirmation == Confirmation.UNOBSERVABLE:
        absent = invocation.portal.instances == Portal.Instances.ABSENT
        # Elsewhere looks failed, or proved nothing.
        details = [_("This portal's plan does not let us ask for its processes.")] if absent else []
        moments.append(Moment(None, INFO, _("Arrival can't be observed; sent twice to be sure"), details))
    elif invocation.confirmation == Confirmation.STUCK:
        moments.append(Moment(None, BAD, _("The portal took the result, yet the process still waits")))
    if invocation.followed_at is not None:
        moments.append(Moment(invocation.followed_at, INFO, _("A later run goes on with the call")))
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
    elif invocation.confirm_at is not None and invocation.confirmed_at is None:
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
    if invocation.confirmation == Confirmation.MAYBE:
        return _(
            "Sent, and the answer lost; then the process was gone: it went on by that sending, or was ended."
        )
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


def robot_name(invocation: Invocation, payload: dict[str, object]) -> str:
    """The robot's name as its version gave it, else its code."""
    return in_language(payload.get("NAME")) or invocation.robot_code
