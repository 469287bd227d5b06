"""`manage.py sweep`: one pass of what beat does every few seconds."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from b24app.work import sweep


class Command(BaseCommand):
    help = (
        "One pass over expired leases, due retries, deadlines, pending installations, registrations and this"
        " machine's spool. Exit status 0; 1 where a part of it failed."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        failed = sweep(asked=True)
        if failed:
            raise CommandError(f"Failed, as the log above says: {', '.join(failed)}.")
        self.stdout.write("Swept.")
