"""Results on their way: one sender an account, up to 50 results a request, each settled by its own answer.

Intent is committed before the request, the answer before anything else is done with it. No transaction is open
while the portal is spoken to. An account is a `member_id`: two applications on one portal share its bucket and
its processes, and results of one process never travel in two requests at once (contract §4, §7).
"""

from __future__ import annotations

import datetime as dt
import random
import time

import structlog
from django.db import connection, transaction

from handlers import attempts, claims, confirm, settle, slots, waits
from handlers.attempts import Note
from handlers.claims import Claim, Settlement
from handlers.keeper import Keeper
from handlers.models import Sending
from handlers.outgoing import Outgoing, Request, arrange, load
from portals import bucket, lease, trouble
from portals.batch import started
from portals.client import BatchAnswer, PortalClient
from portals.clock import after_sql, db_now, now_sql
from portals.errors import Passes, PortalTrouble, RestError, UnknownAnswer
from portals.failpoint import failpoint
from portals.lease import Held
from portals.models import Portal
from portals.wake import wake

log = structlog.get_logger(__name__)

LEASE = 20.0
# A child that finds all buckets empty waits this long at a time, and this long in all, before it leaves.
_NAP, _NAPS = 0.5, 20.0
# While the bucket is scarce, a batch is filled for at most this long.
_FILL_SECONDS = 1.0
# However many calls a portal in trouble makes, it is not asked more often than this.
_TROUBLE_REST = 5.0
# A request that runs longer shrinks the portal's batches; one that is quick lets them grow (§9).
_LONG, _QUICK = 12.0, 4.0


def work() -> None:
    """What a `deliver` wake does: accounts in turn while any takes something, in a place of this worker."""
    place = slots.take_delivering()
    if place is None:
        return
    waited = 0.0
    try:
        while True:
            soonest = _round(place)
            if soonest is None or waited > _NAPS:
                return
            if soonest > 0:
                nap = min(soonest, _NAP)
                waited += nap
                time.sleep(nap)
            else:
                waited = 0.0
            place.renew(slots.SECONDS)
    finally:
        place.release()


def deliver_now(portal: Portal) -> None:
    """One request to this portal's account by whoever has just computed for it; the rest is `work`'s.

    A call of its own shows that a portal in trouble lives: it is asked again at once, but for the last seconds.
    """
    if trouble.seconds_until_asked(portal) < trouble.EVERY - _TROUBLE_REST:
        trouble.ask_now(portal.pk)
    found = _with_work(portal.member_id)
    if (found and _serve(found) != 0.0) or (found and _with_work(portal.member_id)):
        wake("deliver")


def _round(place: Held) -> float | None:
    """Serves each account once: 0.0 where something went out, else seconds until it is worth while, None: idle."""
    accounts: dict[str, list[Portal]] = {}
    for portal in _with_work():
        accounts.setdefault(portal.member_id, []).append(portal)
    soonest: float | None = None
    for portals in accounts.values():
        wait = _serve(portals)
        if wait is not None:
            soonest = wait if soonest is None else min(soonest, wait)
        place.renew(slots.SECONDS)
    return _next_due() if soonest is None else soonest


def _next_due() -> float | None:
    """Seconds until the next result is due, where that is sooner than a sweep would find it; else None."""
    soon = after_sql(connection.vendor, "%s")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM portals_portal p WHERE p.state = 'installed' AND p.paused_at IS NULL AND p.trouble = ''"
            " AND EXISTS (SELECT 1 FROM handlers_invocation i WHERE i.portal_id = p.id AND i.state = 'ready'"
            f" AND i.due_at > {now_sql(connection.vendor)} AND i.due_at <= {soon}) LIMIT 1",
            [2 * _NAP],
        )
        return _NAP / 2 if cursor.fetchone() else None


