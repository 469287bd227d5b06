"""The first page: each line counts what its list shows, and the chart says in words what it draws."""

from __future__ import annotations

import datetime as dt

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.utils import timezone

from b24app import alarms, dashboard, svg
from b24app.alarm import Alarm, Kind
from b24app.alarm_book import Entry, FileBook
from handlers import spool
from handlers.models import Confirmation, RefusedCall, State
from portals.models import PendingInstallation, Portal
from robots.models import Robot
from robots.publish import publish
from tests.b24app.people import signed_in
from tests.factories import InvocationFactory, PortalFactory, RegistrationFactory, RobotFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def forget(settings, tmp_path):
    cache.clear()
    settings.SPOOL_DIR = tmp_path


def test_nothing_needs_a_person(client):
    PortalFactory()
    answer = signed_in("auditors").get("/admin/")
    assert answer.context["needs"] == []
    assert "Nothing needs a person now." in answer.content.decode()


def test_every_line_leads_to_as_many_rows_as_it_counts():
    client = signed_in("auditors")
    now = timezone.now()
    InvocationFactory(state=State.FAILED, cause="memory", received_at=now)
    InvocationFactory(state=State.FAILED, cause="memory", received_at=now)
    InvocationFactory(state=State.DELIVERED, confirmation=Confirmation.STUCK, received_at=now)
    PortalFactory(token_state=Portal.Token.LOST)
    PortalFactory(trouble=Portal.Trouble.UNPAID)
    PortalFactory(trouble=Portal.Trouble.UNREACHABLE)
    PortalFactory(token_is_admin=False)
    PortalFactory(paused_at=now)
    RegistrationFactory(error_code="ACCESS_DENIED")
    RefusedCall.objects.create(at=now, reason="portal_unknown")
    needs = client.get("/admin/").context["needs"]
    assert len(needs) == 9
    assert [need.tone for need in needs] == sorted(
        (need.tone for need in needs), key=["bad", "warn", "info"].index
    )
    for need in needs:
        rows = client.get(need.href).context["cl"].result_list
        assert need.words.startswith(str(len(rows))), need


def test_installations_that_wait_and_those_that_came_to_nothing_are_told_apart():
    client = signed_in("auditors")
    now = timezone.now()
    application = PortalFactory().application
    rows = [("waiting", 0, "now"), ("refused", 0, "forged"), ("given_up", 400, "promised")]
    for number, (state, tries, member) in enumerate(rows):
        ended = None if state == "waiting" else now
        PendingInstallation.objects.create(
            application=application,
            member_id=member,
            claim_hash=bytes([number] * 32),
            application_token_hash=b"",
            way="frame",
            state=state,
            received_at=now,
            tries=tries,
            next_try_at=now,
            ended_at=ended,
            error="The token server does not confirm it (invalid_grant).",
        )
    needs = client.get("/admin/").context["needs"]
    assert [(need.tone, need.words) for need in needs] == [
        ("warn", "1 installation is not verified yet"),
        ("warn", "2 installations were refused or given up"),
    ]
    shown = [client.get(need.href).context["cl"].result_list for need in needs]
    assert [{row.member_id for row in rows} for rows in shown] == [{"now"}, {"forged", "promised"}]
    row = PendingInstallation.objects.get(member_id="promised")
    for language, to_do in (("en", "install it again"), ("ru", "установите его заново")):
        path = f"/admin/portals/pendinginstallation/{row.pk}/change/"
        page = client.get(path, HTTP_ACCEPT_LANGUAGE=language).content.decode()
        assert to_do in page and "invalid_grant" in page
    row.delete()
    # What anybody can send is no more than said.
    assert client.get("/admin/").context["needs"][-1].tone == "info"


def test_a_late_queue_is_told():
    client = signed_in("auditors")
    InvocationFactory(state=State.RECEIVED, due_at=timezone.now() - dt.timedelta(minutes=10))
    (need,) = client.get("/admin/").context["needs"]
    assert "due for 10 min" in need.words
    assert len(client.get(need.href).context["cl"].result_list) == 1


