"""Replay of all of a filter: told first, confirmed with a reason, worked on in pieces that survive a kill."""

from __future__ import annotations

import datetime as dt

import pytest
from django.urls import reverse
from django.utils import timezone

from handlers import admin as log_admin
from handlers import replay_orders
from handlers.models import Attempt, Invocation, ReplayOrder, State
from portals import lease, wake
from tests.b24app.people import signed_in
from tests.factories import InvocationFactory, RobotVersionFactory

LOG = "/admin/handlers/invocation/"


@pytest.fixture(autouse=True)
def woken(monkeypatch):
    queues = []
    monkeypatch.setattr(wake, "wake", queues.append)
    monkeypatch.setattr(log_admin, "DECIDED_AT_ONCE", 2)
    monkeypatch.setattr(replay_orders, "PIECE", 2)
    return queues


def failed(number, **fields):
    version = RobotVersionFactory()
    return [
        InvocationFactory(version=version, state=State.FAILED, cause="robot_error", **fields)
        for _each in range(number)
    ]


def asked(client, deed="replay_calls", **query):
    calls = list(Invocation.objects.values_list("pk", flat=True)[:2])
    data = {"action": deed, "select_across": "1", "_selected_action": calls}
    answer = client.post(LOG + ("?state=failed" if not query else ""), data)
    return answer["Location"]


@pytest.mark.django_db(transaction=True)
def test_all_of_a_filter_is_told_first_and_ordered_with_a_reason(woken):
    client = signed_in("operators")
    late = failed(1, deadline=timezone.now() - dt.timedelta(hours=1))
    failed(4)
    InvocationFactory(state=State.DELIVERED)
    page = client.get(asked(client))
    order = ReplayOrder.objects.get()
    assert (order.total, page.context["late"], page.context["portal_count"], page.context["not_failed"]) == (
        5,
        1,
        5,
        0,
    )
    replay_orders.work()
    assert Invocation.objects.count() == 6, "nothing is done before it is confirmed"
    confirm = reverse("admin:handlers_replayorder_confirm", args=[order.pk])
    assert client.post(confirm, {"why": " "}).context["form"].errors
    client.post(confirm, {"why": "The robot was mended"})
    assert woken == ["replay"]
    replay_orders.work()
    order.refresh_from_db()
    assert (order.taken, order.done, order.ended_at is not None) == (5, 4, True)
    assert list(order.refused.values()) == [1]
    assert Invocation.objects.filter(run=2).count() == 4
    assert not Invocation.objects.filter(run=2, token_hash=late[0].token_hash).exists()
    assert (
        Attempt.objects.filter(step="person", actor="of-operators", text="The robot was mended").count() == 4
    )
    text = client.get(reverse("admin:handlers_replayorder_change", args=[order.pk])).content.decode()
    assert "has stopped waiting" in text and "4 of 5 begun" in text


@pytest.mark.django_db(transaction=True)
def test_all_of_a_filter_is_acknowledged():
    client = signed_in("operators")
    failed(2)
    failed(2, waits=False)
    InvocationFactory(state=State.DELIVERED)
    page = client.get(asked(client, "acknowledge_calls"))
    order = ReplayOrder.objects.get()
    assert (order.total, page.context["waiting"]) == (4, 2)
    auditor = signed_in("auditors")
    confirm = reverse("admin:handlers_replayorder_confirm", args=[order.pk])
    assert auditor.post(confirm, {"why": "x"}).status_code == 403
    client.post(confirm, {"why": "The robot was mended"})
    replay_orders.work()
    assert Invocation.objects.filter(acknowledged_at__isnull=False).count() == 4
    assert not Invocation.objects.exclude(run=1).exists()
    text = client.get(reverse("admin:handlers_replayorder_change", args=[order.pk])).content.decode()
    assert "Acknowledgement of many" in text and "4 calls were acknowledged" in text


