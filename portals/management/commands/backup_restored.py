"""`manage.py backup_restored`: run once after the database was restored from a backup, before anything else starts."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from portals.models import Lease, Portal


class Command(BaseCommand):
    """Exit code 0. May be run again: what was confirmed meanwhile is asked once more."""

    help = (
        "Marks the token of every portal as unverified. The refresh tokens of a backup may have been spent since"
        " it was made, and using one twice can lose the portal. So none is used until the token server confirms"
        " the access token beside it, or a form or call of the portal brings another."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        marked = Portal.objects.filter(token_state=Portal.Token.WORKING).update(
            token_state=Portal.Token.UNVERIFIED
        )
        # Held at the time of the backup, by processes that are gone.
        Lease.objects.all().delete()
        self.stdout.write(
            f"{marked} portals: token marked as unverified. Those whose token is still good are confirmed by the"
            " next sweep; the others by the next call or opening of the application there."
        )
