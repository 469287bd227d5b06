"""Robots that a portal was seen to lack: processes that reach them fail there, and nothing brings them back by itself.

What an installation owes is due and comes by itself; what else is gone (deleted by hand, by other software) is a
person's to push again, since whoever deleted it may have meant it (design §4).
"""

from __future__ import annotations

from django.db.models import Q

from portals.models import Portal
from robots.models import Registration


def lost() -> Q:
    """As a condition on registrations; what a portal refused is told as that."""
    return Q(
        observed=Registration.Observed.MISSING,
        wanted_version__isnull=False,
        due_at=None,
        error_code="",
        portal__state=Portal.State.INSTALLED,
    )


def is_lost(registration: Registration) -> bool:
    """The same of one registration, with its portal at hand."""
    return (
        registration.observed == Registration.Observed.MISSING
        and registration.wanted_version_id is not None
        and registration.due_at is None
        and not registration.error_code
        and registration.portal.state == Portal.State.INSTALLED
    )
