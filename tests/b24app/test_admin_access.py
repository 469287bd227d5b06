"""Who may see and do what, page by page; and that no page shows a secret to anybody."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from django.urls import reverse

from b24app.alarm import Alarm
from handlers.models import Attempt, Invocation, RefusedCall, ReplayOrder, Sending, State
from portals.models import PendingInstallation, Portal, PortalGroup, PortalSetting
from robots.models import ForeignCode, Push, PushItem
from tests.b24app.people import GROUPS, signed_in
from tests.factories import NOW, InvocationFactory, PortalFactory, RegistrationFactory

pytestmark = pytest.mark.django_db

SECRETS = [
    "S-client",
    "S-access",
    "S-refresh",
    "S-application",
    "S-former",
    "S-event",
    "S-claim",
    "S-setting",
]
MODELS = {
    "portals": ["application", "portal", "portalgroup", "pendinginstallation"],
    "robots": ["robot", "robotversion", "registration", "foreigncode", "push"],
    "handlers": ["invocation", "sending", "refusedcall", "replayorder"],
    "b24app": ["alarm"],
}
PAGES = [(room, model) for room, models in MODELS.items() for model in models]


@pytest.fixture
def world():
    """One row of everything, every secret of it told apart."""
    registration = RegistrationFactory(error_code="ERROR_METHOD_NOT_FOUND")
    portal = registration.portal
    portal.application.client_secret = "S-client"
    portal.application.save()
    Portal.objects.filter(pk=portal.pk).update(
        access_token="S-access",
        refresh_token="S-refresh",
        application_token="S-application",
        former_application_token="S-former",
    )
    PortalSetting.objects.create(portal=portal, name="erp_key", value="S-setting")
    sending = Sending.objects.create(portal=portal, started_at=NOW, results=1)
    call = InvocationFactory(
        portal=portal,
        version=registration.wanted_version,
        robot_code=registration.robot.code,
        state=State.FAILED,
        cause="robot_error",
        sending=sending,
        sent_at=NOW,
        ended_at=NOW,
        event_token=b"S-event",
        call=json.dumps({"properties": {"amount": "5"}}),
    )
    Attempt.objects.create(invocation=call, step="compute", at=NOW, code="robot_error", text="It broke")
    push = Push.objects.create(ordered_by="anna", ordered_at=NOW, codes=["discount"])
    PushItem.objects.create(push=push, portal=portal, state="waiting")
    return {
        "push": push,
        "replayorder": ReplayOrder.objects.create(deed="replay", ordered_by="anna", ordered_at=NOW, total=1),
        "application": portal.application,
        "portal": portal,
        "portalgroup": PortalGroup.objects.create(name="canary"),
        "pendinginstallation": PendingInstallation.objects.create(
            application=portal.application,
            member_id="a" * 32,
            claim_hash=b"1" * 32,
            application_token_hash=b"2" * 32,
            way="frame",
            claim="S-claim",
            received_at=NOW,
            next_try_at=NOW,
        ),
        "robot": registration.robot,
        "robotversion": registration.wanted_version,
        "registration": registration,
        "foreigncode": ForeignCode.objects.create(portal=portal, kind="robot", code="theirs", seen_at=NOW),
        "invocation": call,
        "sending": sending,
        "refusedcall": RefusedCall.objects.create(at=NOW, reason="portal_unknown"),
        "alarm": Alarm.objects.create(
            kind="robot_failing", subject="discount", opened_at=NOW, seen_at=NOW, told={"mail": "open"}
        ),
    }


def address(room, model, what, *args):
    return reverse(f"admin:{room}_{model}_{what}", args=args)


@pytest.mark.parametrize("group", [*GROUPS, "superuser"])
def test_every_page_is_seen_by_every_group_and_shows_no_secret(world, group):
    client = signed_in(group)
    for room, model in PAGES:
        for url in (address(room, model, "changelist"), address(room, model, "change", world[model].pk)):
            answer = client.get(url)
            assert answer.status_code == 200, url
            text = answer.content.decode()
            assert [secret for secret in SECRETS if secret in text] == [], url
    text = client.get("/admin/").content.decode()
    assert [secret for secret in SECRETS if secret in text] == []


def test_staff_of_no_group_sees_nothing(world):
    client = signed_in("stranger")
    for room, model in PAGES:
        assert client.get(address(room, model, "changelist")).status_code == 403
        assert client.get(address(room, model, "change", world[model].pk)).status_code == 403
    first = client.get("/admin/").content.decode()
    assert "failed call" not in first and "fails often" not in first


@pytest.mark.parametrize("group", [*GROUPS, "superuser"])
@pytest.mark.parametrize("model", ["invocation", "sending", "refusedcall", "replayorder"])
def test_the_log_is_written_by_nobody(world, group, model):
    client = signed_in(group)
    assert client.get(address("handlers", model, "add")).status_code == 403
    assert client.get(address("handlers", model, "delete", world[model].pk)).status_code == 403
    answer = client.post(address("handlers", model, "change", world[model].pk), {"state": "delivered"})
    assert answer.status_code == 403
    world[model].refresh_from_db()
    assert Invocation.objects.get().state == State.FAILED


@pytest.mark.parametrize("group", [*GROUPS, "superuser"])
def test_alarms_are_read_by_every_group_and_written_by_nobody(world, group):
    client = signed_in(group)
    assert client.get(address("b24app", "alarm", "add")).status_code == 403
    assert client.post(address("b24app", "alarm", "delete", world["alarm"].pk)).status_code == 403
    posted = client.post(address("b24app", "alarm", "change", world["alarm"].pk), {"kind": "stuck"})
    assert posted.status_code == 403
    lists = address("b24app", "alarm", "changelist")
    row = {"opened_at": NOW, "seen_at": NOW, "ended_at": NOW}
    Alarm.objects.create(kind="stuck", subject="1", told={"mail": "ended"}, **row)
    # But a moment's: told to nobody.
    Alarm.objects.create(kind="sweeper_silent", **row)
    for query, kinds in (
        ("?ended=no", ["robot_failing"]),
        ("?ended=yes", ["stuck"]),
        ("", ["stuck", "robot_failing"]),
    ):
        assert [row.kind for row in client.get(lists + query).context["cl"].result_list] == kinds
    page = client.get(address("b24app", "alarm", "change", world["alarm"].pk)).content.decode()
    for words in (
        "a robot fails often",
        "it names the error",
        "mail (its beginning)",
        "?robot=discount",
    ):
        assert words in page


@pytest.mark.parametrize("model", ["robotversion", "registration", "push"])
def test_what_was_published_and_pushed_is_written_by_nobody(world, model):
    client = signed_in("superuser")
    assert client.get(address("robots", model, "add")).status_code == 403
    assert client.post(address("robots", model, "change", world[model].pk), {"note": "x"}).status_code == 403
    assert (
        client.post(address("robots", model, "delete", world[model].pk), {"post": "yes"}).status_code == 403
    )


def test_an_auditor_changes_nothing(world):
    client = signed_in("auditors")
    for room, model in PAGES:
        posted = client.post(address(room, model, "change", world[model].pk), {"note": "x", "name": "x"})
        assert posted.status_code == 403, model
        assert (
            client.post(address(room, model, "delete", world[model].pk), {"post": "yes"}).status_code == 403
        )
        assert client.get(address(room, model, "add")).status_code == 403
    menu = client.get(address("portals", "portal", "changelist")).content.decode()
    assert "pause_portals" not in menu
    client.post(
        address("portals", "portal", "changelist"),
        {"action": "pause_portals", "_selected_action": [world["portal"].pk]},
    )
    world["portal"].refresh_from_db()
    assert world["portal"].paused_at is None


def test_an_operator_pauses_but_edits_no_application_and_no_robot(world):
    client = signed_in("operators")
    client.post(
        address("portals", "portal", "changelist"),
        {"action": "pause_portals", "_selected_action": [world["portal"].pk]},
    )
    world["portal"].refresh_from_db()
    assert world["portal"].paused_at is not None
    for room, model in [("portals", "application"), ("robots", "robot"), ("portals", "portalgroup")]:
        assert client.post(address(room, model, "change", world[model].pk), {"name": "x"}).status_code == 403
        assert client.get(address(room, model, "add")).status_code == 403
    form = client.get(address("portals", "portal", "change", world["portal"].pk)).content.decode()
    assert "erp_key" not in form


def test_root_leads_to_the_admin_and_the_admin_asks_to_sign_in(client):
    assert client.get("/")["Location"] == "/admin/"
    assert client.get("/admin/")["Location"].startswith("/admin/login/")


def test_portals_are_neither_added_nor_deleted_by_hand(world):
    client = signed_in("superuser")
    assert client.get(address("portals", "portal", "add")).status_code == 403
    assert client.post(address("portals", "portal", "delete", world["portal"].pk)).status_code == 403
    assert Portal.objects.count() == 1


def test_pages_of_an_uninstalled_portal_and_of_one_without_anything_open():
    client = signed_in("auditors")
    bare = PortalFactory(state=Portal.State.UNINSTALLED, uninstalled_at=NOW - dt.timedelta(days=1), domain="")
    answer = client.get(address("portals", "portal", "change", bare.pk))
    assert answer.status_code == 200
    assert "uninstalled" in answer.content.decode()
