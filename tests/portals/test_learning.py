"""What is learned of a portal in passing, and what the sweep asks by itself."""

from __future__ import annotations

import datetime as dt

import pytest

from portals import errors, finish, learn, lease, refresh, sweep
from portals.clock import db_now
from portals.models import Lease, Portal
from tests.damage import damage
from tests.factories import ApplicationFactory, PortalFactory
from tests.portals.lab import ok


@pytest.mark.contract("6.11")
@pytest.mark.parametrize(
    ("server_time", "users_zone", "language", "zone"),
    [
        ("2026-07-01T12:00:00+02:00", "Europe/Berlin", "de", "Europe/Berlin"),
        ("2026-07-01T12:00:00+03:00", "Europe/Berlin", "ru", "Europe/Moscow"),
        ("2026-11-24T12:00:00+05:00", "", "ru", "Asia/Yekaterinburg"),
        ("2026-11-24T12:00:00+03:00", "", "en", "Etc/GMT-3"),
        ("2026-11-24T12:00:00-05:00", "no/such", "en", "Etc/GMT+5"),
        ("2026-11-24T12:00:00+00:00", None, "", "UTC"),
        ("2026-11-24T12:00:00", "", "ru", ""),
        ("rubbish", "", "ru", ""),
        ("0001-01-01T00:00:00+14:00", "Europe/Moscow", "ru", ""),
        ("9999-12-31T23:59:59-12:00", "Europe/Moscow", "", ""),
        (None, "", "ru", ""),
    ],
)
def test_s6_a_zone_for_an_offset(server_time, users_zone, language, zone):
    assert finish.zone_of(server_time, users_zone, language) == zone


def test_a_zone_with_half_hours_is_found():
    zone = finish.zone_of("2026-11-24T12:00:00+05:45")
    assert finish._offset_in(zone, dt.datetime(2026, 11, 24, tzinfo=dt.UTC)) == dt.timedelta(
        hours=5, minutes=45
    )


@pytest.mark.django_db(transaction=True)
def test_a_persons_choice_is_not_guessed_over():
    portal = PortalFactory(
        time_zone="Asia/Tokyo", time_zone_source="person", date_format="YMD", date_format_source="person"
    )
    learn.zone(portal, "Europe/Moscow")
    learn.language(portal, "en")
    fresh = Portal.objects.get()
    assert (fresh.time_zone, fresh.date_format, fresh.language) == ("Asia/Tokyo", "YMD", "en")


@pytest.mark.contract("6.10")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("language", "order"), [("en", "MDY"), ("ru", "DMY"), ("de", "DMY"), ("ja", "YMD"), ("xx", "DMY")]
)
def test_s6_the_date_format_is_guessed_from_the_language(language, order):
    portal = PortalFactory()
    learn.language(portal, language)
    assert Portal.objects.get().date_format == order


@pytest.mark.django_db(transaction=True)
def test_the_sweep_finds_a_portal_well_again(server, settings):
    settings.B24_ALLOW_HTTP = True
    server.reply = lambda path, params: ok({"INSTALLED": True})
    PortalFactory(
        client_endpoint=f"{server.base}/rest/",
        trouble="plan_lapsed",
        trouble_since=db_now(),
        ask_again_at=db_now() + dt.timedelta(seconds=30),
    )
    assert sweep.sweep()["asked"] == 0
    assert server.asked == []
    Portal.objects.update(ask_again_at=db_now() - dt.timedelta(seconds=11))
    assert sweep.sweep()["asked"] == 1
    assert Portal.objects.get().trouble == ""


@pytest.mark.django_db(transaction=True)
def test_a_portal_that_no_key_opens_keeps_no_other_from_being_asked(server, settings):
    settings.B24_ALLOW_HTTP = True
    server.reply = lambda path, params: ok({"INSTALLED": True})
    other, portal = (
        PortalFactory(client_endpoint=f"{server.base}/rest/", trouble="plan_lapsed") for _ in range(2)
    )
    damage(other, "access_token")
    sweep.sweep()
    assert Portal.objects.get(pk=portal.pk).trouble == ""
    assert Portal.objects.exclude(pk=portal.pk).get().trouble == "key_missing"


@pytest.mark.django_db(transaction=True)
def test_a_portal_that_can_not_be_finished_is_not_asked_at_every_pass(server, settings):
    settings.B24_ALLOW_HTTP = True
    server.reply = lambda path, params: (400, {"error": "ERROR_CORE"}, {})
    PortalFactory(client_endpoint=f"{server.base}/rest/")
    for _ in range(3):
        assert sweep.sweep()["finished"] == 0
    assert server.methods() == ["batch"]


