"""Which registrations a portal refused, and which only wait: for a portal in trouble, or for the next try.

All three keep the code of their last error; but what waits goes on by itself, and a portal's trouble is told of the
portal, once, and not of each of its robots.
"""

from __future__ import annotations

from django.db.models import F, Q
from django.db.models.functions import Lower
from django.db.models.lookups import In

from portals import errors
from portals.models import Portal


def is_trouble(error_code: str) -> bool:
    """Whether it is the word of a portal's trouble: nothing is wrong with the robot."""
    return error_code in Portal.Trouble.values


def is_passing(error_code: str) -> bool:
    """Whether the same is tried again by itself: a limit, a lost answer."""
    return error_code.lower() in errors.PASSING


def is_refused(error_code: str) -> bool:
    """Whether the portal said no to this robot."""
    return bool(error_code) and not is_trouble(error_code) and not is_passing(error_code)


def waits() -> Q:
    """As a condition on registrations: an error that is no refusal."""
    passing = In(Lower(F("error_code")), sorted(errors.PASSING))
    return Q(error_code__in=Portal.Trouble.values) | Q(passing)


def refused() -> Q:
    """The same as `is_refused`, as a condition on registrations."""
    return Q(error_code__gt="") & ~waits()
