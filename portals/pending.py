"""Claims that could not be verified yet: kept, not trusted, verified by the sweep (contract §3)."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time

from django.db.models import F, Q
from django.utils import translation

from portals import lease, verify
from portals.claim import OPEN, Claim
from portals.clock import db_now
from portals.crypto import SecretUnreadable, keyed_hash, keyed_hashes
from portals.errors import Passes
from portals.exchange import Refused
from portals.models import Application, PendingInstallation, Portal

log = logging.getLogger(__name__)

# Anyone may post a form, so what is kept is bounded; one portal's flood leaves room for the others.
MOST, MOST_OF_ONE = 5_000, 50
KEEP = dt.timedelta(days=3)
# What came to nothing is told of as long, the newest of them: those that were to be finished by themselves, and
# those that were refused to whoever sent them (and so may be anybody's).
TOLD_FOR = dt.timedelta(days=7)
MOST_ENDED, MOST_REFUSED = 1_000, 200
_REFUSED_A_MINUTE = 30
_FIRST, _LONGEST = 5.0, 600.0
_State = PendingInstallation.State
_lock = threading.Lock()
_minute = (0, 0)


def keep(application: Application, told: Claim, error: Passes) -> bool:
    """Keeps the claim (once, however often its form comes); False where too many wait already."""
    waiting = PendingInstallation.objects.filter(state=_State.WAITING)
    mine = waiting.filter(application=application, member_id=told.member_id)
    now = db_now()
    # Its refresh token may have been exchanged meanwhile (`verify.Later`): the newest one counts.
    if mine.filter(claim_hash=bytes.fromhex(told.brought)).update(claim=told.dump(), error=str(error)[:300]):
        return True
    if mine.count() >= MOST_OF_ONE or waiting.count() >= MOST:
        return False
    # One that came to nothing waits anew.
    PendingInstallation.objects.update_or_create(
        application=application,
        member_id=told.member_id,
        claim_hash=bytes.fromhex(told.brought),
        defaults={
            "application_token_hash": keyed_hash(told.application_token),
            "way": told.way,
            "state": _State.WAITING,
            "claim": told.dump(),
            "received_at": now,
            "tries": 0,
            "next_try_at": now + dt.timedelta(seconds=min(error.retry_after, _FIRST)),
            "ended_at": None,
            "error": str(error)[:300],
        },
    )
    return True


def begin_again() -> None:
    """For tests: as in a process that just started."""
    global _minute
    _minute = (0, 0)


def refused(application: Application, told: Claim, sentence: str) -> None:
    """Tells in the admin of a claim that was refused at once; a flood of them costs a few rows a minute."""
    global _minute
    if not _is_news(application.pk, told.member_id, told.way):
        return
    with _lock:
        now = int(time.monotonic() // 60)
        _minute = (now, _minute[1] + 1 if _minute[0] == now else 1)
        if _minute[1] > _REFUSED_A_MINUTE:
            return
    moment = db_now()
    ended = {
        "state": _State.REFUSED,
        "claim": "",
        "next_try_at": None,
        "ended_at": moment,
        "error": sentence[:300],
    }
    kept = PendingInstallation.objects.filter(
        application=application, member_id=told.member_id, claim_hash=bytes.fromhex(told.brought)
    )
    # One that was to be finished by itself has been tried once more.
    if kept.filter(state=_State.WAITING).update(**ended, tries=F("tries") + 1):
        return
    PendingInstallation.objects.update_or_create(
        application=application,
        member_id=told.member_id,
        claim_hash=bytes.fromhex(told.brought),
        defaults=ended,
        create_defaults={
            **ended,
            "application_token_hash": keyed_hash(told.application_token),
            "way": told.way,
            "received_at": moment,
        },
    )


def forget(application: Application, told: Claim) -> None:
    """The claim was verified after all: nothing is left to tell of this portal, but what still waits."""
    PendingInstallation.objects.filter(application=application, member_id=told.member_id).filter(
        ~Q(state=_State.WAITING) | Q(claim_hash=bytes.fromhex(told.brought))
    ).delete()


def waits(application_id: int, member_id: str, application_token: str) -> bool:
    """Whether a claim with this application token waits for this portal: its calls are kept meanwhile."""
    return PendingInstallation.objects.filter(
        application_id=application_id,
        member_id=member_id,
        application_token_hash__in=keyed_hashes(application_token),
        state=_State.WAITING,
    ).exists()


def finish_due(most: int = 20) -> list[Portal]:
    """Verifies what is due; the portals that were installed or updated by it."""
    changed: list[Portal] = []
    due = PendingInstallation.objects.filter(state=_State.WAITING, next_try_at__lte=db_now())
    for key in list(due.order_by("next_try_at").values_list("pk", flat=True)[:most]):
        held = lease.take(f"pending:{key}", 120)
        if held is None:
            continue
        try:
            portal = _tried(key)
        except Passes:
            # The token server does not answer; the others wait for the next pass rather than hold up this
            # one.
            break
        finally:
            held.release()
        if portal is not None:
            changed.append(portal)
    return changed


def trim() -> int:
    """Forgets what came to nothing long ago, and the oldest of more than are told of; the number removed."""
    ended = PendingInstallation.objects.exclude(state=_State.WAITING)
    removed, _models = ended.filter(ended_at__lt=db_now() - TOLD_FOR).delete()
    for rows, most in ((ended.filter(tries__gt=0), MOST_ENDED), (ended.filter(tries=0), MOST_REFUSED)):
        surplus = list(rows.order_by("-ended_at").values_list("pk", flat=True)[most : most + 1000])
        removed += ended.filter(pk__in=surplus).delete()[0]
    return removed


def _tried(key: int) -> Portal | None:
    """As `_try`; what is wrong with one (its secrets can't be read, its portal answers oddly) stops no other."""
    row = PendingInstallation.objects.filter(pk=key, state=_State.WAITING).first()
    if row is None:
        return None
    try:
        return _try(row)
    except Passes:
        raise
    except Exception as error:
        log.exception("A kept installation on %s failed; it is tried again later.", row.member_id)
        _put_off(row, error)
        return None


def _try(row: PendingInstallation) -> Portal | None:
    claim = Claim.load(row.claim)
    try:
        done = verify.verify(row.application, claim)
    except Refused as error:
        why = in_english(error)
        log.warning(
            "A kept installation of %s on %s was refused: %s", row.application.slug, row.member_id, why
        )
        _end(row, _State.REFUSED, why)
        return None
    except Passes as error:
        _put_off(row, error)
        raise
    forget(row.application, claim)
    return done.portal if done.changed else None


def _put_off(row: PendingInstallation, error: Exception) -> None:
    now = db_now()
    told = str(error) if isinstance(error, Passes | SecretUnreadable) else type(error).__name__
    changed = ["tries", "error", "next_try_at"]
    if now - row.received_at > KEEP:
        log.warning("A kept installation of %s on %s was given up.", row.application.slug, row.member_id)
        _end(row, _State.GIVEN_UP, told)
        return
    if isinstance(error, verify.Later):
        row.claim = error.claim.dump()
        changed.append("claim")
    row.tries += 1
    row.error = told[:300]
    row.next_try_at = now + dt.timedelta(seconds=min(_FIRST * 2 ** min(row.tries, 10), _LONGEST))
    row.save(update_fields=changed)


def _end(row: PendingInstallation, state: str, error: str) -> None:
    """It waits no longer; nothing secret of it is kept, and nothing where the portal is there all the same."""
    if not _is_news(row.application_id, row.member_id, row.way):
        row.delete()
        return
    PendingInstallation.objects.filter(pk=row.pk).update(
        state=state, claim="", tries=row.tries + 1, next_try_at=None, ended_at=db_now(), error=error[:300]
    )


def _is_news(application_id: int, member_id: str, way: str) -> bool:
    """Whether a claim's end must be told: a page opened, or a call's tokens, on an installed portal took nothing
    from it, and its own page says how it stands.
    """
    installed = Portal.objects.filter(
        application=application_id, member_id=member_id, state=Portal.State.INSTALLED
    )
    return way != OPEN or not installed.exists()


def in_english(error: Exception) -> str:
    """The sentence as it is stored and logged, whoever's request it was."""
    with translation.override("en"):
        return str(error)