def _with_work(member_id: str | None = None) -> list[Portal]:
    """Portals that may be spoken to and have a result, a repeat or a look due."""
    now = now_sql(connection.vendor)
    one = "AND p.member_id = %s" if member_id else ""
    sql = (
        "SELECT p.* FROM portals_portal p WHERE p.state = 'installed' AND p.paused_at IS NULL"
        f" AND (p.trouble = '' OR p.ask_again_at IS NULL OR p.ask_again_at <= {now}) {one} AND ("
        "EXISTS (SELECT 1 FROM handlers_invocation i WHERE i.portal_id = p.id AND i.state = 'ready'"
        f" AND i.due_at <= {now})"
        " OR EXISTS (SELECT 1 FROM handlers_invocation i WHERE i.portal_id = p.id"
        f" AND i.confirm_at <= {now}))"
    )
    return list(Portal.objects.raw(sql, [member_id] if member_id else []))


def _serve(portals: list[Portal]) -> float | None:
    """One request to one account: 0.0 sent, None where nothing may go or another sends, else seconds to wait."""
    member_id = portals[0].member_id
    held = lease.take(f"send:{member_id}", LEASE)
    if held is None:
        return None
    try:
        calm = _is_calm(member_id)
        soonest: float | None = None
        # Two applications on one portal take turns.
        for portal in random.sample(portals, len(portals)):
            waits.end_waits(portal.pk)
            wait = _too_early(portal, calm)
            if wait == 0.0:
                wait = bucket.take(member_id)
                if wait == 0.0 and _send_one(portal, held, calm):
                    return 0.0
            if wait:
                soonest = wait if soonest is None else min(soonest, wait)
        return soonest
    finally:
        held.release()


def _too_early(portal: Portal, calm: bool) -> float | None:
    """0.0 where a request is worth it now, else seconds until it may be; None: nothing is due.

    While the bucket is scarce a batch is filled, for as long as rows of this portal are still being computed and
    none has waited for long; looks and quiet repeats alone wait until it is calm (contract §7).
    """
    now = now_sql(connection.vendor)
    rows = "SELECT 1 FROM handlers_invocation WHERE portal_id = %s AND"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT (SELECT COUNT(*) FROM ({rows} state = 'ready' AND due_at <= {now} LIMIT %s) AS ready),"
            f" EXISTS ({rows} state = 'ready' AND due_at <= {after_sql(connection.vendor, '%s')}),"
            f" EXISTS ({rows} state = 'received' AND due_at <= {now}), EXISTS ({rows} confirm_at <= {now})",
            [portal.pk, portal.batch_size, portal.pk, -_FILL_SECONDS, portal.pk, portal.pk],
        )
        ready, waited, more, owed = cursor.fetchone()
    if ready:
        return 0.0 if calm or ready >= portal.batch_size or waited or not more else _FILL_SECONDS / 4
    if owed:
        return 0.0 if calm else _NAP
    return None


def _send_one(portal: Portal, held: Held, calm: bool) -> bool:
    """One request to one portal; False where others have taken its rows meanwhile."""
    now = db_now()
    looks = confirm.due(portal, now)
    kept_free = confirm.places(portal, len(looks), calm)
    room = max(1, portal.batch_size - kept_free)
    with transaction.atomic():
        sending = Sending.objects.create(portal=portal, started_at=now)
        head, claimed = _claim(portal, sending.pk, room, calm)
        if not claimed and not (looks and calm):
            sending.delete()
            return False
    failpoint("delivery.claimed")
    rows = load(claimed)
    request = arrange(rows, room, head)
    claims.settle([settle.back(row, 0.0) for row in request.back])
    look = confirm.Look()
    if not request.alone and kept_free and (calm or len(request.rows) >= 19):
        look = confirm.compose(portal, looks, [row.invocation for row in request.rows], kept_free)
    if not request.rows and not look.commands:
        # Nothing to ask (this portal's plan has no looks): what that means is said without a request.
        sending.delete()
        claims.settle(confirm.read(portal, look, {}, {}, now, None).settlements)
        return bool(look.rows)
    _send(portal, sending, request, look, held)
    return True


