"""What makes a claim trusted (contract §3): its refresh token, exchanged at an allowed token server with our
secret, is answered for the `member_id` that was claimed.

The token server confirms the refresh token and nothing beside it. So on an installed portal the application
token of the form, and its tokens in place of working ones, are taken from an administrator only.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from dataclasses import dataclass, replace

from django.db import transaction

from portals import bucket, errors, finish, kept_answer, learn, lease, oauth, spent, transport
from portals.application_token import is_another, is_present
from portals.batch import as_map
from portals.claim import UPDATE, Claim
from portals.clock import db_now
from portals.crypto import opened, token_hash
from portals.errors import Passes, RestError
from portals.exchange import exchange
from portals.failpoint import failpoint
from portals.models import Application, Portal

log = logging.getLogger(__name__)

FORMER_TOKEN = dt.timedelta(minutes=10)
_CLAIM_SECONDS = 60.0
# Whoever has waited this long for the token server is answered; the sweep asks the portal the rest.
_ENOUGH_SECONDS = 6.0

# What a portal took of a claim before it was known whose token it is.
_ALL, _TOKENS, _NOTHING = "all", "tokens", "nothing"
# What opening the application as an administrator is advised against: a page that is opened then is taken up.
_OPENING_HELPS = {
    Portal.Trouble.TOKEN_LOST,
    Portal.Trouble.USER_DISMISSED,
    Portal.Trouble.NO_RIGHTS,
    Portal.Trouble.KEY_MISSING,
    Portal.Trouble.MOVED,
}


class Later(Passes):
    """Exchanged, but not settled: `claim` carries the new refresh token and is to be verified later."""

    def __init__(self, claim: Claim, code: str, text: str) -> None:
        super().__init__(code, text, None, 10.0)
        self.claim = claim


@dataclass(frozen=True)
class Verified:
    """`changed`: the portal was installed or updated by this claim, or got an administrator's token by it, so its
    robots must be brought (back)."""

    portal: Portal
    changed: bool


def find(application: Application, member_id: str) -> Portal | None:
    return (
        Portal.objects.filter(application=application, member_id=member_id)
        .select_related("application")
        .first()
    )


def nothing_to_gain(application: Application, claim: Claim) -> bool:
    """Whether verifying could change nothing: the same form again, or a page opened on a portal in good
    order.
    """
    portal = find(application, claim.member_id)
    if portal is None or portal.state != Portal.State.INSTALLED:
        return False
    if claim.refresh_token and spent.is_proved(application.pk, claim.member_id, claim.refresh_token):
        return True
    return (
        not claim.installs
        and portal.untaken_token_at is None
        and portal.has_working_token
        and portal.token_is_admin is True
        and portal.trouble not in _OPENING_HELPS
        and is_present(portal, claim.application_token)
    )


def verify(application: Application, claim: Claim, timeout: float = oauth.SECONDS) -> Verified:
    """Exchanges, checks and stores. Raises Refused, and Passes (or Later) where it must be tried again.

    A form whose token was used before is answered from what is known and never exchanged again.
    """
    began = time.monotonic()
    held = lease.take(f"claim:{claim.brought[:48]}", _CLAIM_SECONDS)
    if held is None:
        raise Passes("claim_busy", "The same form is being verified.", retry_after=5.0)
    try:
        known = find(application, claim.member_id)
        if known is not None and nothing_to_gain(application, claim):
            return Verified(known, False)
        tokens = exchange(application, claim, known, timeout)
        portal, taken = _take(application, claim, tokens)
        failpoint("verify.taken")
        is_admin = _is_admin(tokens, timeout)
        if is_admin is None and taken == _NOTHING and claim.installs:
            raise Later(
                replace(claim, refresh_token=tokens.refresh_token),
                "profile",
                "The portal did not say whose token it is.",
            )
        changed = _settle(portal.pk, claim, tokens, is_admin, taken)
        failpoint("verify.settled")
        kept_answer.forget(claim.refresh_token)
    finally:
        held.release()
    portal = Portal.objects.select_related("application").get(pk=portal.pk)
    learn.language(portal, claim.language)
    if changed and time.monotonic() - began < _ENOUGH_SECONDS:
        finish.finish(portal, timeout=timeout)
    return Verified(portal, changed)


def _take(application: Application, claim: Claim, tokens: oauth.Tokens) -> tuple[Portal, str]:
    """Stores tokens at once where the portal has none that work; the portal and what it took.

    A first installation, or one after an uninstall, takes all that it brings; a portal whose token is lost
    takes the tokens alone; one that works takes nothing yet.
    """
    with transaction.atomic():
        portal, _made = Portal.objects.get_or_create(
            application=application,
            member_id=claim.member_id,
            defaults={"state": Portal.State.UNINSTALLED, "installation": 0},
        )
        portal = Portal.objects.select_for_update(no_key=True).get(pk=portal.pk)
        if portal.state != Portal.State.INSTALLED:
            portal.state = Portal.State.INSTALLED
            portal.installation += 1
            portal.installed_at, portal.uninstalled_at = db_now(), None
            portal.application_token = claim.application_token
            portal.former_application_token, portal.former_until = "", None
            portal.untaken_token_at = None
            portal.events_bound_to, portal.install_finished = "", None
            portal.robots_owed = True
            taken = _ALL
        elif not portal.has_working_token:
            taken = _TOKENS
        else:
            # Answered all the same: should the rest be cut off, another machine does not ask with it once more.
            spent.settle(application.pk, [token_hash(claim.refresh_token)], proved=False)
            return portal, _NOTHING
        _store(portal, tokens, None)
        portal.save()
        _prove(application.pk, claim)
    return portal, taken


def _settle(portal_id: int, claim: Claim, tokens: oauth.Tokens, is_admin: bool | None, taken: str) -> bool:
    """What only an administrator's token may change; whether the portal must be given its robots (again)."""
    told = claim.application_token
    with transaction.atomic():
        row = Portal.objects.select_for_update(no_key=True).get(pk=portal_id)
        if row.state != Portal.State.INSTALLED:
            return False
        # What waits for an administrator (a push, the events' binding) goes on at once.
        waited = row.token_is_admin is not True or row.trouble in _OPENING_HELPS
        changed = taken == _ALL or (is_admin is True and waited)
        if opened(row, "access_token") == tokens.access_token:
            row.token_is_admin = is_admin
        if is_admin:
            row.instances = learn.can_look_up_again(row)
        if is_admin and taken != _ALL:
            if taken == _NOTHING:
                _store(row, tokens, True)
            if _replace_application_token(row, claim) or claim.installs:
                row.installation += 1
                changed = True
            if claim.installs:
                row.installed_at, row.events_bound_to, row.install_finished = db_now(), "", None
            row.untaken_token_at = None
        elif taken != _ALL:
            if claim.way == UPDATE:
                # What it registered is dropped, whoever's token came with the news, and whatever the application
                # token is: the portal is looked at and given it again.
                row.installation += 1
                row.events_bound_to = ""
                changed = True
            if is_another(row, told) and row.untaken_token_at is None:
                row.untaken_token_at = db_now()
                log.warning("Portal %s: another application token was told, not by an administrator.", row.pk)
        row.save()
        _prove(row.application_id, claim)
    return changed


