"""Robots that were published and are not asked of every portal yet: somebody forgot to push, or goes step by step."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, Subquery

from portals.models import Portal
from robots.models import Registration, RobotVersion


def unpushed() -> Q:
    """As a condition on robots. A portal counts where the application is installed; a robot that is wanted on none
    of them was never pushed, one that some do not want at all is left out there on purpose."""
    installed = Portal.State.INSTALLED
    newest = RobotVersion.objects.filter(robot=OuterRef("robot")).order_by("-number").values("number")[:1]
    wanted = Registration.objects.filter(
        robot=OuterRef("pk"), portal__state=installed, wanted_version__isnull=False
    )
    somewhere = Portal.objects.filter(application=OuterRef("application"), state=installed)
    return Q(
        Exists(RobotVersion.objects.filter(robot=OuterRef("pk"))),
        Exists(somewhere),
        Exists(wanted.filter(wanted_version__number__lt=Subquery(newest))) | ~Exists(wanted),
        removed_at=None,
    )
