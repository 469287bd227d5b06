"""The room's part of a sweep: lost hints that robots must be brought back, and lost wake-ups (design §1)."""

from __future__ import annotations

from django.db.models import F

from portals import wake
from portals.clock import db_now
from portals.models import Portal
from robots.models import Registration
from robots.push import want_all
from robots.push_queue import claimable


def sweep() -> int:
    """Makes due what was wanted under a former installation of a portal, and what a new one is given; wakes `push`
    where anything is due.

    The number of registrations made due under a former installation.
    """
    for portal in Portal.objects.filter(state=Portal.State.INSTALLED, robots_owed=True)[:100]:
        want_all(portal)
    now = db_now()
    installed = Registration.objects.filter(portal__state=Portal.State.INSTALLED)
    lost = installed.filter(
        wanted_version__isnull=False, due_at__isnull=True, installation__lt=F("portal__installation")
    )
    keys = list(lost.values_list("pk", flat=True)[:5000])
    healed = Registration.objects.filter(pk__in=keys, due_at__isnull=True).update(due_at=now)
    if healed or installed.filter(due_at__lte=now).exists() or claimable().exists():
        wake.wake("push")
    return healed