def _prove(application_id: int, claim: Claim) -> None:
    """What the claim brings is written: whoever posts it again learns nothing else."""
    hashes = {bytes.fromhex(claim.brought), token_hash(claim.refresh_token)}
    spent.settle(application_id, hashes, proved=True)


def _store(portal: Portal, tokens: oauth.Tokens, is_admin: bool | None) -> None:
    now = db_now()
    portal.access_token, portal.refresh_token = tokens.access_token, tokens.refresh_token
    portal.access_expires_at = now + dt.timedelta(seconds=max(tokens.expires_in - oauth.EARLIER, 1))
    portal.refreshed_at = now
    portal.token_state = Portal.Token.WORKING
    portal.token_server = tokens.server
    portal.token_user_id, portal.token_is_admin = tokens.user_id, is_admin
    portal.client_endpoint, portal.domain = tokens.client_endpoint, tokens.domain
    portal.scope, portal.app_status = tokens.scope, tokens.status
    portal.trouble, portal.trouble_text, portal.trouble_since, portal.ask_again_at = "", "", None, None


def _replace_application_token(portal: Portal, claim: Claim) -> bool:
    """An administrator's form brought another one; calls on their way carry the former a while (§3)."""
    told = claim.application_token
    if not told or is_present(portal, told):
        return False
    if former := opened(portal, "application_token"):
        portal.former_application_token = former
        portal.former_until = db_now() + FORMER_TOKEN
    portal.application_token = told
    return True


def _is_admin(tokens: oauth.Tokens, timeout: float) -> bool | None:
    """Whether the portal says that the token is an administrator's; None where it says nothing now."""
    bucket.take(tokens.member_id, person=True)
    try:
        answer = transport.post(
            tokens.client_endpoint + "profile", data={"auth": tokens.access_token}, timeout=timeout
        )
        told = as_map(errors.read(answer.status, answer.body, "profile"))
    except RestError:
        return None
    result = told.get("result")
    return result.get("ADMIN") is True if isinstance(result, dict) else None
