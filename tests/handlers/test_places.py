"""The places of a worker's children: a child has its own for as long as it is at work (design §2 rule 8)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from handlers import compute, delivery, slots
from portals import keeper
from portals.clock import db_now
from portals.models import Lease, Portal
from robots.models import RobotVersion
from tests.factories import InvocationFactory
from tests.handlers.calls import post
from tests.system.processes import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick_keeper(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.WORKER_CONCURRENCY = 2
    monkeypatch.setattr(keeper, "EVERY", 0.02)


def kept(kind: str) -> None:
    """Nobody renewed it until its end had almost come; now somebody does."""
    places = Lease.objects.filter(name__startswith=kind)
    assert places.update(until=db_now() + dt.timedelta(seconds=1)) == 1
    until(lambda: places.get().until > db_now() + dt.timedelta(seconds=10), "the place is kept")


def test_a_child_keeps_its_computing_place_while_a_row_is_computed_and_while_results_go_out(
    portal: Portal, version: RobotVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def runs(*_args: Any) -> bool:
        kept("compute:")
        seen.append("computed")
        return True

    monkeypatch.setattr(compute, "_compute_unit", runs)
    monkeypatch.setattr(delivery, "deliver_now", lambda _portal: (kept("compute:"), seen.append("sent")))
    post(portal, version=version.pk)
    compute.work()
    assert seen == ["computed", "sent"]
    assert slots.take_computing() is not None, "it was given back"


def test_a_sender_keeps_its_place_while_a_portal_is_silent(
    portal: Portal, version: RobotVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def silent(*_args: Any) -> bool:
        kept("deliver:")
        asked.append(True)
        return False

    monkeypatch.setattr(delivery, "send_one", silent)
    InvocationFactory(
        portal=portal, version=version, state="ready", stored__result='{"values":{},"log":null}'
    )
    delivery.work()
    assert asked and slots.take_delivering() is not None


@pytest.mark.parametrize("take", [slots.take_computing, slots.take_delivering])
def test_a_place_that_another_has_is_ours_no_longer(db: None, take: Callable[[], Any]) -> None:
    place = take()
    with keeper.kept(place) as ours:
        assert ours()
        Lease.objects.filter(name=place.name).update(until=db_now(), fence=place.fence + 1, owner="another")
        until(lambda: not ours(), "that it was overtaken is seen")
    assert Lease.objects.get(name=place.name).owner == "another"
