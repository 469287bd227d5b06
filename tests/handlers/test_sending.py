"""What goes in one request, and what the portal's answer makes of each row, against the sandbox (contract §4, §7)."""

from __future__ import annotations

from typing import Any

import pytest

from handlers import compute
from handlers.models import Invocation, InvocationResult, Sending
from handlers.sending import send_one
from portals import lease
from portals.clock import db_now
from portals.models import Portal
from tests.handlers.rig import Rig
from tests.handlers.test_way import arrived, finished

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def clock(control: Any) -> Any:
    yield
    control.post("clock", offset=0)


def computed(rig: Rig, lines: str = "") -> None:
    """Everything that arrived is computed and waits, `lines` (JSON) beside each result."""
    Portal.objects.update(paused_at=db_now())
    compute.work()
    InvocationResult.objects.update(lines=lines)
    Portal.objects.update(paused_at=None)


def one_request(rig: Rig, calm: bool = False) -> bool:
    held = lease.take(f"send:{rig.member_id}", 30)
    assert held is not None
    try:
        return send_one(Portal.objects.get(), held, calm)
    finally:
        held.release()


def test_the_nearest_deadline_goes_first_though_it_came_last(rig: Rig) -> None:
    """A result with a line of its log is two commands: half of what is claimed goes back, never the urgent ones."""
    rig.robot()
    burst = {"client_id": rig.client_id, "code": "double", "properties": {"amount": "1"}, "timeout": 86_400}
    rig.control.post(f"portals/{rig.name}/burst", count=55, per_second=40, **burst)
    arrived(55)
    urgent = [rig.run(timeout=60) for _ in range(2)]
    arrived(57)
    while Invocation.objects.filter(state="received").exists():
        computed(rig, '["a line"]')
    assert one_request(rig)
    rows = list(Invocation.objects.order_by("id"))
    assert [row.state for row in rows[-2:]] == ["delivered", "delivered"]
    assert 20 <= Sending.objects.get().results <= 25
    for number in urgent:
        finished(rig, number)
