"""Renewing a portal's access token: once, by whoever holds the lease (contract §2, design §2 rule 6).

A refresh token is spent by its use, and using it twice can lose the portal. So one process does it under the
lease `refresh:<portal id>`, and commits the answer before anything else; the others poll the row and read the
token that was written.
"""

from __future__ import annotations

import datetime as dt
import logging
import time

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q

from portals import kept_answer, lease, oauth, spent, trouble
from portals.clock import db_now
from portals.crypto import SecretUnreadable
from portals.errors import TOKEN_SERVER, CommandRefused, Passes, PortalTrouble, RestError, UnknownAnswer
from portals.failpoint import failpoint
from portals.lease import Held
from portals.models import Portal

log = logging.getLogger(__name__)

# Longer than a request to the token server may take.
LEASE_SECONDS = 60.0
_POLL = 0.2
KEEP_ALIVE_DAYS = 150
_COMMIT_TRIES = 20
# A token server that kept silent is left alone for so long, whichever portal's token is due: each question to it may
# take SECONDS of a process that others' results wait for.
_AWAY_SECONDS = 30.0
_SILENT = ("timeout", "unreachable")

FIELDS = [
    "access_token",
    "access_expires_at",
    "refresh_token",
    "refreshed_at",
    "token_state",
    "token_server",
    "client_endpoint",
    "state",
]


def expired(portal: Portal) -> bool:
    """Whether the stored access token is missing or past its time."""
    return not portal.access_token or portal.access_expires_at is None or portal.access_expires_at <= db_now()


@trouble.readable_secrets()
def refresh(portal: Portal, refused: str = "", wait: float = 20.0) -> None:
    """Leaves `portal` with an access token that is current and not `refused`; at most one process asks for
    it.

    Raises PortalTrouble (token_lost, key_missing, unpaid, …) and Passes where the token server is down or another
    process takes longer than `wait` seconds over it. Must not be called in a transaction.
    """
    end = time.monotonic() + wait
    while True:
        if _current(portal, refused):
            return
        held = lease.take(f"refresh:{portal.pk}", LEASE_SECONDS)
        if held is not None:
            break
        if time.monotonic() >= end:
            raise Passes("refresh_busy", "Another process is renewing the token.", retry_after=5.0)
        time.sleep(_POLL)
    try:
        # Read again under the lease: its last holder may have just written.
        if not _current(portal, refused):
            _renew(portal, held)
    finally:
        held.release()


def _current(portal: Portal, refused: str) -> bool:
    """Reads the token fields again. Raises PortalTrouble where there is nothing to renew with."""
    portal.refresh_from_db(fields=FIELDS)
    if portal.token_state in (Portal.Token.LOST, Portal.Token.NONE):
        raise PortalTrouble(
            "token_lost", "no_token", "There is no working token: open the application there."
        )
    if portal.access_token != refused and not expired(portal):
        return True
    if portal.token_state == Portal.Token.UNVERIFIED:
        # Nothing but its use could prove a restored refresh token unspent, and that may lose the portal (§2).
        raise PortalTrouble(
            "token_lost", "token_unverified", "The token comes from a backup; open the application there."
        )
    return False


def _renew(portal: Portal, held: Held) -> None:
    used = portal.refresh_token
    server = oauth.choose("", portal.token_server)
    if lease.is_taken(_away(server)) and not kept_answer.find(used):
        raise Passes(TOKEN_SERVER, "The token server did not answer a moment ago.", None, _AWAY_SECONDS)
    # Noted for forms and calls that bring it again. An answer that was lost does not keep us from asking once more:
    # if the token is spent, the portal's authorisation is lost to us anyhow; if it is not, this saves it.
    spent.begin(portal.application_id, portal.member_id, used, spent.KEEP_OWN)
    try:
        tokens = oauth.refresh(portal.application, server, used)
    except PortalTrouble as error:
        if error.trouble == "token_lost":
            _lose(portal, used, held)
        raise
    except Passes as error:
        if error.code in _SILENT:
            lease.take(_away(server), _AWAY_SECONDS)
        elif not isinstance(error, UnknownAnswer):
            raise
        # The token server's fault, not the portal's: to the portal nothing was sent.
        raise Passes(TOKEN_SERVER, error.text, error.status, _AWAY_SECONDS) from None
    except CommandRefused as error:
        # A refusal we do not know says nothing of the token; it is asked again, not given up.
        raise Passes(error.code, error.text, error.status, 60.0) from None
    if tokens.member_id != portal.member_id:
        kept_answer.forget(used)
        raise Passes("foreign_answer", "The token server answered for another portal.", retry_after=60.0)
    commit(portal, tokens, used)
    portal.refresh_from_db(fields=FIELDS)


