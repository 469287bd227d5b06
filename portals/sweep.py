"""What of portals goes on by itself: one pass, called every few seconds and by `manage.py sweep`."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator

from django.conf import settings
from django.db.models import CharField, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Cast, Concat

from portals import finish, kept_answer, lease, pending, refresh, spent
from portals.client import PortalClient
from portals.clock import db_now
from portals.errors import RestError
from portals.install import After
from portals.models import Lease, Portal

# A portal that owes us something (bindings, installFinish) is asked this often, one in trouble once a minute.
_FINISH_EVERY = 60.0
# One that would not be bound (no administrator's token, an old edition) less often.
_FINISH_AGAIN = 600.0
# Whoever sends there asks first; the sweep asks where nobody did.
_OTHERS_FIRST = dt.timedelta(seconds=10)
_STALE_LEASE = dt.timedelta(days=1)
_MOST = 20
# Portals that do not answer must not hold up the other rooms' sweep.
_SECONDS = 15.0


def sweep(after: After | None = None) -> dict[str, int]:
    """One pass; each part on its own, so that one failing holds up no other. Returns how many each did; what
    failed is raised in the end.

    `after(portal)` is called for portals whose installation was finished, so that their robots are pushed at
    once (a lost hint is healed by the robots' own sweep).
    """
    done: dict[str, int] = {}
    failed: list[Exception] = []
    parts: list[tuple[str, Callable[[], int]]] = [
        ("installations", lambda: _pending(after)),
        ("told_installations", pending.trim),
        ("former_tokens", _end_former_tokens),
        ("kept_alive", refresh.keep_alive),
        ("saved_tokens", refresh.take_kept),
        ("finished", _finish),
        ("asked", _ask_troubled),
        ("leases", _remove_leases),
        ("kept_answers", kept_answer.remove_old),
        ("spent_tokens", spent.trim),
    ]
    for name, part in parts:
        try:
            done[name] = part()
        except Exception as error:
            failed.append(error)
    if failed:
        raise ExceptionGroup("parts of the portals' sweep failed", failed)
    return done


def _pending(after: After | None) -> int:
    changed = pending.finish_due(_MOST)
    for portal in changed:
        if after is not None:
            after(portal)
    return len(changed)


def _end_former_tokens() -> int:
    """A former application token is good for ten minutes (contract §3)."""
    ended = Portal.objects.filter(former_until__lte=db_now())
    # By value: an encrypted column takes no expression.
    return ended.update(former_application_token="", former_until=None)


def _finish() -> int:
    """Portals where events are not bound to our present address, or installFinish is owed; those asked longest ago
    first, so that many which would not be bound hold up no other."""
    asked = Lease.objects.filter(name=Concat(Value("finish:"), Cast(OuterRef("pk"), CharField())))
    rows = (
        Portal.objects.filter(state=Portal.State.INSTALLED, token_state=Portal.Token.WORKING, trouble="")
        .annotate(ours=_address(), held_until=Subquery(asked.values("until")[:1]))
        .filter(~Q(events_bound_to=F("ours")) | Q(install_finished=False))
        .filter(Q(held_until=None) | Q(held_until__lte=db_now()))
        .order_by(F("held_until").asc(nulls_first=True), "pk")
        .select_related("application")
    )
    done = 0
    for portal in _for_a_while(rows):
        # Not given back: the lease is what keeps this portal from being asked again at the next pass.
        held = lease.take(f"finish:{portal.pk}", _FINISH_EVERY)
        if held is None:
            continue
        if finish.finish(portal):
            done += 1
        else:
            held.renew(_FINISH_AGAIN)
    return done


def _address() -> Concat:
    """SQL for `finish.address`."""
    before = Value(f"{settings.PUBLIC_URL}/b24/")
    return Concat(before, F("application__slug"), Value("/events/"), output_field=CharField())


def _ask_troubled() -> int:
    """One cheap request a minute to each portal in trouble, so that it is found well though nothing waits."""
    now = db_now()
    rows = (
        Portal.objects.filter(
            Q(ask_again_at=None) | Q(ask_again_at__lte=now - _OTHERS_FIRST),
            state=Portal.State.INSTALLED,
        )
        .exclude(trouble="")
        .exclude(token_state__in=[Portal.Token.LOST, Portal.Token.NONE])
    )
    well = 0
    rows = rows.order_by(F("ask_again_at").asc(nulls_first=True), "pk")
    for portal in _for_a_while(rows.select_related("application")):
        try:
            PortalClient(portal).call("app.info", timeout=10)
            well += 1
        except RestError:
            continue
    return well


def _for_a_while(rows: QuerySet[Portal]) -> Iterator[Portal]:
    """The first rows, for as long as a part of the sweep may take."""
    end = time.monotonic() + _SECONDS
    for portal in rows[:_MOST]:
        if time.monotonic() > end:
            return
        yield portal


def _remove_leases() -> int:
    """Rows of leases long ended; a new taking starts its fence anew under another owner."""
    return Lease.objects.filter(until__lt=db_now() - _STALE_LEASE).delete()[0]
