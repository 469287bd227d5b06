"""Which calls a person must look at.

A replayed call is told by its later run, not by the former one; one that a person acknowledged asks for nobody.
"""

from __future__ import annotations

from typing import Any

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from handlers.models import Confirmation, Invocation, State

# Counting stops here: a person who must look at ten thousand calls is not helped by the exact number.
COUNT_LIMIT = 10_000
_UNSEEN: dict[str, Any] = {"followed_at": None, "acknowledged_at": None}


def failed(among: QuerySet[Invocation] | None = None) -> QuerySet[Invocation]:
    """Ended `failed`, and neither run again nor acknowledged since."""
    return narrowed(_all(among), State.FAILED).filter(**_UNSEEN)


def stuck(among: QuerySet[Invocation] | None = None) -> QuerySet[Invocation]:
    """Taken by the portal, and its process still waits."""
    return _all(among).filter(confirmation=Confirmation.STUCK, **_UNSEEN)


def still_open(among: QuerySet[Invocation] | None = None) -> QuerySet[Invocation]:
    """On its way: received, computing, ready or being sent; by the partial indexes that hold just these, since
    among two hundred thousand that ended a walk would look for a handful."""
    spelled = (
        RawSQL("state = 'received'", (), output_field=BooleanField()),
        RawSQL("state = 'ready'", (), output_field=BooleanField()),
        RawSQL("state IN ('computing', 'sending')", (), output_field=BooleanField()),
    )
    parts = [Invocation.objects.filter(each).order_by().values("pk") for each in spelled]
    return _all(among).filter(pk__in=parts[0].union(*parts[1:], all=True))


def narrowed(queryset: QuerySet[Invocation], state: str) -> QuerySet[Invocation]:
    """The rows in `state`; failed and refused ones by their partial index.

    SQLite uses a partial index only where the query says the index's own condition in its own words.
    """
    if state in (State.FAILED, State.REFUSED):
        spelled = RawSQL(
            "handlers_invocation.state IN ('failed', 'refused')", (), output_field=BooleanField()
        )
        queryset = queryset.filter(spelled)
    return queryset.filter(state=state)


def bounded_count(queryset: QuerySet[Invocation], limit: int = COUNT_LIMIT) -> int:
    """How many rows, at most `limit` + 1, without reading further."""
    return queryset.order_by().select_related(None)[: limit + 1].count()


def _all(among: QuerySet[Invocation] | None) -> QuerySet[Invocation]:
    return Invocation.objects.all() if among is None else among
