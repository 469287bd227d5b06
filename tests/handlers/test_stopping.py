"""A worker that was asked to end leaves what it has not begun to others, however much waits."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from handlers import compute, delivery
from handlers.models import Invocation
from portals import stopping
from portals.models import Portal
from robots.models import RobotVersion
from tests.handlers.calls import post

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def goes_on_afterwards() -> Iterator[None]:
    yield
    stopping.tell(False)


def test_a_child_is_told_by_what_it_shares_with_the_main_process() -> None:
    ask, answer = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(ask[0], 1)
        os.write(answer[1], b"1" if stopping.asked() else b"0")
        os._exit(0)
    assert not stopping.asked()
    stopping.tell()
    os.write(ask[1], b"?")
    assert os.read(answer[0], 1) == b"1"
    os.waitpid(pid, 0)


def test_what_is_not_begun_is_left_to_others(
    portal: Portal, version: RobotVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(portal, version=version.pk)
    stopping.tell()
    monkeypatch.setattr(delivery, "_round", lambda: pytest.fail("it went on sending"))
    compute.work()
    delivery.work()
    assert Invocation.objects.get().state == "received"
