"""The log, newest first, by the index that holds what is looked for.

A call is two rows with one number: as it came (`ReceivedCall`) and what becomes of it (`Invocation`). Django takes
the second's number wherever it may; asked for a portal's calls in the order of the second's, SQLite sorts all of
them, and asked for stuck ones in the order of the first's, too.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.expressions import Col
from django.db.models.sql.query import Query

from handlers.models import Invocation, ReceivedCall


class CameAs(F):
    """The number of the call as it came; joins that row where the query has not yet."""

    def __init__(self) -> None:
        super().__init__("id")

    def resolve_expression(self, query: Query | None = None, *args: Any, **kwargs: Any) -> Col:
        if query is None:
            raise TypeError("it is a part of a query")
        alias = query.join_parent_model(query.get_meta(), ReceivedCall, query.get_initial_alias(), {})
        return Col(alias, ReceivedCall._meta.pk)


# What is looked for in a call as it came, by an index that goes on in the order of its numbers.
_AS_IT_CAME = {"portal", "robot_code", "workflow_id", "document_id"}


def number(looked_for: Collection[str]) -> F:
    """The number to go by where these fields are looked for."""
    return CameAs() if _AS_IT_CAME.intersection(looked_for) else F("id")


def among(calls: QuerySet[Invocation], numbers: Any) -> QuerySet[Invocation]:
    """Those of the calls whose number is one of `numbers` (a query of ids); go by `CameAs()`."""
    return calls.alias(came_as=CameAs()).filter(came_as__in=numbers)
