"""ONAPPINSTALL, ONAPPUPDATE and ONAPPUNINSTALL (contract §3)."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

from django.db import transaction

from portals import claim, install, verify
from portals.application_token import is_present
from portals.claim import BadClaim
from portals.clock import db_now
from portals.install import After, Outcome
from portals.models import Application, Portal

log = logging.getLogger(__name__)

# An uninstall told so much before the present installation belongs to the former one. The portal's clock may
# differ from ours by some of it.
_LATE = dt.timedelta(seconds=60)


def name_of(form: dict[str, Any]) -> str:
    """The event's name in capitals, '' where the form is no event."""
    name = form.get("event", "")
    return name.upper() if isinstance(name, str) else ""


def receive(application: Application, form: dict[str, Any], after: After | None = None) -> Outcome:
    """Acts on one event. Raises BadClaim where the form is malformed; other events are known and nothing
    more.
    """
    name = name_of(form)
    if name == "ONAPPINSTALL":
        return install.receive(application, claim.from_event(form, claim.EVENT), after)
    if name == "ONAPPUPDATE":
        return _updated(application, form, after)
    if name == "ONAPPUNINSTALL":
        return _uninstalled(application, form)
    return Outcome("known")


def _updated(application: Application, form: dict[str, Any], after: After | None) -> Outcome:
    try:
        told = claim.from_event(form, claim.UPDATE)
    except BadClaim:
        if not _auth(form, "application_token"):
            raise
    else:
        outcome = install.receive(application, told, after)
        if outcome.result != "refused":
            return outcome
    # No tokens came with it, or they could not be proved; the application token alone says that it is true.
    portal = _known(application, form)
    if portal is None or portal.state != Portal.State.INSTALLED:
        return Outcome("refused", sentence="The event's application token is not this portal's.")
    with transaction.atomic():
        row = Portal.objects.select_for_update(no_key=True).get(pk=portal.pk)
        row.installation += 1
        row.events_bound_to = ""
        row.save(update_fields=["installation", "events_bound_to"])
    portal.refresh_from_db()
    if after is not None:
        after(portal)
    return Outcome("installed", portal)


def _uninstalled(application: Application, form: dict[str, Any]) -> Outcome:
    """The present application token proves it; a former one does not, nor does news from before this
    installation.
    """
    portal = _known(application, form)
    if portal is None:
        return Outcome("refused", sentence="The event's application token is not this portal's.")
    told_at = _moment(form)
    with transaction.atomic():
        row = Portal.objects.select_for_update(no_key=True).get(pk=portal.pk)
        if row.state != Portal.State.INSTALLED or not is_present(row, _auth(form, "application_token")):
            return Outcome("known", row)
        if told_at is not None and row.installed_at is not None and told_at < row.installed_at - _LATE:
            log.warning("A late ONAPPUNINSTALL of portal %s is from before its installation.", row.pk)
            return Outcome("known", row)
        row.state = Portal.State.UNINSTALLED
        row.uninstalled_at = db_now()
        row.installation += 1
        row.access_token = row.refresh_token = row.application_token = row.former_application_token = ""
        row.access_expires_at = row.former_until = None
        row.token_state = Portal.Token.NONE
        row.token_is_admin = row.token_user_id = None
        row.untaken_token_at = None
        row.events_bound_to = ""
        row.trouble, row.trouble_text, row.trouble_since, row.ask_again_at = "", "", None, None
        row.save()
    return Outcome("known", row)


def _known(application: Application, form: dict[str, Any]) -> Portal | None:
    """The portal that the event's member_id and present application token belong to."""
    member_id = _auth(form, "member_id")
    if not claim.MEMBER_ID.fullmatch(member_id):
        raise BadClaim("The event names no portal: auth[member_id] is missing or malformed.")
    portal = verify.find(application, member_id)
    if portal is None or not is_present(portal, _auth(form, "application_token")):
        return None
    return portal


def _auth(form: dict[str, Any], name: str) -> str:
    auth = form.get("auth")
    value = auth.get(name, "") if isinstance(auth, dict) else ""
    return value if isinstance(value, str) else ""


def _moment(form: dict[str, Any]) -> dt.datetime | None:
    ts = form.get("ts", "")
    if not isinstance(ts, str) or not ts.isascii() or not ts.isdigit() or len(ts) > 11:
        return None
    return dt.datetime.fromtimestamp(int(ts), dt.UTC)
