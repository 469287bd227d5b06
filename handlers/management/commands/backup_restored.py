"""`manage.py backup_restored`: what a backup can't know of the time since is not acted upon as if it were so.

No refresh token of it is used any more, and no call is computed whose answer may have been sent.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from handlers import restored
from portals.clock import db_now
from portals.models import Lease, PendingInstallation, Portal
from robots.models import Registration


class Command(BaseCommand):
    """Exit code 0. To be run before the start: tokens that were got since would be marked too."""

    help = (
        "Run once after a backup was restored, before anything is started. A refresh token works once: one in"
        " the backup may be spent since, and using it again can lose the portal. Each is marked unverified and"
        " never used: the access token beside it serves while it lives, and the next call that brings tokens, or"
        " opening the application, brings others. Installations that waited to be verified are forgotten for the"
        " same reason. Calls that were taken in and not computed may have been answered since: where the process"
        " waits they are put aside (failed, restored) for a person to decide about. Replays of many that were open"
        " end: some of their calls may have been replayed and answered since."
        " What portals hold of robots may be newer than the backup: the next push sets every field of them."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            marked = Portal.objects.filter(
                state=Portal.State.INSTALLED, token_state=Portal.Token.WORKING
            ).update(token_state=Portal.Token.UNVERIFIED, trouble="", trouble_text="", ask_again_at=None)
            forgotten, _models = PendingInstallation.objects.all().delete()
            # It may have been pushed to since: so a plan takes nothing that it holds for certain.
            Registration.objects.exclude(pushed_kind="").update(tried_at=db_now())
            # Whoever held them in the backup does not live any more.
            Lease.objects.update(until=db_now(), owner="")
        ended = restored.end_orders()
        aside = restored.put_aside()
        remarked = restored.remark_failed()
        self.stdout.write(
            f"{marked} portals' tokens are unverified now; {forgotten} pending forms forgotten;"
            f" {ended} replays of many ended; {aside} calls put aside for a person; {remarked} failed ones remarked."
        )
