"""Robots whose portals are not told yet: published or removed, and somebody forgot to push, or goes step by step."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, Subquery

from portals.models import Portal
from robots.models import Registration, RobotVersion


def unpushed() -> Q:
    """As a condition on robots. A portal counts where the application is installed; a robot that is wanted on none
    of them was never pushed, one that some do not want at all is left out there on purpose. A removed one waits for
    a push as long as a portal is known to hold it from us (as `plan` deletes)."""
    installed = Portal.State.INSTALLED
    newest = RobotVersion.objects.filter(robot=OuterRef("robot")).order_by("-number").values("number")[:1]
    registered = Registration.objects.filter(robot=OuterRef("pk"), portal__state=installed)
    wanted = registered.filter(wanted_version__isnull=False)
    somewhere = Portal.objects.filter(application=OuterRef("application"), state=installed)
    published = Q(
        Exists(RobotVersion.objects.filter(robot=OuterRef("pk"))),
        Exists(somewhere),
        Exists(wanted.filter(wanted_version__number__lt=Subquery(newest))) | ~Exists(wanted),
        removed_at=None,
    )
    held = registered.filter(pushed_kind__gt="").exclude(observed=Registration.Observed.MISSING)
    return published | Q(Exists(held), removed_at__isnull=False)
