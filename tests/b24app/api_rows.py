"""One row of everything the audit API shows, each secret of it told apart; and how its answers are read."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client

from handlers.models import Attempt, Invocation, RefusedCall, Sending, State
from portals.models import Portal, PortalGroup, PortalSetting
from tests.factories import NOW, InvocationFactory, RegistrationFactory

API = "/api/v1/"
SECRETS = {
    "client_secret": "SECRET-client",
    "access_token": "SECRET-access",
    "refresh_token": "SECRET-refresh",
    "application_token": "SECRET-application",
    "former_application_token": "SECRET-former",
    "event_token": "SECRET-event",
    "value": "SECRET-setting",
}
LISTS = [
    "applications",
    "portals",
    "robots",
    "versions",
    "registrations",
    "calls",
    "sendings",
    "refused-calls",
]


def rows() -> dict[str, Any]:
    """List's name -> the row it has."""
    registration = RegistrationFactory(
        pushed_text=json.dumps({"CODE": "x", "HANDLER": "https://hub/b24/a/handler/?v=1"}),
        error_code="ERROR_METHOD_NOT_FOUND",
    )
    portal = registration.portal
    portal.application.client_secret = SECRETS["client_secret"]
    portal.application.save()
    tokens = ("access_token", "refresh_token", "application_token", "former_application_token")
    Portal.objects.filter(pk=portal.pk).update(
        trouble=Portal.Trouble.UNPAID,
        trouble_text="Pay for it",
        has_robots=True,
        has_workflows=False,
        refreshed_at=NOW,
        **{name: SECRETS[name] for name in tokens},
    )
    portal.groups.add(PortalGroup.objects.create(name="canary"))
    PortalSetting.objects.create(portal=portal, name="erp_key", value=SECRETS["value"])
    sending = Sending.objects.create(
        portal=portal, started_at=NOW, answered_at=NOW, results=1, seconds=0.25, outcome="answered"
    )
    call = InvocationFactory(
        portal=portal,
        version=registration.wanted_version,
        robot_code=registration.robot.code,
        state=State.FAILED,
        cause="robot_error",
        workflow_id="5f.1",
        document_id="DEAL_42",
        sending=sending,
        sends=1,
        computed_at=NOW,
        sent_at=NOW,
        ended_at=NOW,
        event_token=SECRETS["event_token"].encode(),
        call=json.dumps(
            {
                "properties": {"amount": "1000.50", "extra": "x"},
                "document_id": ["crm", "CCrmDocumentDeal", "DEAL_42"],
                "document_type": ["crm", "CCrmDocumentDeal", "DEAL"],
                "timeout_duration": 60,
                # Acceptance keeps no token; should a row ever hold one, it is not shown.
                "auth": {"user_id": "7", "access_token": SECRETS["access_token"]},
            }
        ),
        stored__result=json.dumps({"values": {"total": "2001.00"}, "log": "doubled"}),
        stored__lines=json.dumps(["began"]),
    )
    Attempt.objects.create(
        invocation=call,
        step="compute",
        at=NOW,
        code="robot_error",
        text="It broke",
        detail={"type": "KeyError", "message": "'x'", "file": "shop.py", "line": 7},
        sending=sending,
    )
    return {
        "applications": portal.application,
        "portals": portal,
        "robots": registration.robot,
        "versions": registration.wanted_version,
        "registrations": registration,
        "calls": call,
        "sendings": sending,
        "refused-calls": RefusedCall.objects.create(at=NOW, reason="portal_unknown", member_id="a" * 32),
    }


def addresses(made: dict[str, Any]) -> list[str]:
    """Every address there is, lists and single rows."""
    found = [API]
    for name in LISTS:
        found += [f"{API}{name}/", f"{API}{name}/{made[name].pk}/"]
    return [*found, f"{API}calls/export/"]


def read(client: Client, path: str, **query: Any) -> Any:
    """The answer's JSON; asserts that it is one."""
    answer = client.get(path, query)
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "application/json"
    return answer.json()


def ids(client: Client, name: str = "calls", **query: Any) -> list[int]:
    return [row["id"] for row in read(client, f"{API}{name}/", **query)["results"]]


def exported(client: Client, **query: Any) -> str:
    answer = client.get(f"{API}calls/export/", query)
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode()


def some_calls(number: int, **values: Any) -> list[Invocation]:
    return [InvocationFactory(**values) for _each in range(number)]