def test_calls_in_the_spool_are_told(monkeypatch):
    client = signed_in("auditors")
    monkeypatch.setattr(spool, "held", lambda: spool.Held(3, 900, 0, None))
    (need,) = client.get("/admin/").context["needs"]
    assert (need.tone, need.words) == ("warn", "3 calls wait in this machine's spool")
    monkeypatch.setattr(spool, "held", lambda: spool.Held(3, 900, 1, None))
    (need,) = client.get("/admin/").context["needs"]
    assert need.tone == "bad"


def test_a_call_of_a_paused_portal_is_not_late():
    InvocationFactory(
        portal=PortalFactory(paused_at=timezone.now()),
        state=State.READY,
        due_at=timezone.now() - dt.timedelta(minutes=10),
    )
    needs = signed_in("auditors").get("/admin/").context["needs"]
    assert [need.words for need in needs] == ["1 portal is paused"]


def test_what_is_published_and_not_pushed_is_told():
    client = signed_in("auditors")
    held = RegistrationFactory()
    portal = held.portal
    draft = RobotFactory(application=portal.application)
    assert client.get("/admin/").context["needs"] == []
    # Never pushed; a newer version than a portal is to hold; one that is wanted in its newest version.
    publish(draft)
    Robot.objects.filter(pk=held.robot_id).update(description={"en": "Other words"})
    publish(held.robot)
    (need,) = client.get("/admin/").context["needs"]
    assert need.words == "2 robots are published or removed, and not pushed to every portal"
    listed = client.get(need.href)
    assert len(listed.context["cl"].result_list) == 2
    assert "version 2, not pushed everywhere" in listed.content.decode()
    RegistrationFactory(robot=draft, portal=portal, wanted_version=draft.versions.get())
    held.wanted_version = held.robot.versions.first()
    held.save()
    assert client.get("/admin/").context["needs"] == []
    assert len(client.get(need.href).context["cl"].result_list) == 0
    # Nobody to push to; removed.
    publish(RobotFactory())
    gone = RobotFactory(application=portal.application)
    publish(gone)
    Robot.objects.filter(pk=gone.pk).update(removed_at=timezone.now())
    assert client.get("/admin/").context["needs"] == []


def alarm(kind, subject="", **params):
    Alarm.objects.create(
        kind=kind,
        subject=subject,
        params=params,
        opened_at=timezone.now(),
        seen_at=timezone.now(),
        told={"log": "open"},
    )


def test_open_alarms_come_first_with_what_to_do_and_since_when():
    lost = PortalFactory(token_state=Portal.Token.LOST)
    alarm(Kind.PORTAL_TROUBLE, str(lost.pk), portal="alfa.example.com", trouble="unpaid")
    # Over; and one that may be but a moment's.
    alarm(Kind.BROKER_AWAY)
    alarm(Kind.SWEEPER_SILENT)
    Alarm.objects.filter(kind=Kind.BROKER_AWAY).update(ended_at=timezone.now())
    Alarm.objects.filter(kind=Kind.SWEEPER_SILENT).update(told={})
    answer = signed_in("auditors").get("/admin/")
    (shown,) = answer.context["alarms"].shown
    assert shown["text"] == f"alfa.example.com: {Portal.Trouble.UNPAID.label}"
    text = answer.content.decode()
    assert f'href="/admin/portals/portal/{lost.pk}/change/"' in text
    assert "The application has to be paid for on the portal." in text and "Since " in text
    assert "Nothing needs a person" not in text