def _away(server: str) -> str:
    return f"away:{server}"[:200]


def commit(portal: Portal, tokens: oauth.Tokens, used: str) -> bool:
    """Writes new tokens where the row still holds the one they were got with; False where it holds another.

    That comparison is the fence which matters: an answer must not be thrown away because its lease ran out,
    for the token it replaces is spent. A database that is down is tried again for a while.
    """
    for attempt in range(_COMMIT_TRIES):
        try:
            written = _commit(portal, tokens, used)
            failpoint("refresh.committed")
            kept_answer.forget(used)
            return written
        except (OperationalError, InterfaceError):
            if attempt == _COMMIT_TRIES - 1:
                raise
            connection.close()
            time.sleep(0.5)
    return False


def _commit(portal: Portal, tokens: oauth.Tokens, used: str) -> bool:
    with transaction.atomic():
        row = Portal.objects.select_for_update(no_key=True).get(pk=portal.pk)
        if row.refresh_token != used or row.state != Portal.State.INSTALLED:
            return False
        now = db_now()
        row.access_token, row.refresh_token = tokens.access_token, tokens.refresh_token
        row.access_expires_at = now + dt.timedelta(seconds=max(tokens.expires_in - oauth.EARLIER, 1))
        row.refreshed_at = now
        row.token_server = tokens.server
        row.token_state = Portal.Token.WORKING
        if tokens.client_endpoint:
            row.client_endpoint, row.domain = tokens.client_endpoint, tokens.domain
        row.scope = tokens.scope or row.scope
        row.app_status = tokens.status or row.app_status
        row.save(update_fields=[*FIELDS, "domain", "scope", "app_status"])
    return True


def _lose(portal: Portal, used: str, held: Held) -> None:
    """The token server does not know this token any more; noted only while the row still holds it."""
    with transaction.atomic():
        row = Portal.objects.select_for_update(no_key=True).get(pk=portal.pk)
        if row.refresh_token != used or not lease.holds(held):
            return
        row.token_state = Portal.Token.LOST
        row.save(update_fields=["token_state"])
    portal.token_state = Portal.Token.LOST


def distrust(portal: Portal) -> None:
    """The stored access token was refused: whoever uses it next renews it first."""
    Portal.objects.filter(pk=portal.pk, refreshed_at=portal.refreshed_at).update(access_expires_at=None)


def keep_alive(most: int = 5) -> int:
    """Renews tokens about 150 days old, which would die unused on day 180; how many (at most `most`)."""
    now = db_now()
    due = Portal.objects.filter(
        # `may_ask` notes when one was asked: those that can't be renewed leave the others their turn.
        Q(ask_again_at=None) | Q(ask_again_at__lte=now),
        state=Portal.State.INSTALLED,
        token_state=Portal.Token.WORKING,
        refreshed_at__lte=now - dt.timedelta(days=KEEP_ALIVE_DAYS),
    ).select_related("application")
    done = 0
    for portal in due.order_by(F("ask_again_at").asc(nulls_first=True), "refreshed_at")[:most]:
        if not trouble.may_ask(portal):
            continue
        try:
            with trouble.readable_secrets():
                refresh(portal, refused=portal.access_token)
            done += 1
        except PortalTrouble as error:
            trouble.record(portal, error)
        except RestError as error:
            log.warning("Portal %s: its token could not be renewed yet (%s).", portal.pk, error.code)
    return done


def take_kept() -> int:
    """A renewal died here after its answer was kept, and another machine, which knows nothing of that, found the
    token spent: the answer that lies here is what the portal is not lost by. How many were saved."""
    saved = 0
    lost = Portal.objects.filter(state=Portal.State.INSTALLED, token_state=Portal.Token.LOST)
    for portal in lost.select_related("application") if kept_answer.has_any() else ():
        try:
            used = portal.refresh_token
            if kept_answer.find(used) is None:
                continue
            tokens = oauth.refresh(portal.application, oauth.choose("", portal.token_server), used)
            saved += tokens.member_id == portal.member_id and commit(portal, tokens, used)
        except SecretUnreadable:
            log.error("portal %s: what it was lost by can't be read", portal.pk)
    return saved
