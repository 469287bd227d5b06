"""The log of calls: found by what a person knows, filtered by what happened, and as quick with many rows."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from handlers import log_pages
from handlers.models import Attempt, Confirmation, InvocationResult, RefusedCall, State
from portals.models import Portal
from robots.models import Registration
from tests.b24app.people import signed_in
from tests.factories import (
    InvocationFactory,
    PortalFactory,
    RegistrationFactory,
    RobotFactory,
    RobotVersionFactory,
)

pytestmark = pytest.mark.django_db

LOG = "/admin/handlers/invocation/"


@pytest.fixture
def auditor():
    return signed_in("auditors")


def listed(client, **query):
    answer = client.get(LOG, query)
    assert answer.status_code == 200
    return [call.pk for call in answer.context["cl"].result_list]


def test_a_call_is_found_by_document_process_number_and_robot(auditor):
    deal = InvocationFactory(document_id="DEAL_42", workflow_id="5f.1", robot_code="discount")
    lead = InvocationFactory(document_id="LEAD_42", workflow_id="5f.2", robot_code="other")
    InvocationFactory(document_id="DEAL_421", workflow_id="5f.3", robot_code="discount_2")
    assert listed(auditor, q="DEAL_42") == [deal.pk]
    assert set(listed(auditor, q="42")) >= {deal.pk, lead.pk}
    assert listed(auditor, q=" 5f.2 ") == [lead.pk]
    assert listed(auditor, q="discount") == [deal.pk]
    assert lead.pk in listed(auditor, q=f"#{lead.pk}")
    assert listed(auditor, q="DEAL_4") == []
    assert listed(auditor, q="9" * 19) == []


@pytest.mark.parametrize(
    ("state", "result", "words"),
    [
        (State.RECEIVED, "", "There is no result yet."),
        (State.FAILED, "", "There is no result: the call ended without one"),
        (State.DELIVERED, '{"values": {}}', "The result has no values."),
    ],
)
def test_a_call_without_outputs_says_why(auditor, state, result, words):
    call = InvocationFactory(state=state)
    if result:
        InvocationResult.objects.create(invocation=call, result=result)
    assert words in auditor.get(f"{LOG}{call.pk}/change/").content.decode()


@pytest.mark.parametrize(("language", "words"), [("en", "it was no form"), ("ru", "это была не форма")])
def test_a_refused_call_tells_its_reason_in_words_and_what_the_caller_was_told(auditor, language, words):
    refused = RefusedCall.objects.create(
        at=timezone.now(), reason="type_wrong", member_id="a" * 32, sentence="Send the form as that."
    )
    more = {"HTTP_ACCEPT_LANGUAGE": language}
    listed = auditor.get("/admin/handlers/refusedcall/", **more).content.decode()
    assert words in listed and "type_wrong</" not in listed
    page = auditor.get(f"/admin/handlers/refusedcall/{refused.pk}/change/", **more).content.decode()
    assert words in page and "Send the form as that." in page


def test_documents_of_smart_processes_are_found_by_their_number(auditor):
    RobotFactory(document_type=["crm", "Bitrix\\Crm\\Integration\\BizProc\\Document\\Dynamic", "DYNAMIC_177"])
    call = InvocationFactory(document_id="DYNAMIC_177_900")
    assert listed(auditor, q="900") == [call.pk]


def test_the_search_reads_no_row_but_by_an_index(auditor):
    with CaptureQueriesContext(connection) as queries:
        listed(auditor, q="DEAL_42")
    asked = [each["sql"] for each in queries if "handlers_invocation" in each["sql"]]
    assert asked
    assert not [sql for sql in asked if "LIKE" in sql.upper()]


def test_filters_by_what_happened(auditor):
    now = timezone.now()
    version = RobotVersionFactory()
    failed = InvocationFactory(
        state=State.FAILED, cause="time_limit", robot_code=version.code, received_at=now
    )
    stuck = InvocationFactory(state=State.DELIVERED, confirmation=Confirmation.STUCK, received_at=now)
    waiting = InvocationFactory(state=State.READY, received_at=now - dt.timedelta(days=3))
    refused = InvocationFactory(
        state=State.REFUSED, cause="process_gone", received_at=now - dt.timedelta(days=40)
    )
    assert listed(auditor, state="attention") == [failed.pk]
    assert listed(auditor, state="failed") == [failed.pk]
    assert listed(auditor, state="refused") == [refused.pk]
    assert listed(auditor, state="stuck") == [stuck.pk]
    assert listed(auditor, state="open") == [waiting.pk]
    assert listed(auditor, cause="time_limit") == [failed.pk]
    assert listed(auditor, arrival="stuck") == [stuck.pk]
    assert listed(auditor, robot=version.code) == [failed.pk]
    assert listed(auditor, portal=waiting.portal_id) == [waiting.pk]
    assert listed(auditor, day="hour") == [stuck.pk, failed.pk]
    assert listed(auditor, day="week") == [waiting.pk, stuck.pk, failed.pk]
    assert listed(auditor, day="month") == [waiting.pk, stuck.pk, failed.pk]
    assert len(listed(auditor, state="nonsense", portal="x")) == 4


def test_days_are_those_of_the_clock(auditor):
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    today = InvocationFactory(received_at=midnight)
    yesterday = InvocationFactory(received_at=midnight - dt.timedelta(seconds=1))
    InvocationFactory(received_at=midnight - dt.timedelta(days=1, seconds=1))
    assert listed(auditor, day="today") == [today.pk]
    assert listed(auditor, day="yesterday") == [yesterday.pk]


def test_a_replayed_call_needs_nobody_any_more(auditor):
    former = InvocationFactory(state=State.FAILED, cause="robot_error", followed_at=timezone.now())
    InvocationFactory(portal=former.portal, token_hash=former.token_hash, run=2, state=State.DELIVERED)
    assert listed(auditor, state="attention") == []
    assert listed(auditor, state="failed") == [former.pk]


def test_in_the_log_a_replayed_call_is_not_red(auditor):
    InvocationFactory(state=State.FAILED, cause="robot_error", followed_at=timezone.now())
    page = auditor.get(LOG + "?state=failed")
    (row,) = page.context["cl"].result_list
    shown = page.context["cl"].model_admin.how(row)
    assert "hub-badge hub-off" in shown and "run again" in shown and "a person must look" not in shown


def test_the_log_is_counted_to_a_bound_and_no_further(auditor, monkeypatch):
    monkeypatch.setattr(log_pages.BoundedPaginator, "limit", 3)
    for _each in range(5):
        InvocationFactory()
    answer = auditor.get(LOG)
    assert answer.context["cl"].result_count == 3
    assert "The newest 3" in answer.content.decode()


def test_no_query_counts_the_whole_log(auditor):
    InvocationFactory()
    with CaptureQueriesContext(connection) as queries:
        auditor.get(LOG)
    counts = [
        each["sql"] for each in queries if "COUNT(" in each["sql"] and "handlers_invocation" in each["sql"]
    ]
    assert counts
    assert all("LIMIT" in sql for sql in counts)


def many(number):
    """`number` portals with a robot, a registration and a failed call each."""
    for _each in range(number):
        registration = RegistrationFactory(error_code="x")
        call = InvocationFactory(
            portal=registration.portal,
            version=registration.wanted_version,
            state=State.FAILED,
            cause="robot_error",
            received_at=timezone.now(),
            document_id="DEAL_1",
            workflow_id="5f.1",
        )
        Attempt.objects.create(invocation=call, step="compute", at=timezone.now(), code="robot_error")


@pytest.mark.parametrize(
    "url",
    [
        "/admin/",
        LOG,
        LOG + "?state=attention&day=today",
        LOG + "?q=DEAL_1",
        "/admin/portals/portal/",
        "/admin/portals/application/",
        "/admin/robots/robot/",
        "/admin/robots/robotversion/",
        "/admin/robots/registration/",
        "/admin/handlers/sending/",
    ],
)
def test_as_many_queries_for_many_rows_as_for_few(auditor, url):
    many(2)
    few = asked(auditor, url)
    many(6)
    assert asked(auditor, url) == few


def test_a_long_story_takes_as_many_queries_as_a_short_one(auditor):
    registration = RegistrationFactory()
    call = InvocationFactory(
        portal=registration.portal,
        version=registration.wanted_version,
        document_id="DEAL_1",
        workflow_id="5f.1",
    )
    url = reverse("admin:handlers_invocation_change", args=[call.pk])
    InvocationFactory(portal=call.portal, document_id="DEAL_1", workflow_id="5f.1")
    Attempt.objects.create(invocation=call, step="send", at=timezone.now(), code="x")
    short = asked(auditor, url)
    for _each in range(10):
        InvocationFactory(portal=call.portal, document_id="DEAL_1", workflow_id="5f.1")
        Attempt.objects.create(invocation=call, step="send", at=timezone.now(), code="x")
    assert asked(auditor, url) == short


def test_a_portal_with_many_robots_and_calls_takes_as_many_queries(auditor):
    registration = RegistrationFactory()
    url = reverse("admin:portals_portal_change", args=[registration.portal_id])
    InvocationFactory(portal=registration.portal)
    few = asked(auditor, url)
    for _each in range(5):
        version = RobotVersionFactory(robot=RobotFactory(application=registration.portal.application))
        RegistrationFactory(portal=registration.portal, robot=version.robot, wanted_version=version)
        InvocationFactory(portal=registration.portal, version=version)
    assert asked(auditor, url) == few


def asked(client, url):
    client.get(url)  # content types and the like are remembered from the first time on
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return len(queries)


def test_the_page_of_a_call_leads_to_what_belongs_to_it(auditor):
    registration = RegistrationFactory()
    call = InvocationFactory(
        portal=registration.portal,
        version=registration.wanted_version,
        robot_code=registration.robot.code,
        document_id="DEAL_42",
        workflow_id="5f.1",
        call=json.dumps({"properties": {"amount": "1000.50", "extra": "x"}, "auth": {"user_id": "7"}}),
        stored__result=json.dumps({"values": {"total": "2001.00"}, "log": "doubled"}),
        stored__lines=json.dumps(["began"]),
    )
    again = InvocationFactory(portal=call.portal, token_hash=call.token_hash, run=2)
    same = InvocationFactory(portal=call.portal, document_id="DEAL_42")
    elsewhere = InvocationFactory(document_id="DEAL_42", workflow_id="5f.1")
    answer = auditor.get(reverse("admin:handlers_invocation_change", args=[call.pk]))
    text = answer.content.decode()
    for row in (registration.robot, registration.wanted_version, call.portal, again, same):
        assert reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=[row.pk]) in text
    assert reverse("admin:handlers_invocation_change", args=[elsewhere.pk]) not in text
    assert "robot/" + str(registration.robot.pk) + "/trial/" not in text
    for word in ("1000.50", "2001.00", "doubled", "began", "not declared", "?q=DEAL_42"):
        assert word in text


def test_only_a_story_that_may_still_change_looks_again(auditor):
    def page(**call):
        url = reverse("admin:handlers_invocation_change", args=[InvocationFactory(**call).pk])
        return auditor.get(url).content.decode()

    for open_one in (page(state=State.READY), page(state=State.DELIVERED, confirm_at=timezone.now())):
        assert "b24app/story.js" in open_one and 'data-open="1"' in open_one and "<noscript>" in open_one
    over = page(state=State.FAILED, cause="memory")
    assert "b24app/story.js" not in over and 'data-open=""' in over


def test_codes_and_addresses_break_at_their_marks_and_all_is_offered_after_a_search_alone(auditor):
    InvocationFactory(robot_code="working_day<b>", portal__domain="client.bitrix24.com")
    page = auditor.get(LOG).content.decode()
    assert "working_<wbr>day&lt;b&gt;<wbr>" in page and "client.<wbr>bitrix24.<wbr>com" in page
    assert "Show all" not in page
    assert "Show all" in auditor.get(LOG, {"q": "42"}).content.decode()


def test_a_call_that_is_not_there_leads_back_to_the_log(auditor):
    answer = auditor.get(reverse("admin:handlers_invocation_change", args=[999]), follow=True)
    assert answer.redirect_chain[-1][0] == LOG
    assert "There is no call #999" in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_an_impossible_number_or_day_is_a_wrong_address(auditor):
    InvocationFactory()
    log = reverse("admin:handlers_invocation_changelist")
    assert auditor.get(f"{log}{'9' * 30}/history/").status_code == 302
    for day in ("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00%2B14:00"):
        answer = auditor.get(f"{log}?received_at__gte={day}")
        assert answer.status_code in (200, 302), day


def test_the_panels_of_a_portal_show_its_robots_and_calls(auditor):
    registration = RegistrationFactory(error_code="ERROR_METHOD_NOT_FOUND")
    call = InvocationFactory(portal=registration.portal, state=State.FAILED, cause="memory")
    text = auditor.get(reverse("admin:portals_portal_change", args=[registration.portal_id])).content.decode()
    assert reverse("admin:robots_registration_change", args=[registration.pk]) in text
    assert "plan does not include it" in text
    assert reverse("admin:handlers_invocation_change", args=[call.pk]) in text
    row = auditor.get("/admin/portals/portal/").context["cl"].result_list[0]
    assert "attention" in row.column_failures
    assert "1 with errors" in row.column_robots
    assert Registration.objects.count() == 1 and Portal.objects.count() == 1


def test_columns_of_portals_without_anything(auditor):
    PortalFactory()
    row = auditor.get("/admin/portals/portal/").context["cl"].result_list[0]
    assert (row.column_last_call, row.column_failures, row.column_robots) == ("–", "–", "–")


def test_an_integrator_runs_the_input_of_a_call_on_the_draft():
    registration = RegistrationFactory()
    call = InvocationFactory(
        portal=registration.portal,
        version=registration.wanted_version,
        call=json.dumps({"properties": {"amount": "21", "tags": {"0": "a", "1": "b"}}}),
    )
    client = signed_in("integrators")
    answer = client.get(reverse("admin:handlers_invocation_change", args=[call.pk]))
    fields = [("portal", str(call.portal_id)), ("in_amount", "21"), ("in_tags", "a\nb")]
    assert answer.context["trial_fields"] == fields
    url = reverse("admin:robots_robot_trial", args=[registration.robot.pk])
    assert url in answer.content.decode()
    done = client.post(url, dict(answer.context["trial_fields"]))
    assert done.context["outcome"]["values"] == {"total": "42"}
