"""A portal's trouble: written when it comes, asked again once a minute, gone with the first good answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models import Q

from portals.clock import db_now
from portals.crypto import SecretUnreadable
from portals.errors import PortalTrouble
from portals.models import Portal

EVERY = 60.0
# What often passes within seconds is asked again sooner: after as long as it has lasted, at least this.
_SOONEST = 5.0
_SHORT = {"unreachable", "moved"}
# `answered_at` is for people; a write for each answer would be a row version for each request.
_ANSWERED_EVERY = dt.timedelta(minutes=1)


def record(portal: Portal, error: PortalTrouble) -> None:
    """Notes it on the portal (the row and the instance) and when to ask again."""
    now = db_now()
    since = portal.trouble_since if portal.trouble == error.trouble and portal.trouble_since else now
    pause = EVERY
    if error.trouble in _SHORT:
        pause = min(max((now - since).total_seconds(), _SOONEST), EVERY)
    portal.trouble = error.trouble
    portal.trouble_text = " ".join(part for part in (error.code, error.text) if part)[:500]
    portal.trouble_since = since
    portal.ask_again_at = now + dt.timedelta(seconds=pause)
    _write(portal, "trouble", "trouble_text", "trouble_since", "ask_again_at")


@contextmanager
def readable_secrets() -> Iterator[None]:
    """A portal's or its application's secret that no key opens is that portal's trouble, and holds up no other."""
    try:
        yield
    except SecretUnreadable as error:
        raise PortalTrouble(Portal.Trouble.KEY_MISSING, "secret_unreadable", str(error)) from None


def clear(portal: Portal) -> None:
    """It answered well: no trouble any more, and `answered_at` moves at most once a minute."""
    now = db_now()
    fields = []
    if portal.trouble:
        portal.trouble, portal.trouble_text = "", ""
        portal.trouble_since = portal.ask_again_at = None
        fields += ["trouble", "trouble_text", "trouble_since", "ask_again_at"]
    if portal.answered_at is None or now - portal.answered_at >= _ANSWERED_EVERY:
        portal.answered_at = now
        fields.append("answered_at")
    if fields:
        _write(portal, *fields)


def may_ask(portal: Portal) -> bool:
    """Whether a portal in trouble may be asked now; of several that ask, one is told yes in a minute."""
    now = db_now()
    if portal.ask_again_at is not None and portal.ask_again_at > now:
        return False
    asked = Portal.objects.filter(Q(ask_again_at=None) | Q(ask_again_at__lte=now), pk=portal.pk).update(
        ask_again_at=now + dt.timedelta(seconds=EVERY)
    )
    return asked == 1


def ask_now(portal_id: int) -> None:
    """A call of its own arrived: the portal lives, so the next request may go at once."""
    Portal.objects.filter(pk=portal_id).exclude(trouble="").update(ask_again_at=None)


def ask_in(portal_id: int, seconds: float) -> None:
    """As `ask_now`, for a portal that was asked a moment ago: after `seconds`, where that is sooner."""
    soon = db_now() + dt.timedelta(seconds=seconds)
    Portal.objects.filter(pk=portal_id, ask_again_at__gt=soon).exclude(trouble="").update(ask_again_at=soon)


def seconds_until_asked(portal: Portal) -> float:
    """How long a portal in trouble is still left alone; 0.0 where it may be asked."""
    if not portal.trouble or portal.ask_again_at is None:
        return 0.0
    return max((portal.ask_again_at - db_now()).total_seconds(), 0.0)


def _write(portal: Portal, *fields: str) -> None:
    """Only these columns, and no save(): another process may be changing the others."""
    Portal.objects.filter(pk=portal.pk).update(**{name: getattr(portal, name) for name in fields})
