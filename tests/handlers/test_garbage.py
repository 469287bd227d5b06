"""What a worker has read of a call goes with its last use: nothing waits for the collector, whose turn comes late."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest
from django.db import connections

from handlers import outgoing, units
from handlers.claims import Claim
from handlers.models import Invocation, InvocationResult
from portals.keeper import Keeper
from portals.models import Portal
from robots.models import RobotVersion
from tests.handlers.calls import post

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    "read",
    [
        lambda claims: [row.invocation for row in units.load(claims).values()],
        lambda claims: [row.invocation for row in outgoing.load(claims)[0]],
    ],
    ids=["to compute", "to send"],
)
def test_a_calls_row_is_freed_without_the_collector(
    portal: Portal,
    version: RobotVersion,
    no_collector: None,
    read: Callable[[list[Claim]], list[Invocation]],
) -> None:
    for _ in range(3):
        post(portal, version=version.pk)
    claims = [Claim(pk, 0) for pk in Invocation.objects.values_list("pk", flat=True)]
    InvocationResult.objects.bulk_create(
        InvocationResult(pk=each.id, result='{"values": {}, "log": null}') for each in claims
    )
    left = [weakref.ref(row) for row in read(claims)]
    assert len(left) == 3 and [row() for row in left] == [None] * 3


def test_a_keeper_that_had_nothing_to_do_makes_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    made_in = []
    make = connections.create_connection
    monkeypatch.setattr(
        connections,
        "create_connection",
        lambda alias: made_in.append(threading.current_thread().name) or make(alias),
    )
    with Keeper(lambda: None):
        pass
    assert "keeper" not in made_in
