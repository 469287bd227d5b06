"""Portals as they are in life: installed, updated, moved, lapsed, restored (issue 12, contract §2–§4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from django.core.management import CommandError, call_command

from handlers import known
from handlers.models import Invocation, RefusedCall
from portals.client import PortalClient
from portals.models import Bucket, PendingInstallation, Portal
from robots.models import Registration
from robots.publish import publish
from robots.registration_words import advice
from tests.contract.office import Office
from tests.fuzz.attacker import Attacker
from tests.handlers.calls import form, post
from tests.system.processes import until

pytestmark = pytest.mark.django_db(transaction=True)


def killed(office: Office, name: str) -> int:
    """Authorisations that a spent refresh token cost."""
    return int(office.control.stats(name)["authorisations_killed"])


def arrives(office: Office, name: str, code: str = "double") -> Invocation:
    """A process runs to its end."""
    number, row = office.run(name, code)
    office.work()
    office.finished(name, number)
    row.refresh_from_db()
    assert row.state == "delivered"
    return row


@pytest.mark.contract("2.1", "2.7")
@pytest.mark.parametrize("server", ["west", "ru"])
def test_s2_both_token_servers_confirm_and_renew(office: Office, settings: Any, server: str) -> None:
    office.robot()
    name = office.start(server=server)
    portal = office.row(name)
    assert portal.token_server == office.control.get("info")["servers"][server]["url"]
    office.later(3700, settings)
    arrives(office, name)
    assert office.row(name).refresh_token != portal.refresh_token
    assert killed(office, name) == 0


@pytest.mark.contract("2.2")
def test_s2_a_form_that_names_a_third_server_leads_nobody_there(office: Office) -> None:
    attacker = Attacker()
    try:
        name = office.new_portal()
        office.install(name)
        member_id = office.row(name).member_id
        for url in attacker.urls:
            told = {
                "member_id": member_id,
                "REFRESH_ID": "x" * 20,
                "SERVER_ENDPOINT": url,
                "client_endpoint": url,
                "APPLICATION_TOKEN": "t" * 20,
            }
            answer = post_to(office, f"install/?DOMAIN={attacker.host}&PROTOCOL=0&LANG=en", told)
            assert answer.status_code == 403
        assert attacker.count() == 0
    finally:
        attacker.close()
    assert Portal.objects.count() == 1


def post_to(office: Office, path: str, fields: dict[str, str]) -> Any:
    return requests.post(f"{office.hub_url}/b24/{office.slug}/{path}", data=fields, timeout=20)


@pytest.mark.contract("3.10", "3.12")
def test_s3_the_former_application_token_is_taken_for_ten_minutes_after_an_update(
    office: Office, settings: Any
) -> None:
    office.robot()
    name = office.start()
    former = office.row(name).application_token
    office.control.post(f"portals/{name}/update", client_id=office.client_id, application_token="new")
    until(lambda: office.row(name).application_token != former, "the update is in", 20)
    portal = office.row(name)

    def knock(token: str) -> int:
        return int(post(portal, form(portal, **{"auth[application_token]": token})).status_code)

    assert (knock(former), knock(portal.application_token)) == (200, 200)
    office.later(601, settings)
    assert (knock(former), knock(portal.application_token)) == (403, 200)
    # The portal dropped the robots at the update; they are brought back by themselves.
    office.work()
    assert office.codes(name) == ["double"]
    arrives(office, name)


@pytest.mark.contract("3.11", "3.10")
def test_s3_a_reinstallation_replaces_the_application_token_and_an_uninstall_ends_it_at_once(
    office: Office,
) -> None:
    office.robot()
    name = office.start()
    first = office.row(name)
    office.control.post(f"portals/{name}/uninstall", client_id=office.client_id)
    until(lambda: office.row(name).state == "uninstalled", "the uninstall is in", 20)
    assert post(first, form(first, **{"auth[application_token]": first.application_token})).status_code == 403
    second = office.install(name, application_token="new")
    assert second.application_token not in ("", first.application_token)
    assert (
        post(second, form(second, **{"auth[application_token]": first.application_token})).status_code == 403
    )
    office.work()
    arrives(office, name)


@pytest.mark.contract("3.6")
def test_s3_a_verified_form_of_an_employee_changes_no_token(office: Office) -> None:
    name = office.new_portal()
    before = office.install(name)
    told = office.open(name, user=2)
    assert told["status"] == 200
    after = office.row(name)
    for field in ("application_token", "refresh_token", "token_user_id", "token_is_admin", "installation"):
        assert getattr(after, field) == getattr(before, field), field


@pytest.mark.contract("1.2", "4.8")
def test_s1_s4_two_applications_on_one_account_have_one_bucket_and_two_tokens(
    make_office: Callable[[], Office],
) -> None:
    one, other = make_office(), make_office()
    one.robot("first")
    other.robot("second")
    name = one.start()
    other.install(name)
    other.push(name)
    assert (one.codes(name), other.codes(name)) == (["first"], ["second"])
    arrives(one, name, "first")
    arrives(other, name, "second")
    assert one.row(name).access_token != other.row(name).access_token
    assert one.row(name).application_token != other.row(name).application_token
    assert Bucket.objects.filter(member_id=one.row(name).member_id).count() == 1
    # A call with the other application's token proves nothing here.
    mine = one.row(name)
    wrong = form(mine, "first", **{"auth[application_token]": other.row(name).application_token})
    assert post(mine, wrong).status_code == 403


@pytest.mark.contract("5.1", "7.2")
def test_s5_s7_with_an_employees_token_results_go_out_and_a_push_waits_with_a_sentence(
    office: Office,
) -> None:
    robot = office.robot()
    name = office.start()
    Portal.objects.update(token_state="lost")
    office.open(name, user=2)
    portal = office.row(name)
    assert (portal.token_user_id, portal.token_is_admin) == (2, False)
    arrives(office, name)
    robot.description = {"en": "Changed"}
    robot.save()
    publish(robot)
    told = office.push(name)
    assert "open the application as an administrator" in told.trouble
    office.open(name, user=1)
    portal = office.row(name)
    assert (portal.token_user_id, portal.token_is_admin) == (1, True)
    office.work()
    assert office.control.robots(name, office.client_id)["double"]["description"]


@pytest.mark.contract("4.16")
def test_s4_an_administrator_dismissed_keeps_what_waits_until_another_opens_the_application(
    office: Office, settings: Any
) -> None:
    office.robot()
    name = office.start()
    office.control.post(f"portals/{name}/user", id=3, name="Olga", admin=True)
    number, row = office.run(name)
    office.control.post(f"portals/{name}/user", id=1, active=False)
    office.work()
    row.refresh_from_db()
    assert (row.state, office.row(name).trouble) == ("ready", "user_dismissed")
    office.open(name, user=3)
    portal = office.row(name)
    assert (portal.token_user_id, portal.trouble) == (3, "")
    office.later(61, settings)
    office.work()
    office.finished(name, number)


@pytest.mark.contract("5.2")
def test_s5_a_plan_without_workflows_has_robots_but_no_activities(office: Office) -> None:
    office.robot("double")
    office.robot("act", kind="activity")
    name = office.start(workflows=False)
    assert office.codes(name) == ["double"]
    portal = office.row(name)
    assert portal.has_workflows is False
    refused = Registration.objects.get(portal=portal, robot__code="act")
    assert refused.error_code == "ERROR_METHOD_NOT_FOUND"
    assert "plan" in advice(refused.error_code)
    arrives(office, name)


@pytest.mark.contract("4.16")
@pytest.mark.parametrize(
    ("lapse", "back", "trouble"),
    [
        ({"commercial": False}, {"commercial": True}, "plan_lapsed"),
        ({"licence_lapsed": True}, {"licence_lapsed": False}, "unpaid"),
    ],
)
def test_s4_what_lapsed_and_came_back_lost_nothing(
    office: Office, settings: Any, lapse: dict[str, Any], back: dict[str, Any], trouble: str
) -> None:
    office.robot()
    name = office.start()
    runs = [office.run(name, properties={"amount": str(n)}) for n in range(3)]
    office.control.portal(name, **lapse)
    office.work()
    for _number, row in runs:
        row.refresh_from_db()
        assert row.state == "ready"
    assert office.row(name).trouble == trouble
    office.later(3 * 86400, settings)
    office.work()
    assert Invocation.objects.filter(state="ready").count() == 3
    office.control.portal(name, **back)
    for _ in range(3):
        office.later(61, settings)
        office.work()
    for number, _row in runs:
        office.finished(name, number)
    assert office.row(name).trouble == ""


@pytest.mark.contract("3.15")
def test_s3_s4_an_unpaid_application_is_the_portals_trouble_and_passes(office: Office, settings: Any) -> None:
    office.robot()
    name = office.start()
    number, row = office.run(name)
    office.control.post(f"portals/{name}/app", client_id=office.client_id, paid=False)
    office.work()
    row.refresh_from_db()
    assert (row.state, office.row(name).trouble) == ("ready", "unpaid")
    office.control.post(f"portals/{name}/app", client_id=office.client_id, paid=True)
    office.later(61, settings)
    office.work()
    office.finished(name, number)


@pytest.mark.contract("1.5")
@pytest.mark.parametrize(("edition", "cloud"), [("cloud", True), ("box", False)])
def test_s1_box_and_cloud_are_told_apart_and_both_served(office: Office, edition: str, cloud: bool) -> None:
    office.robot()
    name = office.start(edition=edition)
    arrives(office, name)
    assert office.row(name).is_cloud is cloud


@pytest.mark.contract("1.1")
@pytest.mark.parametrize("status", [302, 301])
def test_s1_a_moved_domain_is_found_by_the_token_server(office: Office, status: int) -> None:
    office.robot()
    name = office.start()
    number, _row = office.run(name)
    office.control.post(f"portals/{name}/move", name=f"{name}x", status=status)
    office.work()
    office.finished(name, number)
    assert f"/p/{name}x/rest/" in Portal.objects.get().client_endpoint
    assert killed(office, name) == 0


def check_robots() -> int:
    try:
        call_command("check_robots")
    except SystemExit as end:
        return int(end.code or 0)
    except CommandError as error:
        return error.returncode
    return 0


@pytest.mark.contract("5.21")
def test_s5_a_changed_public_url_is_drift_until_a_push_mends_it_and_events_are_bound_again(
    office: Office, settings: Any
) -> None:
    office.robot()
    name = office.start()
    assert check_robots() == 0
    settings.PUBLIC_URL = settings.PUBLIC_URL.replace("127.0.0.1", "127.0.0.1.nip.invalid")
    assert check_robots() == 3
    office.push(name)
    office.work()
    assert office.control.robots(name, office.client_id)["double"]["handler"].startswith(settings.PUBLIC_URL)
    bound = PortalClient(office.row(name)).call("event.get")
    assert {row["handler"] for row in bound} == {f"{settings.PUBLIC_URL}/b24/{office.slug}/events/"}
    assert check_robots() == 0


@pytest.mark.contract("2.8")
def test_s2_a_portal_quiet_for_more_than_180_days_is_not_lost(office: Office, settings: Any) -> None:
    office.robot()
    name = office.start()
    for _ in range(10):
        office.later(30 * 86400, settings)
        office.work()
    assert office.row(name).token_state == "working"
    arrives(office, name)
    assert killed(office, name) == 0


@pytest.mark.contract("2.13")
def test_s2_a_restored_backup_uses_no_spent_token_and_recovers_by_the_next_call(
    office: Office, settings: Any
) -> None:
    # A call brings tokens where there is a user to issue them for (§5).
    office.robot(auth_user_id=1)
    name = office.start()
    backup = office.row(name)
    office.later(3700, settings)
    arrives(office, name)
    assert office.row(name).refresh_token != backup.refresh_token
    Portal.objects.filter(pk=backup.pk).update(
        access_token=backup.access_token,
        refresh_token=backup.refresh_token,
        access_expires_at=backup.access_expires_at,
        refreshed_at=backup.refreshed_at,
    )
    call_command("backup_restored")
    portal = office.row(name)
    assert portal.token_state == "unverified"
    for _ in range(3):
        office.work()
        office.later(61, settings)
    assert killed(office, name) == 0
    # The call brings tokens of its own; they are exchanged, the backup's never.
    known.read_states()
    number, _row = office.run(name)
    for _ in range(3):
        office.later(61, settings)
        office.work()
    office.finished(name, number)
    assert office.row(name).token_state == "working"
    assert killed(office, name) == 0


@pytest.mark.contract("2.13")
def test_s2_a_restored_access_token_that_still_lives_serves_and_proves_nothing_of_the_refresh_token(
    office: Office, settings: Any
) -> None:
    # Its calls bring no tokens.
    office.robot()
    name = office.start()
    backup = office.row(name)
    # The hub renews while the backup's access token still lives; then the backup is restored.
    Portal.objects.filter(pk=backup.pk).update(access_expires_at=None)
    PortalClient(office.row(name)).call("profile")
    assert office.row(name).refresh_token != backup.refresh_token
    Portal.objects.filter(pk=backup.pk).update(
        access_token=backup.access_token,
        refresh_token=backup.refresh_token,
        access_expires_at=backup.access_expires_at,
    )
    call_command("backup_restored")
    before = office.control.stats(name)["token_exchanges"]
    arrives(office, name)
    assert office.row(name).token_state == "unverified"
    # It runs out: nothing is exchanged, and what waits is sent once the application is opened.
    office.later(3700, settings)
    number, row = office.run(name)
    for _ in range(3):
        office.work()
        office.later(61, settings)
    row.refresh_from_db()
    assert (row.state, office.row(name).trouble) == ("ready", "token_lost")
    assert office.control.stats(name)["token_exchanges"] == before
    office.open(name)
    office.later(61, settings)
    office.work()
    office.finished(name, number)
    assert office.row(name).token_state == "working"
    assert killed(office, name) == 0


@pytest.mark.contract("3.12", "3.14")
def test_s3_robots_come_back_though_an_employees_token_told_of_the_update(
    office: Office, settings: Any
) -> None:
    office.robot()
    name = office.new_portal()
    office.install(name, user=2)
    office.open(name, user=1)
    office.push(name)
    assert office.codes(name) == ["double"]
    former = office.row(name).application_token
    office.control.post(f"portals/{name}/update", client_id=office.client_id, application_token="new")
    until(lambda: office.row(name).untaken_token_at, "the update is in", 20)
    assert office.row(name).application_token == former
    office.work()
    assert office.codes(name) == ["double"]
    office.open(name, user=1)
    portal = office.row(name)
    assert (portal.untaken_token_at, portal.former_application_token) == (None, former)
    assert portal.application_token != former
    office.work()
    arrives(office, name)
    assert killed(office, name) == 0


@pytest.mark.contract("3.12")
@pytest.mark.parametrize(("user", "taken"), [(1, True), (2, False)])
def test_s3_a_calls_own_tokens_prove_the_application_token_that_an_employees_update_told(
    office: Office, settings: Any, user: int, taken: bool
) -> None:
    office.robot(auth_user_id=user)
    name = office.new_portal()
    office.install(name, user=2)
    office.open(name, user=1)
    office.push(name)
    former = office.row(name).application_token
    office.control.post(f"portals/{name}/update", client_id=office.client_id, application_token="new")
    until(lambda: office.row(name).untaken_token_at, "the update is in", 20)
    office.work()
    number = office.control.run(name, office.client_id, "double", properties={"amount": "21"})
    if taken:
        until(lambda: PendingInstallation.objects.exists(), "its tokens are kept", 20)
    else:
        until(
            lambda: RefusedCall.objects.exists() or PendingInstallation.objects.exists(), "the call came", 20
        )
    for _ in range(3):
        office.later(61, settings)
        office.work()
    portal = office.row(name)
    assert (portal.application_token != former, portal.untaken_token_at is None) == (taken, taken)
    if taken:
        assert portal.former_application_token == former
        office.finished(name, number)
    else:
        assert RefusedCall.objects.get().reason == "token_wrong"
    assert killed(office, name) == 0


@pytest.mark.contract("2.5")
@pytest.mark.parametrize("separator", [",", " "])
def test_s2_a_scope_list_is_read_by_commas_and_by_spaces(office: Office, separator: str) -> None:
    office.control.post("servers/west", scope_separator=separator)
    try:
        assert office.install(office.new_portal(server="west")).scope == "bizproc,crm"
    finally:
        office.control.post("servers/west", scope_separator=",")


@pytest.mark.contract("1.4", "7.1")
@pytest.mark.parametrize("generation", ["background", "at_once"])
def test_s1_s7_both_generations_are_served(office: Office, generation: str) -> None:
    office.robot()
    name = office.start(generation=generation)
    arrives(office, name)


@pytest.mark.contract("3.16")
def test_s3_a_result_computed_before_a_reinstallation_arrives_after_it(office: Office, settings: Any) -> None:
    office.robot()
    name = office.start()
    number, row = office.run(name)
    office.control.post(f"portals/{name}/uninstall", client_id=office.client_id)
    until(lambda: office.row(name).state == "uninstalled", "the uninstall is in", 20)
    office.work()
    row.refresh_from_db()
    assert row.state == "ready"
    office.install(name)
    for _ in range(2):
        office.later(61, settings)
        office.work()
    office.finished(name, number)


@pytest.mark.contract("4.15")
def test_s4_what_a_batch_did_not_reach_is_sent_again(office: Office, settings: Any) -> None:
    office.robot()
    name = office.start(generation="at_once", continuation_seconds=0.2, request_seconds=0.5)
    runs = [office.run(name, properties={"amount": str(n)}) for n in range(6)]
    office.work()
    assert Invocation.objects.filter(state="ready").exists()
    for _ in range(8):
        office.later(61, settings)
        office.work()
    for number, _row in runs:
        office.finished(name, number)
    stats = office.control.stats(name)
    assert (stats["doubled"], stats["distinct"]) == (0, 6)


@pytest.mark.contract("5.4")
def test_s5_a_handler_without_a_dot_in_its_host_is_refused_and_told(office: Office, settings: Any) -> None:
    office.robot()
    name = office.new_portal()
    office.install(name)
    settings.PUBLIC_URL = "http://localhost:8000"
    office.push(name)
    refused = Registration.objects.get()
    assert refused.error_code == "ERROR_WRONG_HANDLER_URL"
    assert "PUBLIC_URL" in advice(refused.error_code)
    assert office.codes(name) == []
