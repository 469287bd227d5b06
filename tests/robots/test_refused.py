"""A portal's trouble and a lost answer are no refusals: they are told in other words and counted nowhere as such."""

from __future__ import annotations

import pytest
from django.utils import translation

from b24app import figures
from portals import errors
from portals.models import Portal
from robots.models import Registration
from robots.portal_panels import robots_there
from robots.push_result import error_code_of
from robots.push_settle import text_of
from robots.refused import is_refused, refused, waits
from robots.registration_words import state_of, what_to_do
from tests.b24app.people import signed_in
from tests.factories import RegistrationFactory

pytestmark = pytest.mark.django_db

REFUSALS = [
    "ACCESS_DENIED",
    "ERROR_ACTIVITY_VALIDATION_FAILURE",
    "ERROR_METHOD_NOT_FOUND",
    "error",
    "of_theirs",
]
PASSES = [
    "QUERY_LIMIT_EXCEEDED",
    "expired_token",
    "INTERNAL_SERVER_ERROR",
    "timeout",
    "not_verified",
    "not_now",
]


@pytest.mark.parametrize("trouble", Portal.Trouble)
def test_every_trouble_of_a_portal_is_what_its_robots_wait_for(trouble):
    row = RegistrationFactory(error_code=trouble)
    tone, words = state_of(row)
    assert (tone, words) == ("warn", f"waits for the portal: {trouble.label}")
    assert "read what the portal said" not in what_to_do(row)
    assert what_to_do(row)
    with translation.override("ru"):
        assert state_of(row)[1] == f"ждёт портала: {trouble.label}"


def test_what_passes_is_tried_again_by_itself():
    for code in PASSES:
        row = RegistrationFactory(error_code=code)
        assert state_of(row) == ("warn", f"not taken yet ({code}); it is tried again by itself")
        assert what_to_do(row) == "Nothing: it is tried again by itself."


def test_only_refusals_are_counted_as_refused():
    rows = {code: RegistrationFactory(error_code=code) for code in [*REFUSALS, *PASSES, *Portal.Trouble, ""]}
    for code, row in rows.items():
        assert is_refused(code) is (code in REFUSALS), code
        if code in REFUSALS:
            assert state_of(row) == ("bad", f"the portal refused: {code}")
            assert "1 " in str(robots_there([row.portal_id])[row.portal_id])
        else:
            assert "error" not in str(robots_there([row.portal_id])[row.portal_id])
    codes = set(Registration.objects.filter(refused()).values_list("error_code", flat=True))
    assert codes == set(REFUSALS)
    waiting = set(Registration.objects.filter(waits()).values_list("error_code", flat=True))
    assert waiting == {*PASSES, *Portal.Trouble.values}
    assert figures.registrations()["error"] == len(REFUSALS)


def test_the_first_page_and_its_list_tell_only_refusals():
    refusal = RegistrationFactory(error_code="ACCESS_DENIED")
    waiting = RegistrationFactory(
        error_code=Portal.Trouble.PLAN_LAPSED, portal__trouble=Portal.Trouble.PLAN_LAPSED
    )
    client = signed_in("auditors")
    (need,) = (need for need in client.get("/admin/").context["needs"] if "robot" in need.words)
    assert need.words == "1 robot was refused by its portal"
    assert [row.pk for row in client.get(need.href).context["cl"].result_list] == [refusal.pk]
    page = client.get("/admin/robots/registration/?error=waits")
    assert [row.pk for row in page.context["cl"].result_list] == [waiting.pk]
    assert "waits for the portal: the plan lapsed" in page.content.decode()
    refusal.delete()
    assert not [need for need in client.get("/admin/").context["needs"] if "refused" in need.words]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.classify("QUERY_LIMIT_EXCEEDED", "", 503), "QUERY_LIMIT_EXCEEDED"),
        (errors.classify("", "", 500), "not_now"),
        (errors.classify("OF_THEIRS", "Come later", 503), "not_now"),
        (errors.classify("OF_THEIRS", "No.", 400), "OF_THEIRS"),
        (errors.classify("", "", 400), "error"),
        (errors.Passes("unreachable", "No connection could be made."), "unreachable"),
        (errors.UnknownAnswer("too_big", "The answer is larger than 5 bytes."), "too_big"),
    ],
)
def test_a_stored_code_tells_what_passes_from_what_is_refused(error, code):
    assert error_code_of(error) == code
    assert is_refused(code) is isinstance(error, errors.CommandRefused)
    # The portal's own code is kept where it is not what tells them apart.
    assert error.code in f"{code} {text_of(error)}"
