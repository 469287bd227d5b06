"""What the dates of calls teach of a portal's date format (contract §6).

A value with one reading only settles a guess. What values have settled stands against the odd one that is typed
or imported from elsewhere: it takes more of them against it than there were for it, since a portal may change it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from portals.models import Portal
from robots.types import learned_date_format

# More of them say no more.
MOST_PROOFS = 5


class Known(NamedTuple):
    """The columns of a portal; `proofs`: values that spoke for a learned format less those against it."""

    date_format: str
    date_format_source: str
    date_format_proofs: int


def known_of(portal: Portal) -> Known:
    return Known(portal.date_format, portal.date_format_source, portal.date_format_proofs)


def taught(known: Known, properties: dict[str, Any], inputs: Any) -> Known:
    """What is known after the dates of a call; what a person has set is not learned over."""
    if known.date_format_source == Portal.Source.PERSON:
        return known
    proved = learned_date_format(properties, inputs)
    if proved is None:
        return known
    proofs = known.date_format_proofs if known.date_format_source == Portal.Source.LEARNED else 0
    if proved == known.date_format:
        return Known(proved, Portal.Source.LEARNED, min(proofs + 1, MOST_PROOFS))
    if proofs:
        return known._replace(date_format_proofs=proofs - 1)
    return Known(proved, Portal.Source.LEARNED, 1)


def save(portal: Portal, known: Known) -> None:
    """Unless a person has set it meanwhile."""
    unset = Portal.objects.filter(pk=portal.pk).exclude(date_format_source=Portal.Source.PERSON)
    unset.update(**known._asdict())
    for name, value in known._asdict().items():
        setattr(portal, name, value)
