"""One request to one portal: up to 50 results, log lines and looks, each settled by its own answer.

Intent is committed before the request, the answer before anything else is done with it. No transaction is open
while the portal is spoken to.
"""

from __future__ import annotations

import datetime as dt
import time

import structlog
from django.db import connection, transaction

from handlers import attempts, claims, confirm, early, looks, settle, silence
from handlers.attempts import Note
from handlers.claims import Claim, Settlement
from handlers.computed import RESULT_UNREADABLE
from handlers.due import wake_when_due
from handlers.models import Cause, Sending
from handlers.outgoing import Outgoing, Request, arrange, load
from portals import trouble
from portals.batch import started
from portals.client import BatchAnswer, PortalClient
from portals.clock import db_now, now_sql
from portals.errors import (
    NEEDS_APPLICATION,
    NO_RIGHT,
    CommandRefused,
    Passes,
    PortalTrouble,
    RestError,
    UnknownAnswer,
)
from portals.failpoint import failpoint
from portals.keeper import Keeper
from portals.lease import Held
from portals.models import Portal

log = structlog.get_logger(__name__)

# The sender's place at an account, and how long it is kept without being renewed.
LEASE = 20.0
# A request that runs longer shrinks the portal's batches; one that is quick lets them grow (§9).
_LONG, _QUICK = 12.0, 4.0
# A row that goes alone is as many requests as it has lines and one more: each waits so long for the bucket.
_ALONE_PATIENCE = 30.0


def send_one(portal: Portal, held: Held, calm: bool) -> bool:
    """One request to one portal; False where others have taken its rows meanwhile."""
    now = db_now()
    owed = confirm.due(portal, now)
    kept_free = looks.places(portal, len(owed), calm)
    room = max(1, portal.batch_size - kept_free)
    with transaction.atomic():
        sending = Sending.objects.create(portal=portal, started_at=now)
        claimed = _claim(portal, sending.pk, room, calm)
        if not claimed and not (owed and calm):
            sending.delete()
            return False
    failpoint("delivery.claimed")
    rows, unreadable = load(claimed)
    _set_aside(unreadable)
    request = arrange(rows, room)
    claims.settle([settle.back(row, 0.0) for row in request.back])
    look = looks.Look()
    rides = not request.alone and kept_free and (calm or len(request.rows) >= 19)
    if rides and not (request.rows and silence.looks_go_apart(portal)):
        look = looks.compose(portal, owed, [row.invocation for row in request.rows], kept_free)
    if not request.rows and not look.commands:
        # Nothing to ask (this portal's plan has no looks): what that means is said without a request.
        sending.delete()
        claims.settle(confirm.read(portal, look, {}, {}, now, None).settlements)
        return bool(look.rows)
    _send(portal, sending, request, look, held)
    return True


def _claim(portal: Portal, sending_id: int, room: int, calm: bool) -> list[Claim]:
    """Nearest deadline first, then first come; quiet repeats when it is calm."""
    now = now_sql(connection.vendor)
    due = f"state = 'ready' AND portal_id = %s AND due_at <= {now}"
    found = claims.claim(
        f"{due} AND deadline > {now} ORDER BY deadline", [portal.pk], "sending", room, sending_id
    )
    if len(found) < room:
        found += claims.claim(
            f"{due} AND deadline IS NULL ORDER BY due_at, id",
            [portal.pk],
            "sending",
            room - len(found),
            sending_id,
        )
    if calm and len(found) < room:
        found += claims.claim(
            f"portal_id = %s AND confirm_at <= {now} AND state = 'delivered' AND confirmation = 'repeat'"
            " ORDER BY confirm_at",
            [portal.pk],
            "sending",
            room - len(found),
            sending_id,
        )
    return found


_UNREADABLE = {
    Cause.TOKEN_UNREADABLE: "No key of ENCRYPTION_KEYS opens its event token.",
    Cause.DATA_UNREADABLE: RESULT_UNREADABLE,
}


def _set_aside(unreadable: list[tuple[Claim, Cause]]) -> None:
    """Rows that can't be sent however often they are claimed end by themselves, and keep no other of the request."""
    if not unreadable:
        return
    with transaction.atomic():
        ours = claims.settle([settle.unreadable(*each) for each in unreadable])
        attempts.write(
            [Note(row.id, "send", why, _UNREADABLE[why]) for row, why in unreadable if row.id in ours]
        )
    log.error("event tokens or stored results can't be read", calls=len(ours))


def _send(portal: Portal, sending: Sending, request: Request, look: looks.Look, held: Held) -> None:
    claimed = [row.claim for row in request.rows]
    commands = {**look.commands, **request.commands()}
    sending.results = len(request.rows)
    sending.lines = sum(len(row.commands) - 1 for row in request.rows)
    sending.looks = len(look.rows)
    if not held.renew(LEASE):
        # Paused past its lease: somebody else sends here now, and may hold these rows already.
        log.warning("a sender was overtaken before it sent", portal=portal.pk)
        sending.delete()
        claims.settle([settle.back(row, 0.0) for row in request.rows])
        return
    failpoint("delivery.before_send")
    with Keeper(lambda: (claims.renew(claimed), held.renew(LEASE))):
        began = time.monotonic()
        try:
            client = PortalClient(portal, paid=True, patience=_ALONE_PATIENCE if request.alone else None)
            answer = _alone(client, request.rows[0]) if request.alone else client.batch(commands)
        except RestError as error:
            sending.seconds = time.monotonic() - began
            told = error if request.alone else _of_the_portal(portal, error)
            _settle_whole(portal, sending, request, look, told)
            return
    sending.seconds = time.monotonic() - began
    failpoint("delivery.answered")
    _settle_each(portal, sending, request, look, answer)


