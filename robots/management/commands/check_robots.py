"""`manage.py check_robots`"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from robots.chosen import COULD_NOT, PENDING, portals_named
from robots.drift import PortalDrift, check_portal


class Command(BaseCommand):
    help = (
        "Asks every portal which robots it holds and tells missing, stale, left over and foreign codes. "
        "Changes nothing on any portal. Exit codes: 0 all as wanted, 1 a portal could not be asked, 2 wrong "
        "use, 3 drift or foreign codes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--application", metavar="SLUG", help="portals of this application only")
        parser.add_argument(
            "--portal",
            metavar="MEMBER_ID",
            nargs="+",
            action="extend",
            default=[],
            help="these portals only; without it all where the application is installed",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        portals = portals_named(options["application"], options["portal"])
        ends = []
        for number, portal in enumerate(portals, 1):
            found = check_portal(portal)
            self.stdout.write(
                f"[{number}/{len(portals)}] {portal.application.slug} on {portal} ({portal.member_id})"
            )
            ends.append(self._show(found))
            self.stdout.flush()
        for end in (COULD_NOT, PENDING):
            if end in ends:
                sys.exit(end)

    def _show(self, found: PortalDrift) -> int:
        if found.trouble:
            self.stdout.write(f"  can't be asked: {found.trouble}")
            return COULD_NOT
        for difference in found.differences:
            why = f": {difference.why}" if difference.why else ""
            self.stdout.write(f"  {difference.drift} {difference.kind} {difference.code}{why}")
            for change in difference.changes if difference.drift == "stale" else []:
                self.stdout.write(f"    {change}")
        if not found.differences:
            self.stdout.write(f"  {found.checked} as wanted")
        return PENDING if found.differences else 0
