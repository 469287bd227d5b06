"""`manage.py backup_restored`: after a restore, no token of the backup is used before it is known to be good."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from portals.clock import db_now
from portals.models import Lease, PendingInstallation, Portal


class Command(BaseCommand):
    """Exit code 0. May be run again: tokens that were confirmed since are marked again, and confirmed again."""

    help = (
        "Run once after a backup was restored, before anything is started. A refresh token works once: one in"
        " the backup may be spent since, and using it again can lose the portal. Each is marked unverified: its"
        " access token is asked for at the token server, or the next call or opening of the application brings"
        " another. Installations that waited to be verified are forgotten for the same reason."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            marked = Portal.objects.filter(
                state=Portal.State.INSTALLED, token_state=Portal.Token.WORKING
            ).update(token_state=Portal.Token.UNVERIFIED, trouble="", trouble_text="", ask_again_at=None)
            forgotten, _models = PendingInstallation.objects.all().delete()
            # Whoever held them in the backup does not live any more.
            Lease.objects.update(until=db_now(), owner="")
        self.stdout.write(
            f"{marked} portals' tokens are unverified now; {forgotten} pending forms forgotten."
        )
