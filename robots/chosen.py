"""What a command's options name: applications, portals, robots. An unknown name is wrong use, exit code 2."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.management.base import CommandError
from django.db.models import QuerySet

from portals.models import Application, Portal
from robots.models import Robot

USED_WRONGLY = 2
COULD_NOT = 1
PENDING = 3


def used_wrongly(message: str) -> CommandError:
    return CommandError(message, returncode=USED_WRONGLY)


def application_named(slug: str) -> Application:
    """Raises CommandError, exit code 2, with the slugs there are."""
    found = Application.objects.filter(slug=slug).first()
    if found is None:
        raise used_wrongly(f"There is no application {slug[:200]!r}. {_applications_there()}")
    return found


def the_application(slug: str | None) -> Application:
    """The named one, or the only one. CommandError, exit code 2, lists them where there are more."""
    if slug:
        return application_named(slug)
    there = list(Application.objects.order_by("slug")[:2])
    if len(there) != 1:
        raise used_wrongly(f"Say which application by its slug. {_applications_there()}")
    return there[0]


def _applications_there() -> str:
    slugs = list(Application.objects.order_by("slug").values_list("slug", flat=True)[:50])
    return f"There are: {', '.join(slugs)}." if slugs else "There is none; see create_application."


def portals_named(slug: str | None, member_ids: Iterable[str]) -> list[Portal]:
    """Installed portals of the application (or of all); those named whatever their state. In a stable order.

    Raises CommandError, exit code 2, for a member id that no portal has.
    """
    portals: QuerySet[Portal] = Portal.objects.select_related("application").order_by(
        "application__slug", "domain", "id"
    )
    if slug:
        portals = portals.filter(application=application_named(slug))
    named = set(member_ids)
    if not named:
        return list(portals.filter(state=Portal.State.INSTALLED))
    found = list(portals.filter(member_id__in=named))
    unknown = sorted(named - {portal.member_id for portal in found})
    if unknown:
        raise used_wrongly(f"No portal has this member id: {', '.join(unknown)[:200]}")
    return found


def check_codes(codes: Iterable[str], slug: str | None) -> list[str]:
    """The codes, each of a robot of the application (or of any). Raises CommandError, exit code 2."""
    robots = Robot.objects.filter(application__slug=slug) if slug else Robot.objects.all()
    there = set(robots.filter(code__in=set(codes)).values_list("code", flat=True))
    unknown = sorted(set(codes) - there)
    if unknown:
        raise used_wrongly(f"No robot has this code: {', '.join(unknown)[:200]}")
    return list(dict.fromkeys(codes))
