"""A portal whose secrets no key opens: its results wait, it is told of, and it holds up no other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from b24app import alarm_causes
from handlers import delivery, replay_orders
from handlers.models import Invocation
from portals import refresh, trouble
from portals.clock import db_now
from portals.crypto import SecretUnreadable
from portals.models import Portal, PortalSetting
from robots import push_queue, work
from robots.models import Push, PushItem, Registration
from tests.damage import DAMAGED, damage, restore
from tests.factories import InvocationFactory, PortalFactory, RobotFactory, RobotVersionFactory
from tests.handlers.test_silence import Silent, silent

__all__ = ["silent"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other(silent: Silent) -> Iterator[Silent]:
    made = Silent()
    yield made
    made.server.stop()


@pytest.mark.parametrize("whose", ["the portal's token", "the application's secret"])
def test_its_results_wait_and_others_go(silent: Silent, other: Silent, settings: Any, whose: str) -> None:
    silent.well = other.well = True
    mine, theirs = silent.call(), other.call()
    portal = silent.portal
    damaged, column = (portal, "access_token")
    if whose != "the portal's token":
        damaged, column = (portal.application, "client_secret")
        Portal.objects.filter(pk=portal.pk).update(access_expires_at=db_now())
    before = damage(damaged, column)
    delivery.work()
    mine.refresh_from_db()
    theirs.refresh_from_db()
    assert theirs.state == "delivered"
    assert (mine.state, mine.sends, mine.confirmation) == ("ready", 0, "")
    portal = Portal.objects.get(pk=portal.pk)
    assert portal.trouble == "key_missing"
    assert [cause.subject for cause in alarm_causes.portals_in_trouble()] == [str(portal.pk)]
    restore(damaged, before)
    Portal.objects.filter(pk=portal.pk).update(access_expires_at=db_now() + dt.timedelta(hours=1))
    settings.CLOCK_OFFSET_SECONDS += trouble.EVERY + 1
    delivery.work()
    mine.refresh_from_db()
    assert mine.state == "delivered"
    assert Portal.objects.get(pk=portal.pk).trouble == ""


def test_tokens_of_others_are_kept_alive(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    old = db_now() - dt.timedelta(days=151)
    bad = PortalFactory(refreshed_at=old - dt.timedelta(days=1))
    good = PortalFactory(refreshed_at=old)
    renewed = []
    monkeypatch.setattr(refresh, "_renew", lambda portal, held: renewed.append(portal.pk))
    damage(bad, "access_token")
    refresh.keep_alive(most=1)
    refresh.keep_alive(most=1)
    assert renewed == [good.pk]
    assert Portal.objects.get(pk=bad.pk).trouble == "key_missing"


def test_orders_of_people_and_what_is_due_end_for_others() -> None:
    bad, good = PortalFactory(), PortalFactory()
    push = Push.objects.create(ordered_by="anna", ordered_at=db_now())
    for portal in (bad, good):
        robot = RobotFactory(application=portal.application)
        version = RobotVersionFactory(robot=robot)
        Registration.objects.create(portal=portal, robot=robot, wanted_version=version, due_at=db_now())
        PushItem.objects.create(push=push, portal=portal)
    damage(bad, "access_token")
    rows = [InvocationFactory(portal=each, state="failed", cause="robot_error") for each in (bad, good)]
    order = replay_orders.draft(
        "acknowledge", Invocation.objects.filter(pk__in=[row.pk for row in rows]), "anna"
    )
    replay_orders.confirm(order, "seen")
    assert push_queue.work() == 2
    assert work.push_due() == 2
    replay_orders.work()
    assert not PushItem.objects.filter(state__in=push_queue.OPEN).exists()
    assert Invocation.objects.filter(acknowledged_at=None).count() == 0


def test_a_secret_is_opened_when_it_is_read_and_what_was_not_opened_is_stored_as_it_was() -> None:
    portal = PortalFactory(access_token="", refresh_token="open me")
    setting = PortalSetting.objects.create(portal=portal, name="key", value="first")
    damage(portal, "access_token")
    read = Portal.objects.get(pk=portal.pk)
    assert read.refresh_token == "open me"
    with pytest.raises(SecretUnreadable):
        read.access_token  # noqa: B018  (reading it is what is tried)
    read.domain = "other.example"
    read.save()
    with connection.cursor() as cursor:
        cursor.execute("SELECT access_token FROM portals_portal WHERE id = %s", [portal.pk])
        assert bytes(cursor.fetchone()[0]) == DAMAGED
    read.access_token = "new"
    read.save()
    assert Portal.objects.get(pk=portal.pk).access_token == "new"
    assert PortalSetting.objects.defer("value").get(pk=setting.pk).value == "first"
