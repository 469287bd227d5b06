"""Calls that nothing can be sent for any more: their process went on, or their portal is gone for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from handlers import claims
from handlers.claims import Claim, Settlement
from handlers.models import Invocation
from portals.clock import db_now, now_sql
from portals.failpoint import failpoint
from portals.models import Portal

_PAGE = 500
# Event tokens outlive a reinstall; what is owed to an uninstalled portal waits this long for one.
_AFTER_UNINSTALL = timedelta(days=30)


def end_waits(portal_id: int | None = None) -> None:
    """Past its deadline the process has gone on; nothing is sent any more. Before each sending, and at each
    sweep for those that are not computed yet."""
    one, params = ("AND portal_id = %s ", [portal_id]) if portal_id is not None else ("", [])
    _end(
        "state IN ('received', 'ready') AND deadline IS NOT NULL"
        f" AND deadline <= {now_sql(connection.vendor)} {one}ORDER BY deadline",
        params,
        "expired",
        "wait_over",
    )


def end_uninstalled() -> None:
    """Nothing is sent to it, or asked of it, any more."""
    gone = "portal_id IN (SELECT id FROM portals_portal WHERE state = 'uninstalled' AND uninstalled_at < %s)"
    # One state at a time, each by the partial index of its own.
    for state in ("received", "ready"):
        wanted = f"state = '{state}' AND {gone} ORDER BY portal_id"
        _end(wanted, [db_now() - _AFTER_UNINSTALL], "refused", "portal_gone")
    while unseen := list(_looks_owed_there()[:_PAGE]):
        claims.settle(
            [
                Settlement(pk, fence, "delivered", "delivered", cause, ended=True)
                for pk, fence, cause in unseen
            ]
        )


def _looks_owed_there() -> QuerySet[Invocation, tuple[int, int, str]]:
    """(id, fence, cause) of results whose arrival nobody will ever see."""
    there = Invocation.objects.filter(
        state="delivered",
        confirm_at__isnull=False,
        lane_portal__state=Portal.State.UNINSTALLED,
        lane_portal__uninstalled_at__lt=db_now() - _AFTER_UNINSTALL,
    )
    return there.values_list("pk", "fence", "cause")


def _end(wanted: str, params: list[Any], state: str, cause: str) -> None:
    while found := claims.claim(wanted, params, "sending", _PAGE):
        failpoint("waits.claimed")
        # What may have arrived stays told as such.
        ids = [claim.id for claim in found]
        maybe = set(Invocation.objects.filter(pk__in=ids, confirmation="maybe").values_list("pk", flat=True))
        claims.settle([_ended(claim, state, cause, "maybe" if claim.id in maybe else "") for claim in found])
        if len(found) < _PAGE:
            return


def _ended(claim: Claim, state: str, cause: str, confirmation: str) -> Settlement:
    return Settlement(claim.id, claim.fence, "sending", state, cause, ended=True, confirmation=confirmation)
