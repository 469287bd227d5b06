"""Tokens that a handler call brings: used only while the portal has no working one (design §2), or where its
application token is not known (it came in by full OAuth, or an employee's update told of another): an
administrator's token then proves the one beside it.
"""

from __future__ import annotations

import time

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections

from handlers.incoming import Incoming
from handlers.known import KnownPortal, Remembered
from portals import pending
from portals.claim import OPEN, Claim
from portals.crypto import keyed_hashes, token_hash
from portals.errors import Passes
from portals.models import Application, PendingInstallation

log = structlog.get_logger(__name__)

# A portal whose tokens this process kept is not looked at again for as long, however many calls it makes.
_REST = 30.0
_offered: Remembered[tuple[int, str], float] = Remembered(1000)


def offer_tokens(portal: KnownPortal, call: Incoming) -> None:
    """Keeps the call's tokens to be verified by the sweep, once an application token; never in this request.

    The call itself is stored already: what fails here costs nothing but the next call's offer.
    """
    refresh_token = call.tokens.get("refresh_token", "")
    key = (portal.id, call.application_token)
    if not refresh_token or time.monotonic() - (_offered.get(key) or -_REST) < _REST:
        return
    _offered.put(key, time.monotonic())
    claim = Claim(
        way=OPEN,
        member_id=portal.member_id,
        refresh_token=refresh_token,
        server_endpoint=call.tokens.get("server_endpoint", ""),
        application_token=call.application_token,
        brought=token_hash(refresh_token).hex(),
    )
    # Nobody else does where a call is answered (b24app/wsgi.py), and one that broke would stay so.
    close_old_connections()
    try:
        waiting = PendingInstallation.objects.filter(
            application_id=portal.application_id,
            member_id=portal.member_id,
            application_token_hash__in=keyed_hashes(call.application_token),
            state=PendingInstallation.State.WAITING,
        )
        if not waiting.exists():
            application = Application.objects.get(pk=portal.application_id)
            pending.keep(application, claim, Passes("offered", "A call brought a token."))
    except (DatabaseError, InterfaceError, Application.DoesNotExist):
        log.exception("a call's tokens could not be kept", portal=portal.id)