def test_alarms_and_lines_do_not_say_the_same_twice():
    client = signed_in("auditors")
    now = timezone.now()
    call = InvocationFactory(state=State.DELIVERED, confirmation=Confirmation.STUCK, received_at=now)
    InvocationFactory(state=State.READY, due_at=now - dt.timedelta(minutes=10))
    lost, unpaid = PortalFactory(token_state=Portal.Token.LOST), PortalFactory(trouble=Portal.Trouble.UNPAID)
    PortalFactory(token_is_admin=False)
    assert len(client.get("/admin/").context["needs"]) == 5
    alarm(Kind.PORTAL_TROUBLE, str(lost.pk))
    # Not yet told of each portal: the lines stay.
    assert len(client.get("/admin/").context["needs"]) == 5
    alarm(Kind.PORTAL_TROUBLE, str(unpaid.pk))
    alarm(Kind.STUCK, str(call.portal_id))
    alarm(Kind.RESULTS_LATE)
    assert [need.words for need in client.get("/admin/").context["needs"]] == [
        "1 portal whose token is not an administrator's"
    ]


def test_many_alarms_are_told_by_their_number_and_the_lines_that_sum_them_up():
    client = signed_in("auditors")
    for _portal in range(dashboard.MOST_ALARMS + 2):
        alarm(Kind.PORTAL_TROUBLE, str(PortalFactory(token_state=Portal.Token.LOST).pk))
    answer = client.get("/admin/")
    assert len(answer.context["alarms"].shown) == dashboard.MOST_ALARMS
    assert "2 further alarms" in answer.content.decode()
    assert [need.words for need in answer.context["needs"]] == ["10 portals without a token"]


def test_an_alarm_of_this_machine_is_shown_without_a_page_of_its_own(monkeypatch):
    monkeypatch.setattr(spool, "held", lambda: spool.Held(3, 900, 0, None))
    now = timezone.now()
    FileBook().write(
        [
            Entry(
                Kind.SPOOL_USED,
                "here",
                {"machine": "here", "calls": 3, "minutes": 2},
                now,
                now,
                told={"log": "open"},
            )
        ]
    )
    answer = signed_in("auditors").get("/admin/")
    assert "3 calls have waited on the disk of here" in answer.content.decode()
    assert answer.context["needs"] == []


def test_alarms_that_can_not_be_read_break_no_page(monkeypatch):
    def broken():
        raise OperationalError("no such table")

    monkeypatch.setattr(alarms, "open_alarms", broken)
    answer = signed_in("auditors").get("/admin/")
    assert answer.status_code == 200
    assert answer.context["alarms"].shown == []


def test_the_day_by_hour_and_by_end():
    now = timezone.now()
    InvocationFactory(state=State.DELIVERED, received_at=now)
    InvocationFactory(state=State.FAILED, received_at=now)
    InvocationFactory(state=State.EXPIRED, received_at=now - dt.timedelta(hours=2))
    InvocationFactory(state=State.READY, received_at=now - dt.timedelta(hours=23))
    InvocationFactory(state=State.FAILED, received_at=now - dt.timedelta(hours=25))
    # Run again: counted once, by its latest run.
    InvocationFactory(state=State.FAILED, received_at=now, followed_at=now)
    day = dashboard.day()
    assert day.total == 4
    assert {tone: number for tone, _words, number in day.legend} == {"ok": 1, "info": 1, "off": 1, "bad": 1}
    assert len(day.rows) == 24
    assert [numbers for _hour, numbers in day.rows if any(numbers)] == [
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [1, 0, 0, 1],
    ]
    client = signed_in("auditors")
    text = client.get("/admin/").content.decode()
    assert 'aria-label="Calls of the last 24 hours, by hour"' in text
    assert "done 1, failed 1" in text


def test_a_bar_leads_to_its_hour():
    client = signed_in("auditors")
    call = InvocationFactory(received_at=timezone.now())
    InvocationFactory(received_at=timezone.now() - dt.timedelta(hours=3))
    chart = dashboard.day().chart
    last = chart.rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    assert [row.pk for row in client.get(last).context["cl"].result_list] == [call.pk]


def test_a_bar_says_nothing_but_text():
    drawn = svg.bars([svg.Bar("<b>", [("ok", 1)], "<i>", "/?a=1&b=2")], "<title>")
    assert "<b>" not in drawn and "<i>" not in drawn
    assert 'href="/?a=1&amp;b=2"' in drawn
