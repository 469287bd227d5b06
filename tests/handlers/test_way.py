"""A call's way from the portal to the portal, against the sandbox (contract §6, §7)."""

from __future__ import annotations

import pytest

from handlers.models import Invocation
from tests.handlers.rig import Rig
from tests.system.processes import until

pytestmark = pytest.mark.django_db(transaction=True)


def arrived(count: int = 1) -> None:
    until(lambda: Invocation.objects.count() >= count, "the calls are in", 10)


def test_s6_s7_a_call_is_computed_and_its_result_arrives(rig: Rig) -> None:
    rig.robot()
    number = rig.run()
    arrived()
    rig.work()
    row = Invocation.objects.get()
    assert (row.state, row.cause) == ("delivered", ""), list(row.attempts.values())
    process = until(lambda: (p := rig.process(number))["state"] == "finished" and p, "the process goes on", 10)
    assert process["steps"][0]["results"]["total"] in (42, "42"), process
