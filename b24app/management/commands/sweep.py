"""`manage.py sweep`: one pass of what beat does every few seconds."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from b24app.work import sweep


class Command(BaseCommand):
    help = (
        "One pass over expired leases, due retries, deadlines, pending installations, registrations and this"
        " machine's spool. Exit status 0."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        sweep(asked=True)
        self.stdout.write("Swept.")
