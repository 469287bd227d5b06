"""`manage.py import_catalog FILE`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from robots.catalog_import import Imported, import_catalog
from robots.catalog_read import Catalog, CatalogRefused, read_catalog
from robots.catalog_yaml import MAX_BYTES
from robots.chosen import USED_WRONGLY, application_named, used_wrongly


class Command(BaseCommand):
    help = (
        "Creates and changes the robots that a catalog file (YAML) names. The whole file is taken, or "
        "refused with line and field of everything that is wrong. Makes no call to any portal: see "
        "push_robots. Exit codes: 0 done or nothing to do, 2 a wrong file or wrong use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="the catalog, or - for standard input; at most 2 MB")
        parser.add_argument(
            "--application", metavar="SLUG", help="into this application, whatever the file names"
        )
        parser.add_argument(
            "--publish", action="store_true", help="publish what changed since its last version"
        )
        parser.add_argument(
            "--prune",
            action="store_true",
            help="mark the other robots of the application as removed; the next push deletes them",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            catalog = read_catalog(_read(options["file"]))
        except CatalogRefused as refused:
            for problem in refused.problems:
                self.stderr.write(str(problem))
            more = f" (and {refused.more} more)" if refused.more else ""
            raise CommandError(
                f"{options['file']}: refused, nothing was changed: {len(refused.problems)} problems{more}.",
                returncode=USED_WRONGLY,
            ) from None
        self._import(catalog, options)

    def _import(self, catalog: Catalog, options: dict[str, Any]) -> None:
        slug = options["application"] or catalog.application
        if not slug:
            raise used_wrongly(
                "The file names no application: write `application: SLUG` or give --application."
            )
        application = application_named(slug)
        for warning in catalog.warnings:
            self.stderr.write(f"warning: {warning}")
        done = import_catalog(
            catalog,
            application,
            publishing=options["publish"],
            prune=options["prune"],
            by="import_catalog",
            told=self._tell,
        )
        counts = {
            did: sum(1 for item in done if item.did == did) for did in dict.fromkeys(i.did for i in done)
        }
        published = sum(1 for item in done if item.version)
        words = [f"{count} {did}" for did, count in counts.items()] or ["no robots"]
        self.stdout.write(f"{application.slug}: {', '.join(words)}, {published} published.")

    def _tell(self, done: Imported) -> None:
        published = f", published as version {done.version}" if done.version else ""
        self.stdout.write(f"{done.code}: {done.did}{published}")


def _read(name: str) -> bytes:
    """At most one byte more than is allowed, so that a huge file costs nothing."""
    if name == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        with Path(name).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise used_wrongly(f"{name[:200]} can't be read: {error.strerror}.") from None
