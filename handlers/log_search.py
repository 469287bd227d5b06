"""The log's one search box: an id, a process, a document or a robot, each found by its index.

Nothing is ever searched for inside the rows: two hundred thousand of them would be read for one word.
"""

from __future__ import annotations

import re

from django.db.models import Q, QuerySet

from handlers.log_order import among
from handlers.models import Invocation, ReceivedCall
from robots.models import Robot

# Documents are told as TYPE_NUMBER; a person who reads the number in an address types the number alone (§5).
_PREFIXES = ("DEAL", "LEAD", "CONTACT", "COMPANY", "QUOTE", "SMART_INVOICE", "ORDER", "TASK", "STORAGE")
_MAX_ID = 2**63 - 1


def document_ids(number: str) -> list[str]:
    """Every way a document with this number may be called, on portals with these robots."""
    prefixes = set(_PREFIXES)
    for kind in Robot.objects.exclude(document_type=None).values_list("document_type", flat=True)[:500]:
        if isinstance(kind, list) and len(kind) == 3 and isinstance(kind[2], str):
            prefixes.add(kind[2])
    return [number, *(f"{prefix}_{number}" for prefix in sorted(prefixes))]


def search(queryset: QuerySet[Invocation], typed: str) -> QuerySet[Invocation]:
    """The calls that `typed` names: `42` or `#42`, `DEAL_42`, a process id, a robot's code."""
    typed = typed.strip()
    if not typed:
        return queryset
    number = re.fullmatch(r"#?([0-9]{1,19})", typed)
    wanted = [Q(document_id=typed), Q(workflow_id=typed), Q(robot_code=typed)]
    if number:
        wanted[0] = Q(document_id__in=document_ids(number[1]))
        if int(number[1]) <= _MAX_ID:
            wanted.append(Q(pk=int(number[1])))
    # A union of index look-ups: an OR may be planned as one walk over the whole table.
    parts = [ReceivedCall.objects.filter(each).order_by().values("pk") for each in wanted]
    return among(queryset, parts[0].union(*parts[1:], all=True))