@pytest.mark.django_db(transaction=True)
def test_what_came_after_it_was_asked_for_is_not_taken():
    client = signed_in("operators")
    failed(3)
    asked(client)
    failed(2)
    order = ReplayOrder.objects.get()
    replay_orders.confirm(order, "mended")
    replay_orders.work()
    assert Invocation.objects.filter(run=2).count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_process_that_dies_between_pieces_leaves_none_out_and_runs_none_twice(woken, monkeypatch):
    failed(5)
    order = replay_orders.draft("replay", Invocation.objects.all(), "anna")
    replay_orders.confirm(order, "mended")
    assert replay_orders._piece(order.pk)

    def dies(call, by, why):
        raise KeyboardInterrupt

    monkeypatch.setitem(replay_orders.DEEDS, "replay", dies)
    with pytest.raises(KeyboardInterrupt):
        replay_orders.work()
    monkeypatch.undo()
    order.refresh_from_db()
    assert (order.taken, Invocation.objects.filter(run=2).count()) == (2, 2)
    monkeypatch.setattr(wake, "wake", woken.append)
    woken.clear()
    replay_orders.sweep()
    assert woken == ["replay"]
    replay_orders.work()
    assert sorted(
        Invocation.objects.filter(run=2).values_list("token_hash").distinct().count() for _ in "1"
    ) == [5]
    assert not Invocation.objects.filter(run=3).exists()


@pytest.mark.django_db(transaction=True)
def test_one_process_at_a_time_works_on_an_order():
    failed(3)
    order = replay_orders.draft("replay", Invocation.objects.all(), "anna")
    replay_orders.confirm(order, "mended")
    held = lease.take(f"replay-order:{order.pk}", 60)
    replay_orders.work()
    assert not Invocation.objects.filter(run=2).exists()
    held.release()
    replay_orders.work()
    assert Invocation.objects.filter(run=2).count() == 3


@pytest.mark.django_db(transaction=True)
def test_the_rest_is_cancelled():
    client = signed_in("operators")
    failed(5)
    order = replay_orders.draft("replay", Invocation.objects.all(), "anna")
    replay_orders.confirm(order, "mended")
    replay_orders._piece(order.pk)
    page = client.get(reverse("admin:handlers_replayorder_change", args=[order.pk]))
    assert page.context["may_cancel"] and "live.js" in page.content.decode()
    client.post(reverse("admin:handlers_replayorder_cancel", args=[order.pk]))
    replay_orders.work()
    order.refresh_from_db()
    assert (order.cancelled_by, order.taken, Invocation.objects.filter(run=2).count()) == (
        "of-operators",
        2,
        2,
    )


@pytest.mark.django_db(transaction=True)
def test_auditors_see_orders_and_change_none():
    failed(3)
    order = replay_orders.draft("replay", Invocation.objects.all(), "anna")
    client = signed_in("auditors")
    page = client.get(reverse("admin:handlers_replayorder_change", args=[order.pk]))
    assert page.status_code == 200 and 'name="why"' not in page.content.decode()
    for deed in ("confirm", "cancel"):
        url = reverse(f"admin:handlers_replayorder_{deed}", args=[order.pk])
        assert client.post(url, {"why": "because"}).status_code == 403
    order.refresh_from_db()
    assert (order.confirmed_at, order.ended_at) == (None, None)


@pytest.mark.django_db(transaction=True)
def test_a_draft_that_nobody_confirmed_is_thrown_away():
    failed(1)
    order = replay_orders.draft("replay", Invocation.objects.all(), "anna")
    replay_orders.sweep()
    assert ReplayOrder.objects.exists()
    ReplayOrder.objects.update(ordered_at=timezone.now() - dt.timedelta(days=2))
    kept = replay_orders.draft("replay", Invocation.objects.all(), "anna")
    replay_orders.sweep()
    assert list(ReplayOrder.objects.all()) == [kept] and order.pk != kept.pk