def _of_the_portal(portal: Portal, error: RestError) -> RestError:
    """A batch that is denied as a whole is the portal's trouble, never its rows' (contract §4)."""
    if not isinstance(error, CommandRefused) or error.meaning not in (NO_RIGHT, NEEDS_APPLICATION):
        return error
    denied = PortalTrouble(Portal.Trouble.NO_RIGHTS, error.code, error.text, error.status)
    trouble.record(portal, denied)
    return denied


def _alone(client: PortalClient, row: Outgoing) -> BatchAnswer:
    """The row's commands as requests of their own (a batch can't say them), answered as if in a batch.

    Lines of the log come first. One that can't go now puts off all that follow it, and nothing counts as sent: lines
    go with a first send only, so the rest of them would be lost.
    """
    answer = BatchAnswer()
    for key, (method, params) in row.commands.items():
        try:
            whole = client.ask(method, params)
            failpoint("delivery.one_alone")
            answer.results[key] = whole.get("result")
            answer.portal_time = started(whole)
        except UnknownAnswer:
            raise
        except PortalTrouble as error:
            if key != row.key or not answer.results:
                raise
            # Its lines are written, and go no more.
            answer.errors[key] = error
        except Passes as error:
            if key != row.key:
                raise
            answer.errors[key] = error
        except RestError as error:
            answer.errors[key] = error
    return answer


def _settle_each(
    portal: Portal, sending: Sending, request: Request, look: looks.Look, answer: BatchAnswer
) -> None:
    # When it was sent, not when the answer came: an early 404 is early, however long its neighbours took.
    now = sending.started_at
    done: list[Settlement] = []
    notes: list[Note] = []
    verdict = confirm.read(portal, look, answer.results, answer.errors, now, answer.portal_time)
    confirm.learn(portal, verdict)
    watched = next((row for row in request.rows if early.repeat_teaches(portal, row.invocation, now)), None)
    for row in request.rows:
        settlement, note = _answered(portal, row, answer, now, early.AFTERMATH if row is watched else None)
        done.append(settlement)
        if note is not None:
            notes.append(note)
    sending.portal_time = answer.portal_time
    _commit(sending, Sending.Outcome.ANSWERED, None, done + verdict.settlements, notes + verdict.notes)
    if any(_met_unsaved(portal, row, answer, sending.started_at) for row in request.rows):
        early.note_early(portal)
    _size_batches(portal, len(request.rows), sending.seconds or 0.0)


def _answered(
    portal: Portal, row: Outgoing, answer: BatchAnswer, now: dt.datetime, look_after: float | None
) -> tuple[Settlement, Note | None]:
    error = answer.errors.get(row.key)
    if error is not None:
        lined = any(key in answer.results for key in row.commands)
        return settle.refused(row, error, now, held=bool(portal.trouble), lined=lined)
    return settle.taken(row, portal, now, look_after), None


def _met_unsaved(portal: Portal, row: Outgoing, answer: BatchAnswer, sent: dt.datetime) -> bool:
    """A first send that came before its process was saved, on a portal that says so (§7)."""
    error = answer.errors.get(row.key)
    unsaved = error is not None and error.code == "404" and row.invocation.sends == 0
    return unsaved and early.teaches(portal, row.invocation, sent)


def _settle_whole(
    portal: Portal, sending: Sending, request: Request, look: looks.Look, error: RestError
) -> None:
    outcome = Sending.Outcome.TROUBLE
    if isinstance(error, UnknownAnswer):
        outcome = Sending.Outcome.UNKNOWN
    elif isinstance(error, Passes):
        outcome = Sending.Outcome.PASSES
    pairs = [settle.whole(row, error) for row in request.rows]
    now = db_now()
    # It may be the look that breaks the answer, or is not allowed, and then each of them does.
    in_vain = isinstance(error, (UnknownAnswer, CommandRefused))
    looked = [confirm.looked_in_vain(row, now) if in_vain else confirm.later(row, 30.0) for row in look.rows]
    _commit(
        sending,
        outcome,
        error,
        [pair[0] for pair in pairs] + looked,
        [pair[1] for pair in pairs if pair[1] is not None],
    )
    log.info("results not taken", portal=portal.pk, code=error.code, rows=len(request.rows))
    if isinstance(error, UnknownAnswer):
        silence.note(portal, sending, error)
    if isinstance(error, UnknownAnswer) and len(request.rows) > 1 and (sending.seconds or 0.0) > _LONG:
        _size_batches(portal, len(request.rows), sending.seconds or 0.0)


def _commit(
    sending: Sending,
    outcome: Sending.Outcome,
    error: RestError | None,
    settlements: list[Settlement],
    notes: list[Note],
) -> None:
    """The answer and all it means, in one transaction."""
    sending.outcome = outcome
    sending.answered_at = db_now()
    if error is not None:
        sending.code, sending.text = error.code[:64], error.text[:300]
    with transaction.atomic():
        sending.save()
        ours = claims.settle(settlements)
        failpoint("delivery.in_commit")
        attempts.write([note for note in notes if note.invocation_id in ours])
    wake_when_due(settlements)
    failpoint("delivery.committed")


def _size_batches(portal: Portal, rows: int, seconds: float) -> None:
    """The batch shrinks where it runs long (the continuation's time is inside, §9) and grows again."""
    size = portal.batch_size
    if seconds > _LONG and rows:
        size = max(1, int(rows * _LONG / 2 / seconds))
    elif seconds < _QUICK and size < 50 and rows >= size:
        size = min(50, size + max(1, size // 4))
    if size != portal.batch_size:
        portal.batch_size = size
        Portal.objects.filter(pk=portal.pk).update(batch_size=size)
