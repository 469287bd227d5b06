"""The door and acceptance (contract §3, §6; design §2)."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection, connections
from django.test import Client

from handlers import intake_db, intake_postgresql, known
from handlers.models import Invocation, ReceivedCall, RefusedCall
from portals.models import Portal
from robots.models import RobotVersion
from tests.factories import PortalFactory, RegistrationFactory, RobotFactory, RobotVersionFactory
from tests.handlers.calls import FORM, form, post

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.contract("6.1", "6.4")
def test_s6_a_call_is_one_row_and_200(portal: Portal, version: RobotVersion) -> None:
    response = post(portal, version=version.pk)
    assert response.status_code == 200
    row = Invocation.objects.select_related("stored").get()
    assert (row.state, row.run, row.robot_code, row.version_id) == ("received", 1, "double", version.pk)
    assert (row.document_id, row.document_type) == ("DEAL_42", "crm|CCrmDocumentDeal|DEAL")
    assert row.waits and row.deadline is None and row.repeats == 0


@pytest.mark.contract("6.5", "6.16")
def test_s6_no_token_is_kept_and_the_event_token_is_encrypted(portal: Portal, version: RobotVersion) -> None:
    fields = form(portal)
    post(portal, fields, version.pk)
    body = ReceivedCall.objects.get()
    for secret in ("secret-access-token", "secret-refresh-token", "application-token", fields["event_token"]):
        assert secret not in body.call
        assert secret.encode() not in bytes(body.event_token)


@pytest.mark.contract("6.3")
def test_s6_a_repeat_is_the_same_call(portal: Portal, version: RobotVersion) -> None:
    fields = form(portal)
    assert [post(portal, fields, version.pk).status_code for _ in range(3)] == [200, 200, 200]
    assert Invocation.objects.get().repeats == 2
    assert ReceivedCall.objects.count() == 1


def test_the_database_holds_one_row_a_token_and_run(portal: Portal, version: RobotVersion) -> None:
    fields = form(portal)
    errors: list[Any] = []

    def knock() -> None:
        errors.append(post(portal, fields, version.pk).status_code)
        intake_db.forget()
        connections.close_all()

    threads = [threading.Thread(target=knock) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [200] * 6
    assert Invocation.objects.get().repeats == 5


@pytest.mark.contract("6.15")
def test_s6_wait_and_deadline_are_counted_from_ts(portal: Portal, version: RobotVersion) -> None:
    post(portal, version=version.pk, timeout_duration=86400)
    row = Invocation.objects.get()
    assert row.deadline is not None
    assert (row.deadline - row.called_at).total_seconds() == 86400


@pytest.mark.parametrize("ts", ["", "x", "9" * 40, "0", "99999999999"])
def test_s6_an_absurd_ts_is_the_time_of_receipt(portal: Portal, version: RobotVersion, ts: str) -> None:
    assert post(portal, version=version.pk, ts=ts).status_code == 200
    row = Invocation.objects.get()
    assert row.called_at == row.received_at


@pytest.mark.contract("5.7")
def test_s5_a_missing_use_subscription_does_not_wait(portal: Portal, version: RobotVersion) -> None:
    post(portal, version=version.pk, use_subscription=None)
    assert Invocation.objects.get().waits is False


@pytest.mark.contract("3.9")
@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"auth[application_token]": "of-somebody-else"}, 403, "token_wrong"),
        ({"auth[application_token]": ""}, 400, "form_unreadable"),
        ({"auth[application_token]": None}, 400, "form_unreadable"),
        ({"auth[member_id]": "f" * 32}, 403, "portal_unknown"),
        ({"auth[member_id]": None}, 400, "form_unreadable"),
        ({"event_token": None}, 400, "form_unreadable"),
        ({"event_token": "x" * 4097}, 400, "form_unreadable"),
    ],
)
def test_s3_what_proves_nothing_is_refused_and_noted(
    portal: Portal, version: RobotVersion, change: dict[str, Any], status: int, reason: str
) -> None:
    assert post(portal, version=version.pk, **change).status_code == status
    assert not Invocation.objects.exists()
    assert RefusedCall.objects.get().reason == reason


def test_s3_a_list_is_no_application_token(portal: Portal, version: RobotVersion) -> None:
    fields = form(portal)
    del fields["auth[application_token]"]
    fields["auth[application_token][]"] = "application-token"
    assert post(portal, fields, version.pk).status_code == 400


@pytest.mark.contract("3.9")
@pytest.mark.parametrize(
    ("change", "kind", "reason", "said"),
    [
        ({"auth[application_token]": None}, FORM, "form_unreadable", "auth[application_token] is missing"),
        ({"auth[application_token]": ""}, FORM, "form_unreadable", "auth[application_token] is missing"),
        (
            {"auth[application_token]": None, "auth[application_token][]": "list-of-one-token"},
            FORM,
            "form_unreadable",
            "auth[application_token] is missing or is no text",
        ),
        ({"event_token": "x" * 4097}, FORM, "form_unreadable", "event_token is longer than 4096 bytes"),
        ({}, "text/plain", "type_wrong", "Send the form as application/x-www-form-urlencoded"),
        ({"properties[a]": "x" * (2 * 1024 * 1024 + 1)}, FORM, "form_too_big", ""),
        ({"auth[application_token]": "of-somebody-else"}, FORM, "token_wrong", "is not this portal's"),
    ],
)
def test_s3_the_log_tells_which_portal_was_claimed_and_what_it_was_told(
    portal: Portal, version: RobotVersion, change: dict[str, Any], kind: str, reason: str, said: str
) -> None:
    fields = form(portal, **{"auth[domain]": "alfa.bitrix24.com"})
    for name, value in change.items():
        fields.pop(name, None)
        if value is not None:
            fields[name] = value
    url = f"/b24/{portal.application.slug}/handler/"
    answer = Client().post(url, urlencode(fields), content_type=kind)
    noted = RefusedCall.objects.get()
    assert noted.reason == reason
    assert noted.sentence == answer.json()["error_description"]
    assert said in noted.sentence
    assert noted.get_reason_display() != reason
    if len(fields.get("properties[a]", "")) > 1000:
        # Its length was declared: nothing of it is read.
        return
    assert (noted.member_id, noted.domain, noted.robot_code) == (
        portal.member_id,
        "alfa.bitrix24.com",
        fields["code"],
    )
    assert "token" not in f"{noted.member_id}{noted.domain}{noted.robot_code}"


def test_s3_what_a_refused_call_claims_is_bounded_and_holds_no_token(portal: Portal) -> None:
    token = "a" * 64
    fields = {
        "auth[member_id]": "m" * 5000,
        "auth[domain]": f"alfa.example?access_token={token}",
        "code[]": "a-list",
        "event_token": "e",
    }
    url = f"/b24/{portal.application.slug}/handler/"
    assert Client().post(url, urlencode(fields), content_type=FORM).status_code == 400
    noted = RefusedCall.objects.get()
    assert (noted.member_id, noted.robot_code) == ("[hidden]", "")
    assert noted.domain == "alfa.example?access_token=[hidden]"


def test_an_unknown_application_is_404(portal: Portal) -> None:
    response = Client().post("/b24/nobody/handler/", "auth[member_id]=x", content_type=FORM)
    assert response.status_code == 400
    portal.application.slug = "nobody"
    assert post(portal).status_code == 404


def test_s3_another_applications_token_is_refused(portal: Portal, version: RobotVersion) -> None:
    other = PortalFactory(member_id=portal.member_id, application_token="the-other-token")
    response = post(portal, version=version.pk, **{"auth[application_token]": "the-other-token"})
    assert response.status_code == 403
    assert other.application_id != portal.application_id


def test_a_stale_installation_inserts_nothing(portal: Portal, version: RobotVersion) -> None:
    post(portal, version=version.pk)
    Portal.objects.filter(pk=portal.pk).update(
        installation=2, state="uninstalled", application_token="new-token"
    )
    # This process still remembers the portal as it was.
    assert known.portal(portal.application.slug, portal.member_id) is not None
    assert post(portal, version=version.pk).status_code == 403
    assert Invocation.objects.count() == 1


def test_s3_a_changed_application_token_is_seen_at_once(portal: Portal, version: RobotVersion) -> None:
    post(portal, version=version.pk)
    Portal.objects.filter(pk=portal.pk).update(installation=2, application_token="second-token")
    assert post(portal, version=version.pk).status_code == 403
    assert post(portal, version=version.pk, **{"auth[application_token]": "second-token"}).status_code == 200


@pytest.mark.contract("3.10")
@pytest.mark.parametrize(("minutes", "status"), [(5, 200), (-1, 403)])
def test_s3_the_former_token_is_taken_for_a_while(
    portal: Portal, version: RobotVersion, minutes: int, status: int
) -> None:
    import datetime as dt

    until = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
    Portal.objects.filter(pk=portal.pk).update(
        application_token="second-token", former_application_token="application-token", former_until=until
    )
    assert post(portal, version=version.pk).status_code == status


def test_v_of_another_application_is_as_if_absent(portal: Portal, version: RobotVersion) -> None:
    foreign = RobotVersionFactory(robot=RobotFactory(code="double"))
    post(portal, version=foreign.pk)
    assert Invocation.objects.get().version_id == version.pk


def test_v_of_another_code_is_as_if_absent(portal: Portal, version: RobotVersion) -> None:
    other = RobotVersionFactory(robot=RobotFactory(application=portal.application, code="other"))
    post(portal, version=other.pk)
    assert Invocation.objects.get().version_id == version.pk


def test_without_v_the_version_last_pushed_there_computes(portal: Portal, version: RobotVersion) -> None:
    newer = RobotVersionFactory(robot=version.robot, number=2)
    RegistrationFactory(robot=version.robot, portal=portal, wanted_version=newer, pushed_version=version)
    post(portal)
    post(portal, version=newer.pk)
    assert list(Invocation.objects.order_by("id").values_list("version_id", flat=True)) == [
        version.pk,
        newer.pk,
    ]


def test_an_unknown_code_is_kept_as_failed_and_answered_200(portal: Portal) -> None:
    assert post(portal, code="nobody").status_code == 200
    row = Invocation.objects.get()
    assert (row.state, row.cause) == ("failed", "code_unknown")
    assert row.ended_at is not None


@pytest.mark.contract("6.18")
@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ('{"auth": {}}', "application/json", 415),
        ("a=1", "text/plain", 415),
        ("a=1", FORM, 400),
        ("&".join(f"a{n}=1" for n in range(20_001)), FORM, 413),
        ("x" * (2 * 1024 * 1024 + 1), FORM, 413),
        ("a" + "[b]" * 10_000 + "=1", FORM, 400),
        ("auth=x&event_token=y", FORM, 400),
        ("auth[member_id]=\0&auth[application_token]=a&event_token=b", FORM, 400),
    ],
)
def test_s6_rubbish_gets_a_sentence(portal: Portal, body: str, content_type: str, status: int) -> None:
    response = Client().post(f"/b24/{portal.application.slug}/handler/", body, content_type=content_type)
    assert response.status_code == status
    assert response.json()["error_description"]


def test_nul_bytes_and_wrong_charsets_are_no_error(portal: Portal, version: RobotVersion) -> None:
    fields = form(portal, **{"properties[amount]": "1\0\udcff2"})
    from urllib.parse import urlencode

    body = urlencode(fields, errors="surrogateescape")
    path = f"/b24/{portal.application.slug}/handler/?v={version.pk}"
    assert Client().generic("POST", path, body, f"{FORM}; charset=no-such").status_code == 200
    assert "\\u0000" not in ReceivedCall.objects.get().call


def test_get_is_405(portal: Portal) -> None:
    assert Client().get(f"/b24/{portal.application.slug}/handler/").status_code == 405


def test_acceptance_costs_one_statement_on_postgresql(
    portal: Portal, version: RobotVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite takes one IMMEDIATE transaction of two")
    post(portal, version=version.pk)
    statements: list[str] = []
    run = intake_postgresql.run
    monkeypatch.setattr(
        intake_postgresql, "run", lambda sql, params: statements.append(sql) or run(sql, params)
    )
    post(portal, version=version.pk)
    assert len(statements) == 1


def test_the_door_needs_no_session_cookie_locale_or_host(portal: Portal, version: RobotVersion) -> None:
    from urllib.parse import urlencode

    response = Client(headers={"host": "anything.example", "cookie": "hub_session=x"}).post(
        f"/b24/{portal.application.slug}/handler/?v={version.pk}", urlencode(form(portal)), content_type=FORM
    )
    assert response.status_code == 200
    assert not response.cookies
