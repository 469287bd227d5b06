"""The person whose token is held is no administrator any more: what a person is told to do must help."""

from __future__ import annotations

import pytest

from handlers import claims, confirm, looks
from portals.client import PortalClient
from portals.clock import db_now
from portals.errors import CommandRefused, PortalTrouble, classify
from portals.finish import finish
from portals.models import Portal
from portals.standing import standing
from tests.damage import damage
from tests.handlers.test_looks import taken

pytestmark = pytest.mark.django_db(transaction=True)


def in_good_order(world) -> Portal:
    """Installed by person 1; person 3 is an administrator too."""
    world.install()
    world.sandbox.post("portals/alfa/user", id=3, name="Cleo", admin=True)
    Portal.objects.update(install_finished=True)
    return Portal.objects.get()


@pytest.mark.contract("5.1")
def test_s5_a_refused_registration_tells_that_the_administrator_was_lost_and_another_is_taken(
    world, installed
):
    portal = in_good_order(world)
    PortalClient(portal).call("bizproc.robot.list")
    world.sandbox.post("portals/alfa/user", id=1, admin=False)
    with pytest.raises(CommandRefused):
        PortalClient(portal).call("bizproc.robot.list")
    portal.refresh_from_db()
    assert portal.token_is_admin is False
    assert "administrator" in str(standing(portal)[0].words)
    installed.clear()
    assert world.open(user=3)["status"] == 200
    portal.refresh_from_db()
    assert (portal.token_user_id, portal.token_is_admin) == (3, True)
    assert [each.pk for each in installed] == [portal.pk]
    assert PortalClient(portal).call("bizproc.robot.list") == []


@pytest.mark.contract("5.1")
def test_s5_a_batch_tells_it_too_and_one_made_administrator_again_is_believed(world):
    portal = in_good_order(world)
    world.sandbox.post("portals/alfa/user", id=1, admin=False)
    answer = PortalClient(portal).batch({"a": ("bizproc.robot.list", {}), "b": ("profile", {})})
    assert "a" in answer.errors
    portal.refresh_from_db()
    assert portal.token_is_admin is False
    world.sandbox.post("portals/alfa/user", id=1, admin=True)
    PortalClient(portal).batch({"a": ("bizproc.robot.list", {})})
    portal.refresh_from_db()
    assert portal.token_is_admin is True


@pytest.mark.parametrize("asked", ["the lists", "after an installation"])
def test_an_answer_to_a_former_token_says_nothing_of_the_one_that_came_meanwhile(world, monkeypatch, asked):
    portal = in_good_order(world)
    world.sandbox.post("portals/alfa/user", id=1, admin=False)
    real = PortalClient._post

    def meanwhile(self, *args):
        monkeypatch.undo()
        try:
            return real(self, *args)
        finally:
            Portal.objects.update(token_is_admin=False)
            world.open(user=3)

    monkeypatch.setattr(PortalClient, "_post", meanwhile)
    if asked == "the lists":
        with pytest.raises(CommandRefused):
            PortalClient(portal).call("bizproc.robot.list")
    else:
        finish(portal)
    portal.refresh_from_db()
    assert (portal.token_user_id, portal.token_is_admin) == (3, True)


@pytest.mark.parametrize("trouble", ["no_rights", "token_lost", "user_dismissed", "key_missing", "moved"])
def test_a_trouble_that_opening_the_application_is_advised_for_is_ended_by_it(world, installed, trouble):
    in_good_order(world)
    Portal.objects.update(trouble=trouble)
    installed.clear()
    world.open(user=3)
    portal = Portal.objects.get()
    assert (portal.token_user_id, portal.trouble) == (3, "")
    assert len(installed) == 1


def test_another_trouble_makes_no_page_that_is_opened_ask_the_token_server(world):
    in_good_order(world)
    Portal.objects.update(trouble="limited")
    asked = len(world.sandbox.server_log())
    world.open(user=3)
    assert len(world.sandbox.server_log()) == asked
    assert Portal.objects.get().token_user_id == 1


@pytest.mark.contract("7.16")
def test_s7_an_administrator_who_comes_makes_looks_be_tried_again(world):
    world.install(user=2)
    Portal.objects.update(instances="absent")
    world.open(user=1)
    assert Portal.objects.get().instances == "unknown"


@pytest.mark.contract("7.16")
def test_s7_a_plan_that_got_workflows_makes_looks_be_tried_again(world):
    world.install()
    Portal.objects.update(instances="absent", has_workflows=False)
    PortalClient(Portal.objects.get()).call("bizproc.activity.list")
    assert Portal.objects.get().instances == "unknown"
    Portal.objects.update(instances="absent")
    PortalClient(Portal.objects.get()).call("bizproc.activity.list")
    assert Portal.objects.get().instances == "absent"


def test_a_portal_whose_key_is_lost_comes_back_by_an_administrator_who_opens_the_application(world):
    portal = in_good_order(world)
    columns = ["access_token", "refresh_token", "application_token"]
    damage(portal, *columns)
    with pytest.raises(PortalTrouble):
        PortalClient(portal).call("bizproc.robot.list")
    assert world.open(user=3)["status"] == 200
    portal = Portal.objects.get()
    assert portal.trouble == "" and all(getattr(portal, column) for column in columns)
    assert PortalClient(portal).call("bizproc.robot.list") == []


def look(portal):
    """One look through the real client, as a sending makes it."""
    now = db_now()
    due = confirm.due(portal, now)
    made = looks.compose(portal, due, [], 5)
    answer = PortalClient(portal).batch(made.commands)
    verdict = confirm.read(portal, made, answer.results, answer.errors, now, answer.portal_time)
    confirm.learn(portal, verdict)
    claims.settle(verdict.settlements)


def test_who_lost_his_rights_for_a_while_can_be_looked_with_again(world):
    portal = in_good_order(world)
    PortalClient(portal).call("bizproc.activity.list")
    Portal.objects.update(instances="list")
    portal.refresh_from_db()
    taken(portal)
    world.sandbox.post("portals/alfa/user", id=1, admin=False)
    look(portal)
    portal.refresh_from_db()
    refused = portal.token_is_admin
    world.sandbox.post("portals/alfa/user", id=1, admin=True)
    world.open(user=3)  # another administrator opens it
    portal.refresh_from_db()
    PortalClient(portal).batch(
        {"a": ("bizproc.robot.list", {}), "b": ("bizproc.activity.list", {})}
    )  # a push, a check
    portal.refresh_from_db()
    assert portal.instances == "unknown"
    assert refused is False, "the alarm of a lost administrator"


def test_one_error_that_says_nothing_of_plan_or_rights_ends_no_looks(world):
    portal = in_good_order(world)
    Portal.objects.update(instances="list")
    portal.refresh_from_db()
    taken(portal)
    made = looks.compose(portal, confirm.due(portal, db_now()), [], 5)
    errors = {
        key: classify("ERROR_CORE", "Internal error", None, "bizproc.workflow.instances")
        for key in made.commands
    }
    verdict = confirm.read(portal, made, {}, errors, db_now(), None)
    confirm.learn(portal, verdict)
    portal.refresh_from_db()
    assert portal.instances == "list"
