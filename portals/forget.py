"""Forgetting a portal that is gone: its secrets, settings and hopes go; what it did stays to be read."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F, Q, QuerySet

from portals import panels
from portals.clock import db_now
from portals.models import PendingInstallation, Portal, PortalSetting

# Of a portal still told as installed: nothing comes back from these by itself.
DEAD = [Portal.Trouble.PORTAL_GONE, Portal.Trouble.APPLICATION_GONE]
# Not forgotten, or installed (again) since.
LISTED = Q(forgotten_at=None) | Q(state=Portal.State.INSTALLED) | Q(uninstalled_at__gt=F("forgotten_at"))


def forgettable(portals: QuerySet[Portal]) -> QuerySet[Portal]:
    """Those that a person may have forgotten: uninstalled, or deleted with their account."""
    return portals.filter(Q(state=Portal.State.UNINSTALLED) | Q(trouble__in=DEAD)).filter(LISTED)


def forget(portal: Portal) -> bool:
    """Deletes its tokens, settings and pending installations and takes it out of the lists; its calls, pushes
    and their story stay. Installed again, it is a portal like any other. False where it may not be."""
    with transaction.atomic():
        row = Portal.objects.select_for_update(no_key=True).filter(pk=portal.pk).first()
        if row is None or not forgettable(Portal.objects.filter(pk=row.pk)).exists():
            return False
        now = db_now()
        if row.state != Portal.State.UNINSTALLED or row.uninstalled_at is None:
            row.uninstalled_at = now
        row.state, row.forgotten_at = Portal.State.UNINSTALLED, now
        row.installation += 1
        row.access_token = row.refresh_token = row.application_token = row.former_application_token = ""
        row.access_expires_at = row.former_until = row.paused_at = None
        row.token_state = Portal.Token.NONE
        row.token_is_admin = row.token_user_id = None
        row.untaken_token_at = None
        row.events_bound_to, row.note = "", ""
        row.trouble, row.trouble_text, row.trouble_since, row.ask_again_at = "", "", None, None
        row.save()
        row.groups.clear()
        PortalSetting.objects.filter(portal=row).delete()
        PendingInstallation.objects.filter(application=row.application_id, member_id=row.member_id).delete()
        for drop in panels.forgetters:
            drop(row)
    return True
