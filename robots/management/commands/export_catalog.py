"""`manage.py export_catalog`"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from robots.catalog_write import export_catalog
from robots.chosen import the_application


class Command(BaseCommand):
    help = (
        "Writes the drafts of an application's robots to standard output, as a catalog file that "
        "import_catalog takes; removed robots are left out. Exit codes: 0 done, 2 wrong use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--application", metavar="SLUG", help="which application; may be left out where there is one"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(export_catalog(the_application(options["application"])), ending="")
