"""Ordered pushes: carried out by whoever claims them, recorded by their own answers, resumable, cancellable."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import translation

from portals import lease, wake
from portals.clock import db_now
from portals.models import Lease, Portal
from robots import push_queue, work
from robots.models import Push, PushItem, Registration
from robots.push import push_portal, want_all
from robots.push_order import cancel, order, order_check, planned, repairs, retry
from robots.push_result import PortalResult
from robots.sweep import sweep
from tests.robots.portal_lab import PortalLab

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    queues: list[str] = []
    monkeypatch.setattr(wake, "wake", queues.append)
    return queues


def ordered(*labs: PortalLab, versions: Any = None, adopt: tuple[str, ...] = ()) -> Push:
    robots = list(labs[0].application.robots.prefetch_related("properties"))
    portals = list(
        Portal.objects.filter(pk__in=[lab.portal.pk for lab in labs]).select_related("application")
    )
    push = order(planned(portals, robots, versions, adopt), "anna", adopt=adopt)
    assert push is not None
    return push


def ends(push: Push) -> list[str]:
    push.refresh_from_db()
    return [item.state for item in push.items.order_by("id")]


def test_a_push_to_several_portals_is_carried_out_and_recorded(make_portal: Any) -> None:
    first = make_portal()
    second = make_portal(first.application)
    first.robot("one")
    first.robot("two")
    push = ordered(first, second)
    assert not Registration.objects.exists()
    assert push_queue.work() == 2
    assert ends(push) == ["done", "done"]
    assert push.ended_at is not None
    item = push.items.first()
    assert item is not None
    assert [(each["code"], each["action"], each["done"]) for each in item.outcomes] == [
        ("one", "add", True),
        ("two", "add", True),
    ]
    assert set(first.there()) == set(second.there()) == {"one", "two"}
    assert push_queue.work() == 0


def test_the_version_ordered_is_the_one_pushed(lab: PortalLab) -> None:
    robot = lab.robot("discount", description="First words")
    push_queue.carry_out(claimed(ordered(lab)))
    lab.change(robot, description="Second words")
    push_queue.carry_out(claimed(ordered(lab)))
    assert lab.there()["discount"]["description"] == "Second words"
    first = robot.versions.get(number=1)
    assert ends(ordered(lab, versions={robot.pk: first})) == ["waiting"]
    work.work()
    assert lab.there()["discount"]["description"] == "First words"
    assert lab.row("discount").wanted_version == first, "and it stays so: nothing pushes the latest by itself"


def claimed(push: Push) -> PushItem:
    item = push_queue._claim()
    assert item is not None and item.push_id == push.pk
    return item


def test_what_a_portal_refuses_is_told_and_only_that_is_tried_again(lab: PortalLab) -> None:
    lab.robot("good")
    lab.robot("bad", subscription="wait")
    lab.fault(
        "error", error="ERROR_ACTIVITY_ADD_FAILURE", level="command", methods=["bizproc.robot.add"], count=1
    )
    push = ordered(lab)
    work.push_queue.work()
    assert ends(push) == ["failed"]
    item = push.items.get()
    (refused,) = [each for each in item.outcomes if not each["done"]]
    assert refused["error_code"] == "ERROR_ACTIVITY_ADD_FAILURE"
    again = retry(push, "boris")
    assert again is not None and again.retry_of == push
    assert [each["code"] for each in again.items.get().wanted] == [refused["code"]]
    push_queue.work()
    assert ends(again) == ["done"]
    # The former push tells what became of what it had to leave.
    assert ends(push) == ["done"]
    assert retry(push, "boris") is None


def test_a_portal_that_takes_nothing_holds_the_push_until_it_does(lab: PortalLab) -> None:
    lab.robot("discount")
    lab.lab.set(commercial=False)
    push = ordered(lab)
    push_queue.work()
    assert ends(push) == ["held"]
    assert "plan" in push.items.get().trouble
    assert push.ended_at is None, "it is not over while a portal holds it up"
    lab.lab.set(commercial=True)
    Registration.objects.update(due_at=db_now())
    Portal.objects.update(ask_again_at=None)
    work.push_due()
    assert set(lab.there()) == {"discount"}
    assert ends(push) == ["done"]
    assert push.ended_at is not None
    (outcome,) = push.items.get().outcomes
    assert (outcome["action"], outcome["done"]) == ("add", True), "what was done, not what could not be"


def test_an_adoption_that_a_portal_holds_up_is_made_when_it_passes(lab: PortalLab) -> None:
    lab.lab.robot("discount", DESCRIPTION="Theirs")
    lab.robot("discount")
    lab.lab.set(commercial=False)
    push = ordered(lab, adopt=("discount",))
    push_queue.work()
    assert ends(push) == ["held"]
    lab.lab.set(commercial=True)
    Registration.objects.update(due_at=db_now())
    Portal.objects.update(ask_again_at=None)
    work.push_due()
    assert ends(push) == ["done"]
    assert lab.there()["discount"]["description"] != "Theirs"
    assert lab.row("discount").adopted_by == push.ordered_by


def test_what_a_portal_could_not_take_is_told_as_what_was_done_later(lab: PortalLab) -> None:
    lab.robot("discount")
    lab.lab.set(automation=False, workflows=False)
    push = ordered(lab)
    push_queue.work()
    assert [(each["action"], each["done"]) for each in push.items.get().outcomes] == [("refused", False)]
    lab.lab.set(automation=True, workflows=True)
    again = retry(push, "boris")
    assert again is not None
    Portal.objects.update(ask_again_at=None, trouble="")
    push_queue.work()
    assert ends(again) == ["done"]
    (outcome,) = push.items.get().outcomes
    assert (outcome["action"], outcome["done"]) == ("add", True)


def test_a_repair_brings_back_what_was_wanted_and_nothing_newer(lab: PortalLab) -> None:
    robot = lab.robot("discount", description="First words")
    lab.robot("phone")
    push_queue.carry_out(claimed(ordered(lab)))
    lab.change(robot, description="Second words")
    push_queue.carry_out(claimed(ordered(lab)))
    first = robot.versions.get(number=1)
    push_queue.carry_out(claimed(ordered(lab, versions={robot.pk: first})))
    lab.robot("never_pushed")
    for code in ("phone", "discount"):
        lab.lab.rest("bizproc.robot.delete", {"CODE": code})
        check = order_check([lab.portal], "anna")
        assert check is not None
        push_queue.work()
        plans = repairs(check, [Portal.objects.select_related("application").get()])
        assert {step.code for plan in plans for step in plan.changing()} >= {code}
        assert "never_pushed" not in {step.code for plan in plans for step in plan.steps}
    repair = order(plans, "anna")
    assert repair is not None
    push_queue.work()
    assert set(lab.there()) == {"discount", "phone"}
    assert lab.there()["discount"]["description"] == "First words"
    assert lab.row("discount").wanted_version == first


def test_the_rest_is_cancelled_and_what_a_portal_holds_is_let_go(make_portal: Any) -> None:
    first = make_portal()
    second = make_portal(first.application)
    first.robot("discount")
    push = ordered(first, second)
    item = claimed(push)
    row = Registration.objects.create(
        robot=first.application.robots.get(),
        portal=item.portal,
        wanted_version_id=item.wanted[0]["version"],
        due_at=db_now(),
        adopted_by="anna",
    )
    PushItem.objects.filter(pk=item.pk).update(state="held")
    assert cancel(push, "anna") == 2
    assert ends(push) == ["cancelled", "cancelled"]
    assert (push.cancelled_by, push.ended_at is not None) == ("anna", True)
    row.refresh_from_db()
    assert (row.due_at, row.wanted_version, row.adopted_by) == (None, None, "")
    assert push_queue.work() == 0
    assert first.there() == second.there() == {}
    assert cancel(push, "anna") == 0


@pytest.mark.parametrize("changed", [True, False])
def test_what_a_reinstallation_owes_is_owed_after_a_later_push_was_cancelled(
    lab: PortalLab, changed: bool
) -> None:
    robot = lab.robot("discount")
    push_portal(lab.portal)
    first = lab.row("discount").pushed_version
    lab.reinstall()
    want_all(lab.portal)
    lab.fault(
        "error",
        count=50,
        methods=["bizproc.robot.add"],
        level="command",
        status=503,
        error="OVERLOAD_LIMIT",
        description="blocked",
    )
    work.push_due()
    assert (lab.row("discount").pushed_version, lab.row("discount").wanted_version) == (None, first)
    if changed:
        lab.change(robot, name={"en": "Second"})
    Portal.objects.update(ask_again_at=None)
    push = ordered(lab)
    push_queue.work()
    assert ends(push) == ["held"]
    assert cancel(push, "anna") == 1
    row = lab.row("discount")
    assert row.wanted_version == first and row.due_at is not None


def test_a_push_that_is_being_sent_is_not_cancelled(lab: PortalLab) -> None:
    lab.robot("discount")
    push = ordered(lab)
    item = claimed(push)
    assert cancel(push, "anna") == 0
    push_queue.carry_out(item)
    assert ends(push) == ["done"]


def test_one_that_died_midway_is_taken_up_by_the_sweep(lab: PortalLab, woken: list[str]) -> None:
    lab.robot("discount")
    push = ordered(lab)
    claimed(push)
    held = lease.take(f"push:{lab.portal.pk}", 180)
    assert held is not None
    PushItem.objects.update(started_at=db_now() - 2 * push_queue.GRACE)
    woken.clear()
    sweep()
    assert push_queue.work() == 0 and woken == [], "its portal's lease says that somebody works on it"
    Lease.objects.filter(name=held.name).update(until=db_now() - push_queue.GRACE)
    sweep()
    assert woken == ["push"]
    assert push_queue.work() == 1
    assert ends(push) == ["done"]
    assert push.items.get().tries == 2


def test_whoever_was_overtaken_records_nothing(lab: PortalLab) -> None:
    lab.robot("discount")
    push = ordered(lab)
    item = claimed(push)
    PushItem.objects.update(tries=2)
    push_queue.carry_out(item)
    assert ends(push) == ["working"]


def test_what_ends_its_process_each_time_is_given_up(lab: PortalLab) -> None:
    lab.robot("discount")
    push = ordered(lab)
    PushItem.objects.update(tries=push_queue.MAX_TRIES)
    push_queue.work()
    assert ends(push) == ["failed"]
    assert lab.there() == {}


def test_two_pushes_to_one_portal_take_turns(lab: PortalLab) -> None:
    lab.robot("discount")
    first, second = ordered(lab), ordered(lab)
    claimed(first)
    assert push_queue._claim() is None, "the portal has its turn"
    PushItem.objects.filter(push=first).update(started_at=db_now() - 2 * push_queue.GRACE)
    assert push_queue.work() == 2
    assert ends(first) == ends(second) == ["done"]


def test_at_most_a_third_of_the_children_push(lab: PortalLab, settings: Any) -> None:
    settings.WORKER_CONCURRENCY = 6
    lab.robot("discount")
    push = ordered(lab)
    places = [push_queue.take_place(), push_queue.take_place()]
    assert all(places) and push_queue.take_place() is None
    assert push_queue.work() == 0 and ends(push) == ["waiting"]
    assert places[0] is not None
    places[0].release()
    assert push_queue.work() == 1


def two_due(make_portal: Any) -> list[PortalLab]:
    """Two portals of one application that hold a robot, and are due again."""
    labs = [make_portal()]
    labs.append(make_portal(labs[0].application))
    labs[0].robot("discount")
    for lab in labs:
        push_portal(lab.portal)
    Registration.objects.update(due_at=db_now())
    return labs


def test_silent_portals_that_are_due_leave_children_to_calls_and_a_place_to_people(
    make_portal: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WORKER_CONCURRENCY = 6
    two_due(make_portal)
    seen: list[int] = []

    def silent(portal: Portal, **_how: Any) -> PortalResult:
        seen.append(portal.pk)
        if len(seen) == 1:
            assert work.push_due() == 0, "a second child has calls to compute"
            place = push_queue.take_place()
            assert place is not None, "a person's push finds its place"
            place.release()
        return PortalResult(portal, trouble="silent")

    monkeypatch.setattr(work, "push_portal", silent)
    assert work.push_due() == 2
    assert len(seen) == 2
    assert push_queue.take_place(background=True) is not None, "it was given back"


def test_the_background_gives_way_to_what_people_order(
    make_portal: Any, woken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    labs = two_due(make_portal)
    labs[0].robot("phone")
    woken.clear()

    def ordered_meanwhile(portal: Portal, **_how: Any) -> PortalResult:
        ordered(labs[1])
        return PortalResult(portal)

    monkeypatch.setattr(work, "push_portal", ordered_meanwhile)
    assert work.push_due() == 1
    assert woken == ["push", "push"], "by the order, and by whoever gave way"


def test_portals_that_met_no_error_are_asked_before_those_that_did(
    make_portal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    labs = [make_portal()]
    labs += [make_portal(labs[0].application) for _ in range(2)]
    robot = labs[0].robot("discount")
    now = db_now()
    minutes = [dt.timedelta(minutes=number) for number in range(10)]
    # The first has failed a while ago, the second just now, the third was installed again a moment ago.
    for lab, failed_at in zip(labs, (now - minutes[5], now - minutes[1], None), strict=True):
        due = now - minutes[9] if failed_at else now
        Registration.objects.create(robot=robot, portal=lab.portal, due_at=due, error_at=failed_at)
    seen: list[int] = []
    monkeypatch.setattr(
        work, "push_portal", lambda portal, **_how: seen.append(portal.pk) or PortalResult(portal)
    )
    work.push_due()
    assert seen == [labs[2].portal.pk, labs[0].portal.pk, labs[1].portal.pk]


def test_a_push_that_fails_in_the_hub_itself_is_not_repeated_at_once(
    lab: PortalLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    Registration.objects.create(robot=lab.robot("discount"), portal=lab.portal, due_at=db_now())
    monkeypatch.setattr(work, "push_portal", lambda portal, **_how: 1 / 0)
    assert work.push_due() == 1
    assert work.push_due() == 0
    row = lab.row("discount")
    assert row.due_at is not None and row.due_at > db_now() and row.error_at is not None


def test_a_check_of_a_slow_portal_is_not_claimed_again_while_it_is_made(
    lab: PortalLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = order_check([lab.portal], "anna")
    assert check is not None
    checked = push_queue.check_portal

    def slow(portal: Portal) -> Any:
        PushItem.objects.update(started_at=db_now() - 2 * push_queue.GRACE)
        assert push_queue._claim() is None
        return checked(portal)

    monkeypatch.setattr(push_queue, "check_portal", slow)
    push_queue.work()
    assert ends(check) == ["done"]
    assert lease.take(f"push:{lab.portal.pk}", 1) is not None, "its turn was given back"


def test_the_portals_words_come_in_the_language_of_who_ordered(lab: PortalLab) -> None:
    lab.robot("discount")
    with translation.override("ru"):
        push = ordered(lab)
    Portal.objects.update(state=Portal.State.UNINSTALLED)
    push_queue.work()
    with translation.override("ru"):
        said = translation.gettext("The application is not installed on this portal.")
    assert push.items.get().trouble == said != "The application is not installed on this portal."


def test_a_check_tells_what_differs(lab: PortalLab) -> None:
    lab.robot("discount")
    push_queue.carry_out(claimed(ordered(lab)))
    check = order_check([lab.portal], "anna")
    assert check is not None
    push_queue.work()
    assert ends(check) == ["done"]
    lab.lab.rest("bizproc.robot.delete", {"CODE": "discount"})
    check = order_check([lab.portal], "anna")
    assert check is not None
    push_queue.work()
    assert ends(check) == ["failed"]
    (told,) = check.items.get().outcomes
    assert (told["code"], told["action"]) == ("discount", "missing")
    assert lab.there() == {}


def test_the_command_is_recorded_too_under_the_name_of_who_runs_it(
    make_portal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_portal()
    make_portal(first.application)
    first.robot("discount")
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    call_command("push_robots", stdout=io.StringIO())
    push = Push.objects.get()
    assert (push.way, push.ordered_by, push.codes, ends(push)) == (
        "command",
        "anna",
        ["discount"],
        ["done", "done"],
    )
    assert push.ended_at is not None


def test_a_place_of_a_child_that_was_killed_comes_free_soon(db: None) -> None:
    held = push_queue.take_place(background=True)
    assert held is not None
    # A killed child renews it no more; one that lives does so by a thread (portals/keeper.py).
    assert Lease.objects.get(name=held.name).until <= db_now() + dt.timedelta(seconds=20)
