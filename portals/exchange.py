"""A claim's proof handed to the token server, once (contract §2): every refresh token that was used is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from portals import kept_answer, oauth, spent
from portals.application_token import is_another
from portals.claim import EVENT, OAUTH, UPDATE, Claim
from portals.crypto import token_hash
from portals.errors import CommandRefused, Passes, PortalTrouble, UnknownAnswer
from portals.failpoint import failpoint
from portals.models import Application, Portal

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Refused(Exception):
    """The claim is not true, or not provable any more: a sentence, in the language of whoever reads it."""

    def __init__(self, words: StrOrPromise, **values: str) -> None:
        super().__init__(words)
        self.words = words
        self.values = values

    def __str__(self) -> str:
        return str(self.words) % self.values


def exchange(application: Application, claim: Claim, known: Portal | None, timeout: float) -> oauth.Tokens:
    """The tokens that the claim's own is good for, the token server's word that it is the portal's. Raises Refused,
    and Passes where the claim's own was not used."""
    server = oauth.choose(claim.server_endpoint, known.token_server if known else "")
    try:
        tokens = (
            oauth.exchange_code(application, server, claim.code, timeout)
            if claim.way == OAUTH
            else _exchange_once(application, server, claim, known, timeout)
        )
        if tokens.member_id != claim.member_id:
            kept_answer.forget(claim.refresh_token)
            raise Refused(_("The token belongs to another portal than the form says."))
        if not tokens.client_endpoint:
            raise Refused(_("The token server told no usable REST address."))
    except PortalTrouble as error:
        if error.trouble == Portal.Trouble.WRONG_CLIENT:
            # Our own setting is wrong; what waits is true all the same.
            raise Passes(error.code, error.text, error.status, 60.0) from None
        raise _unconfirmed(claim, server, error.code) from None
    except CommandRefused as error:
        raise _unconfirmed(claim, server, error.code) from None
    return tokens


def _exchange_once(
    application: Application, server: str, claim: Claim, known: Portal | None, timeout: float
) -> oauth.Tokens:
    """The exchange of a refresh token which was never used before, or whose answer is still to be settled."""
    token = claim.refresh_token
    is_first_use = spent.begin(application.pk, claim.member_id, token)
    if (
        not is_first_use
        and kept_answer.find(token) is None
        # A process that died over it leaves the same as an answer that was lost (below).
        and not (_must_know(known, claim) and spent.is_unanswered(application.pk, claim.member_id, token))
    ):
        raise Refused(
            _(
                "This form was used before, and it works only once. Close the application and open it again on the"
                " portal; reloading the page is not enough."
            )
        )
    failpoint("verify.begun")
    try:
        return oauth.refresh(application, server, token, timeout)
    except UnknownAnswer as error:
        # It may have been taken. Asking once more could lose a portal that works; one that does not has nothing
        # to lose, and the installation may be saved by it. Nor has one that may call with another application token
        # from now on: its calls would be refused, which are never sent again; results of a lost portal wait.
        if _must_know(known, claim):
            spent.take_back(application.pk, token)
            raise
        raise Refused(
            _(
                "The token server's answer was lost on the way (%(code)s), and a form works only once. Open the"
                " application again on the portal."
            ),
            code=error.code,
        ) from None
    except Passes:
        spent.take_back(application.pk, token)
        raise
    except (PortalTrouble, CommandRefused) as error:
        if getattr(error, "trouble", "") == Portal.Trouble.WRONG_CLIENT:
            spent.take_back(application.pk, token)
        else:
            spent.settle(application.pk, [token_hash(token)], proved=False)
        raise


def _must_know(known: Portal | None, claim: Claim) -> bool:
    if known is None or known.state != Portal.State.INSTALLED or not known.has_working_token:
        return True
    return claim.way in (EVENT, UPDATE) and is_another(known, claim.application_token)


def _unconfirmed(claim: Claim, server: str, code: str) -> Refused:
    named = oauth.unknown(claim.server_endpoint)
    if not named:
        return Refused(_("The token server does not confirm it (%(code)s)."), code=code)
    return Refused(
        _(
            "The token server does not confirm it (%(code)s). The portal names the token server %(named)s, which is"
            " not known here; only known ones are asked, so %(asked)s was. Whoever runs this hub can add it to"
            " B24_OAUTH_URLS."
        ),
        code=code,
        named=named,
        asked=server.split("//", 1)[-1],
    )
