"""push_robots and check_robots: what they print and how they end (design §3)."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from portals.models import Portal
from robots.drift import Drift, check_portal
from robots.models import Registration
from robots.push import push_portal
from tests.robots.portal_lab import PortalLab

pytestmark = pytest.mark.django_db(transaction=True)


def run(command: str, **options: Any) -> tuple[int, str]:
    """(exit code, what was printed)."""
    out = io.StringIO()
    try:
        call_command(command, stdout=out, stderr=io.StringIO(), **options)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_dry_run_shows_the_plan_field_by_field_and_changes_nothing(lab: PortalLab) -> None:
    robot = lab.robot("discount", description="Old words")
    status, out = run("push_robots", dry_run=True)
    assert status == 3
    assert "add discount version 1" in out
    assert "HANDLER: — → http://127.0.0.1:8000/b24/" in out
    assert lab.there() == {}
    assert not Registration.objects.exists()

    assert run("push_robots")[0] == 0
    assert run("push_robots", dry_run=True)[0] == 0
    lab.change(robot, description="New words")
    status, out = run("push_robots", dry_run=True)
    assert status == 3
    assert "update discount version 2" in out
    assert "DESCRIPTION: Old words → New words" in out
    assert "NAME" not in out


def test_each_portal_is_told_and_one_that_can_not_does_not_keep_the_others(make_portal: Any) -> None:
    first = make_portal()
    second = make_portal(application=first.application)
    first.robot("x")
    Portal.objects.filter(pk=first.portal.pk).update(token_state=Portal.Token.LOST)
    # The second portal has another client id on the sandbox's side; the row's own token serves.
    status, out = run("push_robots")
    assert status == 1
    assert "[1/2]" in out
    assert "[2/2]" in out
    assert "not done: the portal's authorisation was lost" in out
    assert "x" in second.there()


def test_a_portal_that_does_not_answer_is_one_line(lab: PortalLab) -> None:
    for code in ("x", "y"):
        lab.robot(code)
    Portal.objects.filter(pk=lab.portal.pk).update(client_endpoint="http://127.0.0.1:9/rest/")
    status, out = run("push_robots")
    assert status == 1
    said = [line for line in out.splitlines() if line.startswith("  ")]
    assert said == [
        "  not done: the portal does not answer (No connection could be made.)."
        " See whether the portal opens in a browser. It is tried every minute. Left for later: x, y."
    ]
    status, out = run("push_robots", dry_run=True)
    assert status == 1
    assert "can't be asked: the portal does not answer" in out and "opens in a browser" in out


@pytest.mark.contract("5.2")
def test_s5_a_plan_without_workflows_is_exit_code_1_with_that_sentence(make_portal: Any) -> None:
    lab = make_portal(workflows=False)
    lab.robot("act", kind="activity")
    status, out = run("push_robots")
    assert status == 1
    assert "refused act NOT DONE: This portal's plan has no workflows" in out


@pytest.mark.contract("5.20")
def test_s5_adopt_takes_over_what_was_foreign(lab: PortalLab) -> None:
    lab.lab.robot("ours")
    lab.robot("ours")
    status, out = run("push_robots")
    assert status == 1
    assert "foreign robot ours: never pushed by us" in out
    status, out = run("push_robots", dry_run=True, adopt=["ours"])
    assert status == 3
    told = [line for line in out.splitlines() if "ours" in line and not line.startswith("    ")]
    assert told == [
        "  update ours version 1: Adopted: every field is set or cleared, and the handler moves here."
    ], "told once"
    assert run("push_robots", adopt=["ours"])[0] == 0
    assert "/handler/?v=" in lab.there()["ours"]["handler"]
    assert run("check_robots")[0] == 0


@pytest.mark.parametrize("options", [{"portal": ["nobody"]}, {"robot": ["none"]}, {"application": "no"}])
def test_unknown_names_are_exit_code_2(lab: PortalLab, options: dict[str, Any]) -> None:
    with pytest.raises(CommandError) as refused:
        run("push_robots", **options)
    assert refused.value.returncode == 2


def test_only_the_portals_named(make_portal: Any) -> None:
    first, second = make_portal(), make_portal()
    first.robot("x")
    second.robot("y")
    assert run("push_robots", portal=[second.portal.member_id])[0] == 0
    assert first.there() == {}
    assert set(second.there()) == {"y"}


def test_nothing_installed_is_nothing_to_do(lab: PortalLab) -> None:
    Portal.objects.update(state=Portal.State.UNINSTALLED)
    assert run("push_robots") == (0, "No portal has the application installed: nothing to do.\n")


def test_check_tells_missing_stale_left_and_foreign(lab: PortalLab, settings: Any) -> None:
    for code in ("gone", "stale", "left", "fine"):
        lab.robot(code)
    push_portal(lab.portal)
    status, out = run("check_robots")
    assert (status, "4 as wanted" in out) == (0, True)

    lab.lab.rest("bizproc.robot.delete", {"CODE": "gone"})
    lab.lab.robot("theirs")
    Registration.objects.filter(robot__code="left").update(wanted_version=None)
    stale = Registration.objects.get(robot__code="stale")
    stale.pushed_text = stale.pushed_text.replace("Amount", "Sum")
    stale.save()
    found = {item.code: item.drift for item in check_portal(lab.portal).differences}
    assert found == {
        "gone": Drift.MISSING,
        "stale": Drift.STALE,
        "left": Drift.LEFT,
        "theirs": Drift.FOREIGN,
    }
    status, out = run("check_robots")
    assert status == 3
    assert "missing robot gone: It is gone from the portal." in out
    assert "PROPERTIES.amount.Name.en: Sum → Amount" in out
    assert Registration.objects.get(robot__code="gone").observed == "missing"
    # Looking changes nothing there.
    assert set(lab.there()) == {"stale", "left", "fine", "theirs"}


@pytest.mark.contract("5.21")
def test_s5_a_changed_public_url_is_drift_until_pushed(lab: PortalLab, settings: Any) -> None:
    lab.robot("x")
    push_portal(lab.portal)
    settings.PUBLIC_URL = "http://127.0.0.1:9000"
    status, out = run("check_robots")
    assert status == 3
    assert "HANDLER: http://127.0.0.1:8000/" in out
    run("push_robots")
    assert run("check_robots")[0] == 0


def test_a_portal_that_can_not_be_asked_is_exit_code_1(lab: PortalLab) -> None:
    lab.robot("x")
    push_portal(lab.portal)
    lab.lab.set(commercial=False)
    status, out = run("check_robots")
    assert status == 1
    assert "can't be asked: the plan lapsed" in out
