"""What the portal's answer makes of each row (contract §7). Pure decisions, no queries."""

from __future__ import annotations

import datetime as dt
from typing import Any

from handlers.attempts import Note
from handlers.claims import Claim, Settlement
from handlers.models import Confirmation
from handlers.outgoing import Outgoing
from portals import trouble
from portals.errors import CommandRefused, Passes, PortalTrouble, RestError, UnknownAnswer
from portals.models import Portal

# An older portal answers 404 while the process is not saved yet: it passes within this many seconds of the call.
SAVED_WITHIN = 30.0
# A process is looked for from this long after its call; before, "not listed" may mean not saved yet (§7).
LOOK_AFTER = 30.0
# Where nobody can look: one quiet repeat, later than a process can be locked.
REPEAT_AFTER = 310.0
# Refusals of unknown meaning are tried this often before a person must look.
SENDS_MAX = 8
_GONE = {"404", "499"}
_GOLDEN = (5**0.5 - 1) / 2


def taken(row: Outgoing, portal: Portal, now: dt.datetime, look_after: float | None = None) -> Settlement:
    """`true`: taken, not arrived. Decides what is still owed to know that it arrived.

    `look_after`: so many seconds after this quiet repeat the process is looked for, for what it tells of the portal.
    """
    arrival: dict[str, Any] = {"confirmation": "look"}
    if row.is_repeat:
        # Only a look that showed the process saved makes the repeat a proof.
        can_look = portal.instances in (Portal.Instances.LIST, Portal.Instances.SINGLE)
        observable = can_look and row.invocation.seen_listed
        arrival = {"confirmed": observable, "confirmation": "confirmed" if observable else "unobservable"}
        if observable:
            arrival["confirm_in"] = look_after
    elif portal.instances == Portal.Instances.ABSENT or not row.invocation.workflow_id:
        arrival = {"confirmation": "repeat", "confirm_in": REPEAT_AFTER}
    else:
        age = (now - row.invocation.called_at).total_seconds()
        arrival["confirm_in"] = max(LOOK_AFTER - age, 2.0)
    return _of(row, "sending", "delivered", row.invocation.cause, sent=True, ended=True, **arrival)


def refused(
    row: Outgoing, error: RestError, now: dt.datetime, held: bool = False, lined: bool = False
) -> tuple[Settlement, Note | None]:
    """The row's own error, by §7's table. `held`: the portal is in trouble, so nothing goes to it for now; `lined`:
    some of the row's lines are written."""
    note = Note(row.claim.id, "send", error.code or "error", str(error), sending_id=row.invocation.sending_id)
    if isinstance(error, PortalTrouble):
        # Of others' results the portal took some: nobody holds this one back but itself. Lines go with a first send
        # only, so where they are written it counts as one.
        return back(row, 0.0 if held else trouble.EVERY, sent=lined), None if held else note
    if isinstance(error, Passes):
        unknown = isinstance(error, UnknownAnswer)
        return back(row, _growing(row, error.retry_after), sent=True, maybe=unknown), note
    age = (now - row.invocation.called_at).total_seconds()
    if error.code == "404" and age < SAVED_WITHIN:
        return back(row, min(1.0 + row.invocation.sends, 5.0), sent=True), note
    if error.code in _GONE and row.is_repeat:
        # Taken before, and now the process is gone: it went on, with our result.
        return _of(
            row,
            "sending",
            "delivered",
            row.invocation.cause,
            sent=True,
            ended=True,
            confirmed=True,
            confirmation="confirmed",
        ), note
    if error.code in _GONE:
        if row.invocation.confirmation == Confirmation.MAYBE:
            # It was there when it called, and went on meanwhile: by the send whose answer was lost, or it was ended.
            note.text += " The answer to an earlier send was lost: it went on by that one, or was ended."
            return _of(
                row, "sending", "delivered", row.invocation.cause, sent=True, ended=True, confirmation="maybe"
            ), note
        return _of(row, "sending", "refused", "process_gone", sent=True, ended=True), note
    if error.code == "ACCESS_DENIED" and not row.is_repeat:
        return _of(row, "sending", "refused", "token_refused", sent=True, ended=True), note
    # Of a repeat, too: only a taken one says that the result is there, and a token that was good once stays so.
    if row.invocation.sends + 1 < SENDS_MAX:
        return back(row, _growing(row, 5.0), sent=True), note
    return _of(row, "sending", "failed", "send_refused", sent=True, ended=True), note


def whole(row: Outgoing, error: RestError) -> tuple[Settlement, Note | None]:
    """The request as a whole was not taken: the portal's trouble, never the row's."""
    if isinstance(error, PortalTrouble):
        return back(row, 0.0), None
    note = Note(row.claim.id, "send", error.code or "error", str(error), sending_id=row.invocation.sending_id)
    if isinstance(error, UnknownAnswer):
        # Perhaps taken, perhaps not: the same again is harmless (§7).
        return back(row, _growing(row, 1.0), sent=True, maybe=True), note
    if isinstance(error, Passes):
        return back(row, error.retry_after), None if error.code == "bucket" else note
    if isinstance(error, CommandRefused) and row.invocation.sends + 1 >= SENDS_MAX:
        return _of(row, "sending", "failed", "send_refused", sent=True, ended=True), note
    return back(row, _growing(row, 30.0), sent=True), note


def back(row: Outgoing, delay: float, sent: bool = False, maybe: bool = False) -> Settlement:
    """To be claimed again after `delay` seconds; a quiet repeat stays one. `maybe`: the portal may have taken it."""
    if row.is_repeat:
        return _of(
            row,
            "sending",
            "delivered",
            row.invocation.cause,
            sent=sent,
            ended=True,
            confirmation="repeat",
            confirm_in=max(delay, 1.0),
        )
    known = "maybe" if maybe or row.invocation.confirmation == Confirmation.MAYBE else ""
    return _of(row, "sending", "ready", row.invocation.cause, delay=delay, sent=sent, confirmation=known)


def unreadable(claim: Claim, cause: str) -> Settlement:
    """No key opens its event token, or its result is damaged: nothing of it can be sent until a person mends it."""
    return Settlement(claim.id, claim.fence, "sending", "failed", cause, ended=True)


def _growing(row: Outgoing, seconds: float) -> float:
    """Back-off by the number of sends, up to twice as long by the row's number, so that rows do not come back together.

    One command may break the answer to its whole request, and nobody says which: its neighbours must get away from
    it. The golden ratio keeps any two numbers apart, however they were dealt out, and with the number of sends no
    two rows are neighbours for ever.
    """
    sends = row.invocation.sends
    factor = min(2 ** min(sends, 6), 60)
    return min(max(seconds, 1.0) * factor, 300.0) * (1 + row.claim.id * (sends + 1) * _GOLDEN % 1)


def _of(row: Outgoing, was: str, state: str, cause: str = "", **more: Any) -> Settlement:
    return Settlement(row.claim.id, row.claim.fence, was, state, cause, **more)
