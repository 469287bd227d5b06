"""Claims that could not be verified yet: kept, not trusted, verified by the sweep (contract §3)."""

from __future__ import annotations

import datetime as dt
import logging

from portals import lease, verify
from portals.claim import Claim
from portals.clock import db_now
from portals.crypto import keyed_hash, keyed_hashes
from portals.errors import Passes
from portals.models import Application, PendingInstallation, Portal

log = logging.getLogger(__name__)

# Anyone may post a form, so what is kept is bounded; one portal's flood leaves room for the others.
MOST, MOST_OF_ONE = 5_000, 50
KEEP = dt.timedelta(days=3)
_FIRST, _LONGEST = 5.0, 600.0


def keep(application: Application, told: Claim, error: Passes) -> bool:
    """Keeps the claim (once, however often its form comes); False where too many wait already."""
    mine = PendingInstallation.objects.filter(application=application, member_id=told.member_id)
    now = db_now()
    known = mine.filter(claim_hash=bytes.fromhex(told.brought))
    # Its refresh token may have been exchanged meanwhile (`verify.Later`): the newest one counts.
    if known.update(claim=told.dump(), error=str(error)[:300]):
        return True
    if mine.count() >= MOST_OF_ONE or PendingInstallation.objects.count() >= MOST:
        return False
    PendingInstallation.objects.get_or_create(
        application=application,
        member_id=told.member_id,
        claim_hash=bytes.fromhex(told.brought),
        defaults={
            "application_token_hash": keyed_hash(told.application_token),
            "way": told.way,
            "claim": told.dump(),
            "received_at": now,
            "next_try_at": now + dt.timedelta(seconds=min(error.retry_after, _FIRST)),
            "error": str(error)[:300],
        },
    )
    return True


def forget(application: Application, told: Claim) -> None:
    """The claim was verified after all."""
    PendingInstallation.objects.filter(
        application=application, member_id=told.member_id, claim_hash=bytes.fromhex(told.brought)
    ).delete()


def waits(application_id: int, member_id: str, application_token: str) -> bool:
    """Whether a claim with this application token waits for this portal: its calls are kept meanwhile."""
    return PendingInstallation.objects.filter(
        application_id=application_id,
        member_id=member_id,
        application_token_hash__in=keyed_hashes(application_token),
    ).exists()


def finish_due(most: int = 20) -> list[Portal]:
    """Verifies what is due; the portals that were installed or updated by it."""
    changed: list[Portal] = []
    due = PendingInstallation.objects.filter(next_try_at__lte=db_now()).select_related("application")
    for row in due.order_by("next_try_at")[:most]:
        held = lease.take(f"pending:{row.pk}", 120)
        if held is None:
            continue
        try:
            portal = _try(row)
        except Passes:
            # The token server does not answer; the others wait for the next pass rather than hold up this
            # one.
            break
        finally:
            held.release()
        if portal is not None:
            changed.append(portal)
    return changed


def _try(row: PendingInstallation) -> Portal | None:
    try:
        done = verify.verify(row.application, Claim.load(row.claim))
    except verify.Refused as error:
        log.warning(
            "A kept installation of %s on %s was refused: %s", row.application.slug, row.member_id, error
        )
        row.delete()
        return None
    except Passes as error:
        _put_off(row, error)
        raise
    row.delete()
    return done.portal if done.changed else None


def _put_off(row: PendingInstallation, error: Passes) -> None:
    now = db_now()
    if now - row.received_at > KEEP:
        log.warning("A kept installation of %s on %s was given up.", row.application.slug, row.member_id)
        row.delete()
        return
    if isinstance(error, verify.Later):
        row.claim = error.claim.dump()
    row.tries += 1
    row.error = str(error)[:300]
    row.next_try_at = now + dt.timedelta(seconds=min(_FIRST * 2 ** min(row.tries, 10), _LONGEST))
    row.save(update_fields=["claim", "tries", "error", "next_try_at"])