@pytest.mark.django_db(transaction=True)
def test_a_handler_that_is_no_address_is_not_ours_and_ours_are_bound(server, settings):
    settings.B24_ALLOW_HTTP = True
    portal = PortalFactory(client_endpoint=f"{server.base}/rest/")
    old = f"http://former.example/b24/{portal.application.slug}/events/"
    rows = [{"event": event, "handler": each} for event in finish.EVENTS for each in ("http://[", old)]
    server.reply = lambda path, params: ok({"result": dict.fromkeys(params["cmd"], True) | {"bound": rows}})
    assert finish.finish(portal)
    sent = list(server.asked[-1][1]["cmd"].values())
    assert [command.split("?")[0] for command in sent] == ["event.bind", "event.unbind"] * 2
    assert all("former.example" in command for command in sent if "unbind" in command)


@pytest.mark.django_db(transaction=True)
def test_portals_that_would_not_be_bound_hold_up_no_other(monkeypatch):
    application = ApplicationFactory()
    portals = [PortalFactory(application=application) for _ in range(sweep._MOST + 1)]
    asked = []
    monkeypatch.setattr(finish, "finish", lambda portal: asked.append(portal.pk) or False)
    for _ in range(3):
        sweep._finish()
    assert sorted(asked) == [portal.pk for portal in portals]
    # The last comes first where its turn was the longest ago.
    Lease.objects.update(until=db_now() - dt.timedelta(seconds=1))
    Lease.objects.filter(name=f"finish:{portals[-1].pk}").update(until=db_now() - dt.timedelta(minutes=1))
    asked.clear()
    monkeypatch.setattr(sweep, "_MOST", 1)
    sweep._finish()
    assert asked == [portals[-1].pk]


@pytest.mark.django_db(transaction=True)
def test_of_portals_in_trouble_the_one_that_waits_longest_is_asked_first(monkeypatch):
    application = ApplicationFactory()
    now = db_now()
    minutes = [dt.timedelta(minutes=number) for number in (1, 2, 3)]
    for number, ago in enumerate(minutes):
        PortalFactory(
            application=application,
            domain=f"p{number}.bitrix24.com",
            trouble="limited",
            trouble_since=now,
            ask_again_at=now - ago,
        )
    asked = []

    class Client:
        def __init__(self, portal):
            self.portal = portal

        def call(self, method, timeout):
            asked.append(self.portal.domain)

    monkeypatch.setattr(sweep, "PortalClient", Client)
    monkeypatch.setattr(sweep, "_MOST", 2)
    assert sweep._ask_troubled() == 2
    assert asked == ["p2.bitrix24.com", "p1.bitrix24.com"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "error", [errors.PortalTrouble("application_gone", "NOT_INSTALLED"), errors.Passes("down")]
)
def test_tokens_that_can_not_be_renewed_leave_the_others_their_turn(monkeypatch, error):
    application = ApplicationFactory()
    old = db_now() - dt.timedelta(days=160)
    portals = [
        PortalFactory(application=application, refreshed_at=old + dt.timedelta(minutes=number))
        for number in range(6)
    ]
    asked = []

    def fails(portal, refused):
        asked.append(portal.pk)
        raise error

    monkeypatch.setattr(refresh, "refresh", fails)
    for _ in range(3):
        assert refresh.keep_alive() == 0
    assert asked == [portal.pk for portal in portals]


@pytest.mark.django_db(transaction=True)
def test_leases_long_ended_are_removed():
    lease.take("old", -2 * 86400)
    lease.take("new", 60)
    assert sweep.sweep()["leases"] == 1
    # Beside one that the sweep itself took.
    assert set(Lease.objects.values_list("name", flat=True)) == {"new", "spent-tokens"}


@pytest.mark.django_db(transaction=True)
def test_one_failing_part_holds_up_no_other(monkeypatch):
    monkeypatch.setattr(sweep.refresh, "keep_alive", lambda: 1 / 0)
    lease.take("old", -2 * 86400)
    # Raised in the end, so that the pass counts as failed (b24app/work.py).
    with pytest.raises(ExceptionGroup) as caught:
        sweep.sweep()
    assert [type(each) for each in caught.value.exceptions] == [ZeroDivisionError]
    assert not Lease.objects.filter(name="old").exists()
