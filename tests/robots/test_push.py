"""A push makes the portal match, over real HTTP, whatever happens on the way (design §4, contract §5)."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from portals import errors, lease
from portals.clock import db_now
from portals.models import Portal
from robots import push, push_settle
from robots.drift import Drift, check_portal
from robots.look import Holding, holding_of, record
from robots.models import ForeignCode, Property, Registration, RobotVersion
from robots.plan import Action
from robots.push import push_portal, want_all
from robots.push_turn import Turn
from robots.registration_words import state_of
from robots.sweep import sweep
from robots.work import push_due
from tests.factories import PropertyFactory
from tests.robots.portal_lab import PortalLab


def actions(result: Any) -> dict[str, str]:
    return {item.robot_code: f"{item.action}{'' if item.done else ' not done'}" for item in result.items}


@pytest.mark.contract("5.16", "5.22", "4.13")
def test_s4_s5_the_whole_life_of_a_robot(lab: PortalLab) -> None:
    robot = lab.robot("discount", description={"en": "Takes off"}, auth_user_id=1)
    activity = lab.robot("act", kind="activity")
    assert actions(push_portal(lab.portal)) == {"act": "add", "discount": "add"}
    there = lab.there()
    version = RobotVersion.objects.get(robot=robot)
    assert (
        there["discount"]["handler"]
        == f"http://127.0.0.1:8000/b24/{lab.application.slug}/handler/?v={version.pk}"
    )
    assert there["discount"]["properties"] == {
        "amount": {"Name": {"en": "Amount"}, "Type": "double", "Required": "N", "Multiple": "N"}
    }
    assert (there["discount"]["kind"], there["act"]["kind"]) == ("robot", "activity")
    assert there["discount"]["use_subscription"] == "Y"
    row = lab.row("discount")
    assert (row.pushed_version, row.pushed_kind, row.observed) == (version, "robot", "present")
    assert (row.due_at, row.tried_at, row.tried_kind, row.error_code) == (None, None, "", "")

    # Pushed again: one look, nothing sent.
    before = len(lab.requests())
    assert actions(push_portal(lab.portal)) == {"act": "nothing", "discount": "nothing"}
    assert len(lab.requests()) == before + 1

    # A field removed and the inputs gone are cleared; the handler names the new version.
    robot.properties.filter(direction=Property.Direction.INPUT).delete()
    lab.change(
        robot, description="", auth_user_id=None, compute={"type": "expression", "returns": {"total": "1"}}
    )
    assert actions(push_portal(lab.portal))["discount"] == "update"
    changed = lab.there()["discount"]
    assert (changed["description"], changed["properties"], changed["auth_user_id"]) == ("", {}, 0)
    assert changed["handler"].endswith(f"?v={lab.row('discount').pushed_version_id}")

    # Removed robots are deleted, and only once.
    for removed in (robot, activity):
        removed.removed_at = removed.created_at
        removed.save()
    assert actions(push_portal(lab.portal)) == {"act": "delete", "discount": "delete"}
    assert lab.there() == {}
    row = lab.row("discount")
    assert (row.pushed_version, row.pushed_text, row.pushed_kind, row.due_at) == (None, "", "", None)
    assert actions(push_portal(lab.portal)) == {"act": "nothing", "discount": "nothing"}


def test_sixty_robots_go_in_two_batches_and_one_look_before(lab: PortalLab) -> None:
    for number in range(60):
        lab.robot(f"r{number:02}")
    assert push_portal(lab.portal).ok
    assert len(lab.there()) == 60
    sizes = [len(request["commands"]) for request in lab.requests() if request["method"] == "batch"]
    # Both lists; 50 adds; 10 adds with the lists that verify them.
    assert sizes == [2, 50, 12]


def test_a_full_batch_is_believed_without_a_request_for_the_lists_alone(lab: PortalLab) -> None:
    for number in range(50):
        lab.robot(f"r{number:02}")
    assert push_portal(lab.portal).ok
    assert len(lab.there()) == 50
    sizes = [len(request["commands"]) for request in lab.requests() if request["method"] == "batch"]
    assert sizes == [2, 50]
    assert not Registration.objects.filter(due_at__isnull=False).exists()


@pytest.mark.contract("4.12")
def test_s4_what_a_batch_would_substitute_goes_alone_and_arrives_untouched(lab: PortalLab) -> None:
    robot = lab.robot("odd", published=False, name={"en": "Sum of $result[x] and $total[y]"})
    PropertyFactory(
        robot=robot, identifier="choice", position=1, type="select", options=[["a]b", "A"], ["01", "B"]]
    )
    lab.change(robot)
    lab.robot("plain")
    assert push_portal(lab.portal).ok
    held = lab.there()["odd"]
    assert held["name"] == {"en": "Sum of $result[x] and $total[y]"}
    assert held["properties"]["choice"]["Options"] == {"a]b": "A", "01": "B"}
    assert "bizproc.robot.add" in [request["method"] for request in lab.requests()]


@pytest.mark.contract("1.3", "5.15")
def test_s1_s5_a_changed_kind_is_a_delete_and_an_add(lab: PortalLab) -> None:
    robot = lab.robot("x")
    push_portal(lab.portal)
    lab.change(robot, kind="activity")
    assert actions(push_portal(lab.portal)) == {"x": "replace"}
    assert lab.there()["x"]["kind"] == "activity"
    assert lab.row("x").pushed_kind == "activity"


@pytest.mark.contract("5.17")
def test_s5_subscription_taken_back_is_a_delete_and_an_add(lab: PortalLab) -> None:
    robot = lab.robot("x")
    push_portal(lab.portal)
    lab.change(robot, subscription="choice")
    result = push_portal(lab.portal)
    assert actions(result) == {"x": "replace"}
    assert "blocked" in result.items[0].why
    assert lab.there()["x"]["use_subscription"] == ""


def test_only_the_robots_named_are_pushed(lab: PortalLab) -> None:
    lab.robot("a")
    b = lab.robot("b")
    push_portal(lab.portal, [b])
    assert set(lab.there()) == {"b"}
    assert not Registration.objects.filter(robot__code="a").exists()


@pytest.mark.contract("5.22")
def test_s5_an_older_version_can_be_pushed_again(lab: PortalLab) -> None:
    robot = lab.robot("x")
    first = RobotVersion.objects.get(robot=robot)
    lab.change(robot, name={"en": "Second"})
    push_portal(lab.portal)
    push_portal(lab.portal, versions={robot.pk: first})
    assert lab.there()["x"]["name"] == {"en": "X"}
    assert lab.row("x").wanted_version == first


def test_drafts_never_published_are_told_not_pushed(lab: PortalLab) -> None:
    lab.robot("draft", published=False)
    assert push_portal(lab.portal).ok
    named = push_portal(lab.portal, ["draft"])
    assert not named.ok
    assert named.items[0].error_code == "not_published"
    assert lab.there() == {}


@pytest.mark.contract("5.20")
def test_s5_a_foreign_code_is_left_alone_until_a_person_adopts_it(lab: PortalLab) -> None:
    lab.lab.robot("ours", DESCRIPTION="Theirs", AUTH_USER_ID=1, FILTER={"INCLUDE": ["b24"]})
    lab.lab.robot("other")
    lab.robot("ours")
    result = push_portal(lab.portal)
    assert actions(result) == {"ours": "foreign not done"}
    assert result.foreign == [("robot", "other"), ("robot", "ours")]
    assert lab.there()["ours"]["description"] == "Theirs"
    assert lab.row("ours").observed == "foreign"
    assert lab.row("ours").due_at is None
    assert set(ForeignCode.objects.values_list("code", flat=True)) == {"ours", "other"}

    adopted = push_portal(lab.portal, adopt=["ours"], by="ann")
    assert actions(adopted) == {"ours": "update"}
    held = lab.there()["ours"]
    assert (held["description"], held["auth_user_id"], held["filter"]) == ("", 0, None)
    assert "/handler/?v=" in held["handler"]
    assert lab.row("ours").adopted_by == "ann"
    assert adopted.foreign == [("robot", "other")]
    assert set(ForeignCode.objects.values_list("code", flat=True)) == {"other"}


@pytest.mark.parametrize("odd", ["ours\0", "\ud800", "x" * 1000])
def test_s5_a_code_that_no_database_stores_stops_nothing(lab: PortalLab, odd: str) -> None:
    lab.robot("ours")
    push_portal(lab.portal)
    holding = holding_of({"list_robot": ["ours", odd], "list_activity": []}, {})
    for _ in range(2):
        (foreign,) = record(lab.portal, holding, Registration.objects.select_related("robot"))
        kept = ForeignCode.objects.get()
        assert foreign == ("robot", kept.code) and kept.code != "ours"
    assert lab.row("ours").observed == "present"


def test_a_foreign_code_of_a_removed_robot_is_not_deleted(lab: PortalLab) -> None:
    robot = lab.robot("x")
    push_portal(lab.portal)
    robot.removed_at = robot.created_at
    robot.save()
    push_portal(lab.portal)
    lab.lab.robot("x")
    push_portal(lab.portal)
    assert "x" in lab.there()


@pytest.mark.parametrize("adopt", [[], ["x"]])
def test_a_code_that_somebody_adds_between_look_and_add_is_foreign(
    lab: PortalLab, monkeypatch: pytest.MonkeyPatch, adopt: list[str]
) -> None:
    lab.robot("x")
    noted = push_settle.Settler.note_tries

    def theirs_first(self: Any, *args: Any) -> None:
        lab.lab.robot("x", DESCRIPTION="Theirs")
        noted(self, *args)

    monkeypatch.setattr(push_settle.Settler, "note_tries", theirs_first)
    assert actions(push_portal(lab.portal, adopt=adopt)) == {"x": "foreign not done"}
    assert lab.there()["x"]["description"] == "Theirs"
    row = lab.row("x")
    assert (row.tried_kind, row.tried_at, row.due_at) == ("", None, None)
    # And it stays foreign to the next push.
    monkeypatch.undo()
    assert actions(push_portal(lab.portal)) == {"x": "foreign not done"}


def test_a_code_gone_between_look_and_update_is_added(
    lab: PortalLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot = lab.robot("x")
    push_portal(lab.portal)
    lab.change(robot, name={"en": "New"})
    noted = push_settle.Settler.note_tries

    def gone_first(self: Any, *args: Any) -> None:
        lab.lab.rest("bizproc.robot.delete", {"CODE": "x"})
        noted(self, *args)

    monkeypatch.setattr(push_settle.Settler, "note_tries", gone_first)
    assert push_portal(lab.portal).ok
    assert lab.there()["x"]["name"] == {"en": "New"}


def fault_at_first_try(lab: PortalLab, monkeypatch: pytest.MonkeyPatch, kind: str, **more: Any) -> None:
    """Orders the fault once the portal was looked at, for the request that changes something."""
    noted = push_settle.Settler.note_tries
    ordered: list[str] = []

    def ordering(self: Any, *args: Any) -> None:
        noted(self, *args)
        if not ordered:
            ordered.append(kind)
            lab.fault(kind, count=1, **more)

    monkeypatch.setattr(push_settle.Settler, "note_tries", ordering)


@pytest.mark.contract("5.18", "4.17")
@pytest.mark.parametrize(("kind", "adds"), [("drop_before", 2), ("drop_after", 2), ("html", 2)])
def test_s4_s5_a_lost_answer_to_add_is_settled_by_list(
    lab: PortalLab, monkeypatch: pytest.MonkeyPatch, kind: str, adds: int
) -> None:
    lab.robot("a")
    lab.robot("b")
    fault_at_first_try(lab, monkeypatch, kind)
    assert actions(push_portal(lab.portal)) == {"a": "add", "b": "add"}
    assert lab.lab.stats()["faults_played"] == 1
    assert set(lab.there()) == {"a", "b"}
    row = lab.row("a")
    assert (row.observed, row.tried_at, row.due_at, row.error_code) == ("present", None, None, "")
    # What took effect is not sent again, and no update follows an add that is known to be ours.
    assert lab.methods().count("bizproc.robot.add") == adds
    assert "bizproc.robot.update" not in lab.methods()


def test_a_lost_answer_to_update_is_sent_again_whole(lab: PortalLab, monkeypatch: pytest.MonkeyPatch) -> None:
    robot = lab.robot("x", description="Gone soon")
    push_portal(lab.portal)
    lab.change(robot, description="")
    fault_at_first_try(lab, monkeypatch, "drop_after")
    assert actions(push_portal(lab.portal)) == {"x": "update"}
    assert lab.there()["x"]["description"] == ""
    assert lab.methods().count("bizproc.robot.update") == 2
    assert lab.row("x").tried_at is None


def test_a_limit_is_waited_for_by_a_person_and_left_to_later_by_the_background(
    lab: PortalLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.robot("x")
    slept: list[float] = []
    monkeypatch.setattr("robots.push_turn.time.sleep", slept.append)
    lab.fault("503", count=1)
    assert push_portal(lab.portal).ok
    assert slept
    lab.reinstall()
    want_all(lab.portal)
    lab.fault("503", count=1)
    push_due()
    row = lab.row("x")
    assert lab.there() == {}
    assert row.error_code == "QUERY_LIMIT_EXCEEDED"
    assert row.due_at is not None


@pytest.mark.contract("5.19")
def test_s5_a_code_of_ours_that_is_there_already_is_updated_though_no_answer_was_lost(
    lab: PortalLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot = lab.robot("x")
    assert push_portal(lab.portal).ok
    lab.change(robot, name={"en": "New"})
    looks = [Holding(frozenset(), frozenset())]
    real = push.look
    # A list that came late: it does not know the code yet.
    monkeypatch.setattr(push, "look", lambda client: looks.pop() if looks else real(client))
    assert push_portal(lab.portal).ok
    assert lab.there()["x"]["name"] == {"en": "New"}


def test_a_silent_portal_is_looked_at_once_by_the_background_and_in_a_minute_again(
    lab: PortalLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.robot("x")
    push_portal(lab.portal)
    want_all(lab.portal)
    asked: list[bool] = []

    def silent(client: Any) -> Any:
        asked.append(client.person)
        raise errors.UnknownAnswer("timeout", "No answer came.")

    monkeypatch.setattr(push, "look", silent)
    assert push_due() == 1
    assert asked == [False]
    due_at = lab.row("x").due_at
    assert due_at is not None
    assert due_at > db_now() + dt.timedelta(seconds=50)
    push_portal(lab.portal)
    assert asked == [False, True, True]


def test_a_push_that_dies_after_the_add_takes_effect_is_taken_up(
    lab: PortalLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.robot("x")

    class Killed(BaseException):
        pass

    def killed(self: Any, *args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(push_settle.Settler, "settle", killed)
        with pytest.raises(Killed):
            push_portal(lab.portal)
    assert "x" in lab.there()
    row = lab.row("x")
    assert row.tried_kind == "robot"
    assert row.due_at is not None
    # The background takes it up; the code is known to be ours, what it holds is not: all of it is set.
    assert push_due() == 1
    row = lab.row("x")
    assert (row.pushed_kind, row.tried_at, row.due_at) == ("robot", None, None)
    assert "bizproc.robot.update" in lab.methods()


@pytest.mark.contract("5.19", "4.10")
def test_s4_s5_the_portals_own_refusal_is_stored_and_the_others_go_on(lab: PortalLab) -> None:
    lab.robot("bad")
    lab.robot("good")
    lab.fault("error", count=1, methods=["bizproc.robot.add"], level="command", status=400,
              error="ERROR_ACTIVITY_ADD_FAILURE", description="Activity save error!")  # fmt: skip
    result = push_portal(lab.portal)
    assert sorted(actions(result).values()) == ["add", "add not done"]
    (code,) = [item.robot_code for item in result.items if not item.done]
    row = lab.row(code)
    assert (row.error_code, row.error_text) == ("ERROR_ACTIVITY_ADD_FAILURE", "Activity save error!")
    assert row.due_at is not None
    assert row.tried_at is None
    assert push_portal(lab.portal).ok
    assert lab.row(code).error_code == ""


@pytest.mark.contract("5.2")
def test_s5_a_plan_without_workflows_takes_robots_and_says_why_not_activities(make_portal: Any) -> None:
    lab = make_portal(workflows=False)
    lab.robot("act", kind="activity")
    lab.robot("bot")
    result = push_portal(lab.portal)
    assert actions(result) == {"act": "refused not done", "bot": "add"}
    assert "plan" in result.items[0].why
    assert not result.ok
    row = lab.row("act")
    assert (row.error_code, row.due_at) == ("ERROR_METHOD_NOT_FOUND", None)
    assert "plan" in row.error_text
    lab.portal.refresh_from_db()
    assert (lab.portal.has_workflows, lab.portal.has_robots) == (False, True)


@pytest.mark.contract("5.2", "3.14")
def test_s3_s5_what_a_plan_kept_from_a_reinstallation_comes_by_itself_when_it_is_back(lab: PortalLab) -> None:
    lab.robot("x")
    push_portal(lab.portal)
    lab.lab.set(automation=False, workflows=False)
    lab.reinstall()
    want_all(lab.portal)
    for _ in range(2):
        push_due()
        row = lab.row("x")
        assert row.error_code == "ERROR_METHOD_NOT_FOUND"
        assert row.due_at is not None
        assert row.due_at > db_now() + dt.timedelta(minutes=50)
        Registration.objects.update(due_at=db_now())
    lab.lab.set(automation=True, workflows=True)
    push_due()
    assert set(lab.there()) == {"x"}
    row = lab.row("x")
    assert (row.error_code, row.due_at) == ("", None)


@pytest.mark.contract("5.1")
def test_s5_without_an_administrator_the_push_waits_and_says_who_must_act(lab: PortalLab) -> None:
    lab.lab.control("user", id=7, admin=False)
    Portal.objects.filter(pk=lab.portal.pk).update(access_token=lab.lab.token_of(7))
    lab.robot("x")
    result = push_portal(lab.portal)
    assert "open the application as an administrator" in result.trouble
    assert actions(result) == {"x": "refused not done"}
    row = lab.row("x")
    assert row.error_code == "no_rights"
    assert row.due_at is not None
    # Results of calls still go out with this token: the portal as a whole is not in trouble.
    lab.portal.refresh_from_db()
    assert lab.portal.trouble == ""
    # An administrator opens it; nothing more than the hint is needed.
    Portal.objects.filter(pk=lab.portal.pk).update(access_token=lab.lab.token)
    want_all(lab.portal)
    push_due()
    assert "x" in lab.there()
    assert lab.row("x").error_code == ""


@pytest.mark.contract("4.16")
def test_s4_a_lapsed_plan_keeps_what_waits(lab: PortalLab) -> None:
    lab.robot("x")
    lab.lab.set(commercial=False)
    result = push_portal(lab.portal)
    assert "plan lapsed" in result.trouble
    row = lab.row("x")
    assert row.error_code == "plan_lapsed"
    assert row.due_at is not None
    lab.lab.set(commercial=True)
    assert push_portal(lab.portal).ok


def test_uninstalled_or_without_token_is_a_sentence(lab: PortalLab) -> None:
    lab.robot("x")
    Portal.objects.filter(pk=lab.portal.pk).update(token_state=Portal.Token.LOST)
    result = push_portal(lab.portal)
    assert "open the application" in result.trouble
    assert not result.ok
    assert lab.row("x").error_code == "token_lost"


@pytest.mark.contract("3.14")
def test_s3_a_reinstallation_brings_everything_back_in_the_version_that_was_there(lab: PortalLab) -> None:
    robot = lab.robot("x")
    lab.robot("y", kind="activity")
    push_portal(lab.portal)
    first = lab.row("x").pushed_version
    lab.change(robot, name={"en": "Not pushed yet"})
    lab.reinstall()
    assert lab.there() == {}
    want_all(lab.portal)
    assert push_due() == 1
    assert set(lab.there()) == {"x", "y"}
    row = lab.row("x")
    assert (row.pushed_version, row.installation) == (first, lab.portal.installation)
    assert row.due_at is None


def test_the_sweep_heals_a_lost_hint(lab: PortalLab, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[str] = []
    monkeypatch.setattr("robots.sweep.wake.wake", woken.append)
    lab.robot("x")
    push_portal(lab.portal)
    assert sweep() == 0
    assert woken == []
    lab.reinstall()
    assert sweep() == 1
    assert woken == ["push"]
    push_due()
    assert "x" in lab.there()
    assert sweep() == 0


@pytest.mark.contract("5.18")
def test_s5_what_was_pushed_under_a_former_installation_is_not_believed_later(lab: PortalLab) -> None:
    lab.robot("act", kind="activity")
    push_portal(lab.portal)
    lab.portal.installation += 1
    lab.portal.save()
    lab.lab.set(workflows=False)
    assert actions(push_portal(lab.portal)) == {"act": "refused not done"}
    lab.lab.set(workflows=True)
    assert actions(push_portal(lab.portal)) == {"act": "update"}


def test_a_yes_that_the_list_does_not_confirm_is_not_done(
    lab: PortalLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.robot("x")
    send = push.send

    def lost_at_once(*args: Any, **more: Any) -> Any:
        answers, _holding = send(*args, **more)
        lab.lab.rest("bizproc.robot.delete", {"CODE": "x"})
        return answers, None

    with monkeypatch.context() as patch:
        patch.setattr(push, "send", lost_at_once)
        result = push_portal(lab.portal)
    assert actions(result) == {"x": "add not done"}
    row = lab.row("x")
    assert (row.error_code, row.observed) == ("not_verified", "missing")
    assert row.due_at is not None
    assert push_portal(lab.portal).ok


def test_a_want_that_comes_during_a_push_stays_due(lab: PortalLab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.robot("x")
    settle = push_settle.Settler.settle

    def wanted_meanwhile(self: Any, answered: Any) -> None:
        settle(self, answered)
        want_all(lab.portal)

    monkeypatch.setattr(push_settle.Settler, "settle", wanted_meanwhile)
    assert push_portal(lab.portal).ok
    assert lab.row("x").due_at is not None


def test_an_installation_that_dropped_nothing_is_updated_whole(lab: PortalLab) -> None:
    lab.robot("x", subscription="choice")
    push_portal(lab.portal)
    lab.portal.installation += 1
    lab.portal.save()
    assert actions(push_portal(lab.portal)) == {"x": "update"}
    assert lab.row("x").installation == lab.portal.installation


@pytest.mark.contract("5.18")
@pytest.mark.parametrize("subscription", ["choice", "wait"])
def test_s5_after_a_restore_a_plan_does_not_trust_what_the_backup_says_of_a_portal(
    lab: PortalLab, subscription: str
) -> None:
    robot = lab.robot("x", subscription=subscription)
    assert push_portal(lab.portal).ok
    backup = Registration.objects.values().get()
    lab.change(robot, name={"en": "New"})
    assert push_portal(lab.portal).ok
    backup.pop("id")
    Registration.objects.update(**backup)
    RobotVersion.objects.exclude(pk=backup["pushed_version_id"]).delete()
    call_command("backup_restored", verbosity=0)
    # Tokens came.
    Portal.objects.update(token_state=Portal.Token.WORKING)
    lab.portal.refresh_from_db()
    assert [difference.drift for difference in check_portal(lab.portal).differences] == [Drift.STALE]
    assert state_of(lab.row("x"))[0] == "info"
    # No replacement, which would block the robots that are placed.
    assert actions(push_portal(lab.portal)) == {"x": "update"}
    assert lab.there()["x"]["name"] == {"en": "X"}
    assert state_of(lab.row("x"))[0] == "ok"


def test_a_portal_never_pushed_to_gets_nothing_by_itself(lab: PortalLab) -> None:
    lab.robot("x")
    want_all(lab.portal)
    assert push_due() == 0
    assert lab.there() == {}


@pytest.mark.contract("5.21")
def test_s5_a_changed_public_url_is_pushed_and_the_events_are_bound_anew(
    lab: PortalLab, settings: Any
) -> None:
    lab.robot("x")
    push_portal(lab.portal)
    settings.PUBLIC_URL = "http://127.0.0.1:9000"
    assert actions(push_portal(lab.portal)) == {"x": "update"}
    assert lab.there()["x"]["handler"].startswith("http://127.0.0.1:9000/b24/")
    lab.portal.refresh_from_db()
    assert lab.portal.events_bound_to == f"http://127.0.0.1:9000/b24/{lab.application.slug}/events/"
    bound = {row["handler"] for row in lab.lab.rest("event.get").result}
    assert bound == {lab.portal.events_bound_to}


def test_the_background_goes_on_to_the_next_portal_and_backs_off(make_portal: Any) -> None:
    first = make_portal()
    second = make_portal(application=None)
    first.robot("x")
    second.robot("y")
    for lab in (first, second):
        push_portal(lab.portal)
        lab.reinstall()
        want_all(lab.portal)
    Portal.objects.filter(pk=first.portal.pk).update(client_endpoint="http://127.0.0.1:9/rest/")
    assert push_due() == 2
    assert set(second.there()) == {"y"}
    row = first.row("x")
    assert row.error_code == "unreachable"
    assert row.due_at is not None
    # Not due yet: nothing is asked.
    assert push_due() == 0


def test_a_second_push_waits_for_the_first(lab: PortalLab) -> None:
    lab.robot("x")
    held = lease.take(f"push:{lab.portal.pk}", 60)
    assert held is not None
    assert "Another push" in push_portal(lab.portal, person=False).trouble
    told: list[str] = []
    ended: list[Any] = []

    def second() -> None:
        try:
            ended.append(push_portal(lab.portal, progress=told.append))
        finally:
            connection.close()

    thread = threading.Thread(target=second)
    thread.start()
    while not told and thread.is_alive():
        thread.join(0.01)
    assert told
    assert ended == []
    held.release()
    thread.join(20)
    assert ended[0].ok
    assert "waiting" in told[0]


def test_an_overtaken_push_writes_nothing_more(lab: PortalLab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.robot("x")
    patiently = Turn.patiently

    def overtaken(self: Turn, request: Any) -> Any:
        found = patiently(self, request)
        if "bizproc.robot.add" in lab.methods():
            # A stopped process whose lease ran out, and another push that took it.
            with connection.cursor() as cursor:
                cursor.execute("UPDATE portals_lease SET fence = fence + 1, owner = 'other'")
        return found

    monkeypatch.setattr(Turn, "patiently", overtaken)
    result = push_portal(lab.portal)
    assert "overtaken" in result.trouble
    assert lab.row("x").pushed_kind == ""
    assert lab.row("x").tried_kind == "robot"


def test_an_expired_access_token_is_renewed_on_the_way(lab: PortalLab) -> None:
    lab.robot("x")
    lab.lab.control("expire", client_id=lab.lab.client_id)
    assert push_portal(lab.portal).ok
    assert "x" in lab.there()


def test_no_transaction_is_open_during_a_request(lab: PortalLab, monkeypatch: pytest.MonkeyPatch) -> None:
    from portals import transport

    seen: list[bool] = []
    post = transport.post

    def watched(*args: Any, **more: Any) -> Any:
        seen.append(connection.in_atomic_block)
        return post(*args, **more)

    monkeypatch.setattr(transport, "post", watched)
    lab.robot("x")
    push_portal(lab.portal)
    assert seen
    assert not any(seen)


def test_the_result_tells_of_actions(lab: PortalLab) -> None:
    lab.robot("x")
    told: list[str] = []
    result = push_portal(lab.portal, progress=told.append)
    assert result.items[0].action is Action.ADD
    assert told[0] == "1 add"