def _claim(portal: Portal, sending_id: int, room: int, calm: bool) -> tuple[int, list[Claim]]:
    """(the most urgent row's id, rows): nearest deadline first, then first come; quiet repeats when it is calm."""
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
    return (found[0].id if found else 0), found


def _is_calm(member_id: str) -> bool:
    """Whether the account's bucket is at least half empty: looks and repeats may have requests of their own."""
    state = bucket.snapshot(member_id)
    return state.blocked_for <= 0 and state.level <= state.capacity / 2


def _send(portal: Portal, sending: Sending, request: Request, look: confirm.Look, held: Held) -> None:
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
            client = PortalClient(portal, paid=True)
            answer = _alone(client, request.rows[0]) if request.alone else client.batch(commands)
        except RestError as error:
            sending.seconds = time.monotonic() - began
            _settle_whole(portal, sending, request, look, error)
            return
    sending.seconds = time.monotonic() - began
    failpoint("delivery.answered")
    _settle_each(portal, sending, request, look, answer)


def _alone(client: PortalClient, row: Outgoing) -> BatchAnswer:
    """The row's commands as requests of their own (a batch can't say them), answered as if in a batch."""
    answer = BatchAnswer()
    for key, (method, params) in row.commands.items():
        try:
            whole = client.ask(method, params)
            failpoint("delivery.one_alone")
            answer.results[key] = whole.get("result")
            answer.portal_time = started(whole)
        except (UnknownAnswer, PortalTrouble):
            raise
        except RestError as error:
            answer.errors[key] = error
    return answer


def _settle_each(
    portal: Portal, sending: Sending, request: Request, look: confirm.Look, answer: BatchAnswer
) -> None:
    now = db_now()
    done: list[Settlement] = []
    notes: list[Note] = []
    verdict = confirm.read(portal, look, answer.results, answer.errors, now, answer.portal_time)
    confirm.learn(portal, verdict)
    for row in request.rows:
        settlement, note = _answered(portal, row, answer, now)
        done.append(settlement)
        if note is not None:
            notes.append(note)
    sending.portal_time = answer.portal_time
    _commit(sending, Sending.Outcome.ANSWERED, None, done + verdict.settlements, notes + verdict.notes)
    if any(_met_unsaved(row, answer) for row in request.rows):
        confirm.note_early(portal)
    _size_batches(portal, len(request.rows), sending.seconds or 0.0)


def _answered(
    portal: Portal, row: Outgoing, answer: BatchAnswer, now: dt.datetime
) -> tuple[Settlement, Note | None]:
    error = answer.errors.get(row.key)
    if error is not None:
        return settle.refused(row, error, now)
    return settle.taken(row, portal, now), None


def _met_unsaved(row: Outgoing, answer: BatchAnswer) -> bool:
    """A first send that came before its process was saved, on a portal that says so (§7)."""
    error = answer.errors.get(row.key)
    return error is not None and error.code == "404" and row.invocation.sends == 0


def _settle_whole(
    portal: Portal, sending: Sending, request: Request, look: confirm.Look, error: RestError
) -> None:
    outcome = Sending.Outcome.TROUBLE
    if isinstance(error, UnknownAnswer):
        outcome = Sending.Outcome.UNKNOWN
    elif isinstance(error, Passes):
        outcome = Sending.Outcome.PASSES
    pairs = [settle.whole(row, error) for row in request.rows]
    looked = [confirm._later(row, 30.0) for row in look.rows]
    _commit(
        sending,
        outcome,
        error,
        [pair[0] for pair in pairs] + looked,
        [pair[1] for pair in pairs if pair[1] is not None],
    )
    log.info("results not taken", portal=portal.pk, code=error.code, rows=len(request.rows))
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
