"""Full OAuth: for signed-in staff, with a state that is ours, once (contract §3.3)."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.contrib.auth.models import User
from django.test import Client

from portals.claim import BadClaim
from portals.connect import bare_host
from portals.models import Portal

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff(world):
    client = Client()
    client.force_login(User.objects.create_superuser("ann", "", "x"))
    return client


def begin(staff, host="alfa.localhost:1"):
    answer = staff.get(f"/b24/main/connect/?portal={host}")
    assert answer.status_code == 302
    return urlsplit(answer["Location"])


def consent(world, query):
    """What the browser brings back from the portal's consent page."""
    answer = requests.get(
        f"{world.sandbox.base}/p/alfa/oauth/authorize/?{query}", allow_redirects=False, timeout=30
    )
    assert answer.status_code == 302, answer.text
    return urlsplit(answer.headers["Location"]).query


@pytest.mark.contract("2.3", "3.4")
def test_s2_s3_a_portal_is_connected_by_full_oauth(world, staff, installed):
    address = begin(staff, "alfa.localhost:8025")
    assert (address.scheme, address.netloc, address.path) == (
        "http",
        "alfa.localhost:8025",
        "/oauth/authorize/",
    )
    assert parse_qs(address.query)["client_id"] == [world.application.client_id]
    answer = staff.get(f"/b24/main/oauth/?{consent(world, address.query)}")
    assert answer.status_code == 200
    portal = Portal.objects.get()
    assert portal.member_id == world.member_id
    assert portal.token_state == "working"
    assert portal.token_is_admin is True
    assert installed == [portal]


def test_without_an_address_the_page_asks_for_it_and_a_wrong_one_comes_back_with_why(world, staff):
    page = staff.get("/b24/main/connect/")
    assert page.status_code == 200
    text = page.content.decode()
    assert '<label for="id_portal"' in text and 'name="portal"' in text and "errorlist" not in text
    page = staff.get("/b24/main/connect/", {"portal": 'https://alfa.bitrix24.com/"<b>'})
    assert page.status_code == 400
    text = page.content.decode()
    assert "bare host name" in text and "https://alfa.bitrix24.com/&quot;&lt;b&gt;" in text
    assert "<b>" not in text


def test_what_is_connected_is_told_to_be_opened_once_while_its_application_token_is_not_known(world, staff):
    page = staff.get(f"/b24/main/oauth/?{consent(world, begin(staff).query)}").content.decode()
    assert "Now open the application once on the portal" in page
    assert 'name="portal"' not in page
    Portal.objects.update(application_token="known")
    page = staff.get(f"/b24/main/oauth/?{consent(world, begin(staff).query)}").content.decode()
    assert "Now open the application once on the portal" not in page


@pytest.mark.contract("3.4")
def test_s3_a_state_is_good_once(world, staff):
    query = consent(world, begin(staff).query)
    assert staff.get(f"/b24/main/oauth/?{query}").status_code == 200
    asked = len(world.sandbox.server_log())
    assert staff.get(f"/b24/main/oauth/?{query}").status_code == 400
    assert len(world.sandbox.server_log()) == asked


def test_a_state_of_another_session_or_none_is_refused(world, staff):
    query = consent(world, begin(staff).query)
    other = Client()
    other.force_login(User.objects.create_superuser("bob", "", "x"))
    assert other.get(f"/b24/main/oauth/?{query}").status_code == 400
    assert staff.get("/b24/main/oauth/?code=abc&member_id=x&state=forged").status_code == 400
    assert staff.get("/b24/main/oauth/").status_code == 400
    assert not Portal.objects.exists()


@pytest.mark.contract("2.12", "3.4")
def test_s2_s3_a_state_lives_ten_minutes(world, staff, monkeypatch):
    query = consent(world, begin(staff).query)
    monkeypatch.setattr("portals.connect.STATE_SECONDS", -1)
    assert staff.get(f"/b24/main/oauth/?{query}").status_code == 400


@pytest.mark.contract("2.3")
def test_s2_a_spent_code_is_refused_with_a_sentence(world, staff):
    query = begin(staff).query
    state = parse_qs(query)["state"][0]
    answer = staff.get(
        "/b24/main/oauth/", {"code": "spent-or-forged", "member_id": world.member_id, "state": state}
    )
    assert answer.status_code == 403
    assert not Portal.objects.exists()


@pytest.mark.parametrize("page", ["connect/?portal=alfa.bitrix24.com", "oauth/?code=x&state=y"])
def test_strangers_are_asked_to_sign_in_and_others_refused(world, page):
    client = Client()
    answer = client.get(f"/b24/main/{page}")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/login/")
    client.force_login(User.objects.create_user("eve", "", "x"))
    assert client.get(f"/b24/main/{page}").status_code == 403


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://alfa.bitrix24.com",
        "alfa.bitrix24.com/path",
        "user@alfa.bitrix24.com",
        "alfa.bitrix24.com:443@evil.com",
        "alfa..com",
        "-alfa.com",
        "alfa.com?x",
        "alfa.com#x",
        "al fa.com",
        "a" * 300,
        "alfa.com:",
        "alfa.com:0",
        "alfa.com:99999",
        "альфа.рф",
    ],
)
def test_only_a_bare_host_name_is_taken(settings, text):
    settings.B24_ALLOW_HTTP = True
    with pytest.raises(BadClaim):
        bare_host(text)


def test_a_port_needs_the_setting(settings):
    settings.B24_ALLOW_HTTP = True
    assert bare_host(" Alfa.Example.com:8443 ") == "alfa.example.com:8443"
    settings.B24_ALLOW_HTTP = False
    assert bare_host("alfa.example.com") == "alfa.example.com"
    with pytest.raises(BadClaim):
        bare_host("alfa.example.com:8443")
