"""`manage.py create_application`: an application, its secret, and the addresses to enter in Bitrix24."""

from __future__ import annotations

import re
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from portals.crypto import opened
from portals.models import Application

_SLUG = re.compile(r"[-a-zA-Z0-9_]{1,50}")
_MOST = 200


class Command(BaseCommand):
    """Exit codes: 0 made or already the same, 2 used wrongly."""

    help = (
        "Creates an application, or changes its name, client id and secret. The secret is read from"
        " --client-secret or, so that it stays out of the process list, from standard input."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="stands in every address Bitrix24 calls: /b24/SLUG/…")
        parser.add_argument("--name", required=True, help="what people call it")
        parser.add_argument("--client-id", required=True, help="client_id from Bitrix24, such as local.5f…")
        parser.add_argument("--client-secret", default="", help="client_secret; standard input when left out")

    def handle(self, *args: Any, **options: Any) -> None:
        slug, client_id = options["slug"], options["client_id"].strip()
        if not _SLUG.fullmatch(slug):
            raise CommandError("SLUG is 1 to 50 of the characters a-z A-Z 0-9 - and _.", returncode=2)
        if not 0 < len(client_id) <= _MOST or not options["name"].strip():
            raise CommandError("--name and --client-id must not be empty.", returncode=2)
        secret = options["client_secret"].strip() or self._from_standard_input()
        if not secret:
            raise CommandError(
                "No client secret: give --client-secret or write it to standard input.", returncode=2
            )
        application = Application.objects.filter(slug=slug).first()
        made = application is None
        if application is not None and application.client_id != client_id and application.portals.exists():
            raise CommandError(
                f"Application {slug} has portals under another client id, which would all lose their authorisation."
                " Choose another slug.",
                returncode=2,
            )
        application = application or Application(slug=slug)
        wanted = (options["name"].strip()[:_MOST], client_id, secret)
        if made or wanted != (application.name, application.client_id, opened(application, "client_secret")):
            application.name, application.client_id, application.client_secret = wanted
            application.save()
            self.stdout.write(f"Application {slug} {'created' if made else 'changed'}.")
        else:
            self.stdout.write(f"Application {slug} is already so.")
        address = f"{settings.PUBLIC_URL}/b24/{slug}/"
        self.stdout.write(
            "Enter in Bitrix24:\n"
            f"  application with an interface: handler {address}\n"
            f"                                 first installation {address}install/\n"
            f"  application without one:       handler of ONAPPINSTALL {address}install/\n"
            f"  full OAuth:                    redirect address {address}oauth/"
        )

    def _from_standard_input(self) -> str:
        if sys.stdin.isatty():
            self.stderr.write("Client secret: ", ending="")
        return sys.stdin.readline().strip()
