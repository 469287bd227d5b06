"""Each trouble of a portal: a state, a sentence for people, and a rule for what waits (contract §4, design §2)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from handlers import compute, delivery, sweeper
from handlers.models import Invocation
from portals.clock import db_now
from portals.models import Portal
from portals.standing import standing
from tests.handlers.rig import Rig
from tests.system.processes import until

pytestmark = pytest.mark.django_db(transaction=True)


def _setting(**values: Any) -> Callable[[Rig], None]:
    return lambda rig: rig.control.post(f"portals/{rig.name}", **values) and None


def _paid(paid: bool) -> Callable[[Rig], None]:
    return lambda rig: (
        rig.control.post(f"portals/{rig.name}/app", client_id=rig.client_id, paid=paid) and None
    )


def _dismissed(active: bool) -> Callable[[Rig], None]:
    return lambda rig: rig.control.post(f"portals/{rig.name}/user", id=1, active=active) and None


def _fault(**fault: Any) -> Callable[[Rig], None]:
    return lambda rig: rig.control.post(f"portals/{rig.name}/faults", **fault) and None


def _no_faults(rig: Rig) -> None:
    answer = rig.control.session.delete(f"{rig.control.base}/control/portals/{rig.name}/faults", timeout=30)
    assert answer.ok


CASES = [
    ("plan_lapsed", _setting(commercial=False), _setting(commercial=True)),
    (
        "no_robots",
        _setting(workflows=False, automation=False),
        _setting(workflows=True, automation=True),
    ),
    ("portal_gone", _setting(deleted=403), _setting(deleted=0)),
    ("portal_gone", _setting(deleted=410), _setting(deleted=0)),
    ("portal_gone", _setting(deleted=500), _setting(deleted=0)),
    ("user_dismissed", _dismissed(False), _dismissed(True)),
    ("unpaid", _fault(kind="error", error="PAYMENT_REQUIRED", status=402), _no_faults),
    ("application_gone", _fault(kind="error", error="APPLICATION_NOT_FOUND", status=403), _no_faults),
    ("scope", _fault(kind="error", error="insufficient_scope", status=403), _no_faults),
    ("no_rights", _fault(kind="error", error="INVALID_CREDENTIALS", status=403), _no_faults),
    ("no_rights", _fault(kind="error", error="ACCESS_DENIED", status=403), _no_faults),
    ("limited", _fault(kind="error", error="OVERLOAD_LIMIT", status=503), _no_faults),
]


def later(rig: Rig, settings: Any, seconds: int) -> None:
    """The clocks of hub and portal go on together."""
    rig.control.post("clock", advance=seconds)
    settings.CLOCK_OFFSET_SECONDS += seconds


@pytest.fixture(autouse=True)
def clock(control: Any) -> Any:
    yield
    control.post("clock", offset=0)


def finishes(rig: Rig, number: Any) -> None:
    until(lambda: rig.process(number)["state"] == "finished", "the process goes on", 20)


def called(rig: Rig, number: int = 1) -> None:
    until(lambda: rig.stats()["handler_ok"] >= number, "the call was taken in")


@pytest.mark.parametrize(("trouble", "comes", "goes"), CASES, ids=lambda value: str(value)[:16])
def test_what_waits_is_kept_and_goes_on_when_it_passes(
    make_rig: Callable[..., Rig],
    settings: Any,
    trouble: str,
    comes: Callable[[Rig], None],
    goes: Callable[[Rig], None],
) -> None:
    rig, other = make_rig(), make_rig()
    for each in (rig, other):
        each.robot()
    number, others = rig.run(), other.run()
    for each in (rig, other):
        called(each)
    comes(rig)
    rig.work()
    row = Invocation.objects.get(portal=rig.portal)
    assert (row.state, row.cause) == ("ready", "")
    rig.portal.refresh_from_db()
    assert rig.portal.trouble == trouble
    # A sentence for people: what it is, and (but for what passes by itself) what they do.
    first = standing(rig.portal)[0]
    assert first.words and (first.to_do or trouble in ("limited",))
    # Nobody else waits for it, and nobody asks it again and again.
    finishes(other, others)
    asked = rig.stats()["requests"]
    for _ in range(5):
        rig.work()
    assert rig.stats()["requests"] == asked
    # A minute later it is asked, refuses, and is left alone again.
    later(rig, settings, 61)
    rig.work()
    rig.work()
    assert asked < rig.stats()["requests"] <= asked + 2
    goes(rig)
    later(rig, settings, 61)
    rig.work()
    rig.work()
    finishes(rig, number)
    rig.portal.refresh_from_db()
    assert rig.portal.trouble == ""
    assert rig.stats()["doubled"] == 0


def test_an_authorisation_that_is_lost_waits_for_another_token(rig: Rig, settings: Any) -> None:
    rig.robot()
    number = rig.run()
    called(rig)
    # Spent by somebody else: a restored backup somewhere, say.
    Portal.objects.filter(pk=rig.portal.pk).update(access_expires_at=db_now() - dt.timedelta(seconds=1))
    good = rig.portal.refresh_token
    rig.portal.refresh_token = "r.spent.long.ago"
    rig.portal.save(update_fields=["refresh_token"])
    rig.work()
    rig.portal.refresh_from_db()
    assert (rig.portal.token_state, rig.portal.trouble) == ("lost", "token_lost")
    assert Invocation.objects.get().state == "ready"
    asked = rig.stats()["requests"]
    for _ in range(5):
        rig.work()
        later(rig, settings, 61)
    assert rig.stats()["requests"] == asked, "without a token there is nothing to ask with"
    rig.portal.refresh_token, rig.portal.token_state = good, "working"
    rig.portal.trouble, rig.portal.ask_again_at = "", None
    rig.portal.save()
    rig.work()
    finishes(rig, number)


def test_after_an_uninstallation_what_waits_goes_on_with_the_next_installation(
    rig: Rig, settings: Any
) -> None:
    rig.robot()
    number = rig.run()
    called(rig)
    Portal.objects.filter(pk=rig.portal.pk).update(state="uninstalled", uninstalled_at=db_now())
    rig.work()
    later(rig, settings, 86_400)
    rig.work()
    assert Invocation.objects.get().state == "ready"
    assert rig.stats()["sends"] == 0
    Portal.objects.filter(pk=rig.portal.pk).update(state="installed", uninstalled_at=None)
    rig.work()
    finishes(rig, number)


def test_thirty_days_after_an_uninstallation_what_waits_ends_as_portal_gone(rig: Rig) -> None:
    rig.robot()
    rig.run()
    called(rig)
    gone = db_now() - dt.timedelta(days=31)
    Portal.objects.filter(pk=rig.portal.pk).update(state="uninstalled", uninstalled_at=gone)
    sweeper.sweep()
    row = Invocation.objects.get()
    assert (row.state, row.cause) == ("refused", "portal_gone")


def test_s7_the_nearest_deadline_goes_first(rig: Rig) -> None:
    rig.robot()
    # Sent one at a time, so that the order shows.
    Portal.objects.filter(pk=rig.portal.pk).update(batch_size=1, paused_at=db_now())
    timeouts = [0, 900, 300, 600]
    numbers = [rig.run(timeout=timeout) for timeout in timeouts]
    called(rig, len(timeouts))
    rig.work()
    Portal.objects.filter(pk=rig.portal.pk).update(paused_at=None, batch_size=1)
    order: list[int] = []
    for _ in timeouts * 3:
        Portal.objects.filter(pk=rig.portal.pk).update(batch_size=1)
        delivery.deliver_now(Portal.objects.get(pk=rig.portal.pk))
        for place, number in enumerate(numbers):
            if place not in order and rig.process(number)["state"] == "finished":
                order.append(place)
    assert order == [2, 3, 1, 0]


def test_past_its_deadline_nothing_is_sent_though_no_sweep_came_by(rig: Rig, settings: Any) -> None:
    rig.robot()
    Portal.objects.filter(pk=rig.portal.pk).update(paused_at=db_now())
    rig.run(timeout=60)
    called(rig)
    compute.work()
    assert Invocation.objects.get().state == "ready"
    Portal.objects.filter(pk=rig.portal.pk).update(paused_at=None)
    later(rig, settings, 61)
    delivery.work()
    row = Invocation.objects.get()
    assert (row.state, row.cause) == ("expired", "wait_over")
    assert rig.stats()["sends"] == 0
