"""`manage.py purge_invocations`: forgets ended calls that are old enough."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from handlers.purge import purge


class Command(BaseCommand):
    help = (
        "Removes ended calls older than the days given (default: INVOCATION_KEEP_DAYS). Open and unconfirmed"
        " calls are kept whatever their age. Exit status 0."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=settings.INVOCATION_KEEP_DAYS, help="age in days")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < 0:
            self.stderr.write("--days must be 0 or more.")
            raise SystemExit(2)
        done = purge(options["days"], lambda so_far: self.stdout.write(f"{so_far} removed …"))
        self.stdout.write(f"Removed {done} calls.")
