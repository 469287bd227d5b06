"""Filters of the audit API: each finds what it says, and nothing else."""

from __future__ import annotations

import datetime as dt

import pytest

from handlers.models import Confirmation, RefusedCall, Sending, State
from portals.models import Portal, PortalGroup
from robots.models import Registration
from tests.b24app.api_rows import ids
from tests.b24app.people import signed_in
from tests.factories import (
    NOW,
    ApplicationFactory,
    InvocationFactory,
    PortalFactory,
    RegistrationFactory,
    RobotFactory,
    RobotVersionFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor():
    return signed_in("auditors")


def test_filters_of_calls(auditor):
    one, other = ApplicationFactory(), ApplicationFactory()
    version = RobotVersionFactory(robot__application=one)
    failed = InvocationFactory(
        portal__application=one,
        state=State.FAILED,
        cause="time_limit",
        robot_code=version.code,
        version=version,
        received_at=NOW,
    )
    stuck = InvocationFactory(
        portal__application=one,
        state=State.DELIVERED,
        confirmation=Confirmation.STUCK,
        workflow_id="5f.1",
        received_at=NOW - dt.timedelta(hours=1),
    )
    ready = InvocationFactory(
        portal__application=other,
        state=State.READY,
        document_id="DEAL_42",
        received_at=NOW - dt.timedelta(hours=2),
    )
    refused = InvocationFactory(
        portal=ready.portal,
        state=State.REFUSED,
        cause="process_gone",
        received_at=NOW - dt.timedelta(hours=3),
    )
    expected = [
        ({}, [refused, ready, stuck, failed]),
        ({"application": one.slug}, [stuck, failed]),
        ({"application": other.slug, "state": "refused"}, [refused]),
        ({"portal": ready.portal_id}, [refused, ready]),
        ({"robot": version.code}, [failed]),
        ({"robot": "nobody"}, []),
        ({"state": "failed"}, [failed]),
        ({"state": "refused"}, [refused]),
        ({"state": "delivered"}, [stuck]),
        ({"state": "open"}, [ready]),
        ({"cause": "time_limit"}, [failed]),
        ({"cause": "none"}, [ready, stuck]),
        ({"confirmation": "stuck"}, [stuck]),
        ({"confirmation": "none"}, [refused, ready, failed]),
        ({"process": "5f.1"}, [stuck]),
        ({"document": "DEAL_42"}, [ready]),
        ({"document": "DEAL_4"}, []),
        ({"document": " DEAL_42"}, []),
        ({"received_after": "2026-11-24T12:00:00Z"}, [failed]),
        ({"received_before": "2026-11-24T12:00:00Z"}, [refused, ready, stuck]),
        # The same moment in Moscow; the plus sign is a %2B in an address.
        ({"received_after": "2026-11-24T15:00:00+03:00"}, [failed]),
        (
            {"received_after": "2026-11-24T10:00:00Z", "received_before": "2026-11-24T12:00:00Z"},
            [ready, stuck],
        ),
        ({"received_after": "2026-11-24"}, [refused, ready, stuck, failed]),
        ({"portal": failed.portal_id, "state": "failed", "cause": "memory"}, []),
    ]
    for query, calls in expected:
        assert ids(auditor, **query) == [call.pk for call in calls], query


def test_filters_of_portals(auditor):
    main = PortalFactory(domain="a.bitrix24.com", installed_at=NOW)
    main.groups.add(PortalGroup.objects.create(name="canary"))
    paused = PortalFactory(paused_at=NOW, trouble=Portal.Trouble.UNPAID, token_state=Portal.Token.LOST)
    gone = PortalFactory(state=Portal.State.UNINSTALLED)
    for query, portals in [
        ({"state": "uninstalled"}, [gone]),
        ({"paused": "true"}, [paused]),
        ({"paused": "false"}, [gone, main]),
        ({"trouble": "unpaid"}, [paused]),
        ({"trouble": "none"}, [gone, main]),
        ({"token_state": "lost"}, [paused]),
        ({"group": "canary"}, [main]),
        ({"domain": "a.bitrix24.com"}, [main]),
        ({"member_id": gone.member_id}, [gone]),
        ({"application": main.application.slug}, [main]),
        ({"installed_after": NOW.isoformat()}, [main]),
    ]:
        assert ids(auditor, "portals", **query) == [portal.pk for portal in portals], query


def test_filters_of_robots_versions_and_registrations(auditor):
    registration = RegistrationFactory(error_code="x", observed=Registration.Observed.MISSING)
    # What waits for its portal is not refused by it.
    quiet = RegistrationFactory(error_code="plan_lapsed")
    robot, version = registration.robot, registration.wanted_version
    draft = RobotFactory(kind="activity", removed_at=NOW)
    slug = robot.application.slug
    assert ids(auditor, "robots", application=slug) == [robot.pk]
    assert ids(auditor, "robots", code=robot.code) == [robot.pk]
    assert ids(auditor, "robots", kind="activity") == ids(auditor, "robots", removed="true") == [draft.pk]
    assert ids(auditor, "robots", published="true") == [quiet.robot.pk, robot.pk]
    assert ids(auditor, "robots", published="false") == [draft.pk]
    assert ids(auditor, "versions", application=slug) == ids(auditor, "versions", robot=robot.code)
    assert ids(auditor, "versions", robot=robot.code) == [version.pk]
    assert ids(auditor, "versions", published_before=NOW.isoformat()) == []
    for query in (
        {"application": slug},
        {"portal": registration.portal_id},
        {"robot": robot.code},
        {"observed": "missing"},
        {"error": "true"},
    ):
        assert ids(auditor, "registrations", **query) == [registration.pk], query
    assert ids(auditor, "registrations", error="false") == [quiet.pk]


def test_filters_of_sendings_and_refused_calls(auditor):
    portal = PortalFactory()
    sent = Sending.objects.create(portal=portal, started_at=NOW, outcome="trouble")
    later = Sending.objects.create(portal=PortalFactory(), started_at=NOW + dt.timedelta(hours=1))
    assert (
        ids(auditor, "sendings", portal=portal.pk) == ids(auditor, "sendings", outcome="trouble") == [sent.pk]
    )
    assert ids(auditor, "sendings", application=portal.application.slug) == [sent.pk]
    assert ids(auditor, "sendings", started_after="2026-11-24T12:30:00Z") == [later.pk]
    refused = RefusedCall.objects.create(
        at=NOW, reason="token_wrong", application="main", domain="x.y", address="203.0.113.9", robot_code="r"
    )
    RefusedCall.objects.create(at=NOW - dt.timedelta(hours=1), reason="portal_unknown", member_id="a")
    for query in (
        {"reason": "token_wrong"},
        {"application": "main"},
        {"domain": "x.y"},
        {"address": "203.0.113.9"},
        {"robot": "r"},
        {"after": NOW.isoformat()},
    ):
        assert ids(auditor, "refused-calls", **query) == [refused.pk], query
    assert len(ids(auditor, "refused-calls", member_id="a")) == 1
