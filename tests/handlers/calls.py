"""Forms as Bitrix24 posts them (contract §6), and the hub's answer to them in one process."""

from __future__ import annotations

import time
import uuid
from typing import Any
from urllib.parse import urlencode

from django.test import Client
from django.test.client import MULTIPART_CONTENT  # noqa: F401  (what must be refused, for the tests)

from handlers.models import Invocation, State
from portals.clock import db_now
from portals.crypto import encrypt
from portals.models import Portal
from tests.factories import InvocationFactory

FORM = "application/x-www-form-urlencoded"


def form(portal: Portal, code: str = "double", **changes: Any) -> dict[str, Any]:
    """A call's form, flat; `None` takes a field out."""
    fields: dict[str, Any] = {
        "workflow_id": uuid.uuid4().hex,
        "code": code,
        "ts": int(time.time()),
        "document_id[0]": "crm",
        "document_id[1]": "CCrmDocumentDeal",
        "document_id[2]": "DEAL_42",
        "document_type[0]": "crm",
        "document_type[1]": "CCrmDocumentDeal",
        "document_type[2]": "DEAL",
        "event_token": f"{uuid.uuid4().hex}|A51601_82584_96831_81132|{uuid.uuid4().hex}",
        "use_subscription": "Y",
        "timeout_duration": 0,
        "properties[amount]": "21.5",
        "auth[domain]": portal.domain,
        "auth[member_id]": portal.member_id,
        "auth[user_id]": "1",
        "auth[application_token]": "application-token",
        "auth[access_token]": "secret-access-token-of-the-call",
        "auth[refresh_token]": "secret-refresh-token-of-the-call",
        "auth[scope]": "bizproc,crm",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def post(
    portal: Portal, fields: dict[str, Any] | None = None, version: int | None = None, **changes: Any
) -> Any:
    """Posts one call to the portal's application; the response."""
    body = urlencode(fields if fields is not None else form(portal, **changes))
    query = f"?v={version}" if version is not None else ""
    path = f"/b24/{portal.application.slug}/handler/{query}"
    return Client().post(path, body, content_type=FORM)


def ready(portal: Portal, **more: Any) -> Invocation:
    """A call that came just now, and whose result is to be sent."""
    now = db_now()
    given = {"called_at": now, "due_at": now, "received_at": now, **more}
    return InvocationFactory(
        portal=portal,
        state=State.READY,
        event_token=encrypt(b"token"),
        stored__result='{"values":{"a":"1"},"log":null}',
        **given,
    )
