"""Applications and portals: secrets go in and never come out; a portal's state is said in words."""

from __future__ import annotations

import io
import threading

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.db import connection
from django.urls import reverse

from portals import oauth, refresh
from portals.admin_forms import PortalForm
from portals.models import Application, Portal, PortalGroup, PortalSetting
from portals.standing import standing
from tests.b24app.people import signed_in
from tests.damage import damage
from tests.factories import NOW, ApplicationFactory, PortalFactory

pytestmark = pytest.mark.django_db


def form_of(portal, **changed):
    settings = list(portal.settings.all())
    data = {
        "time_zone": portal.time_zone,
        "date_format": portal.date_format,
        "note": portal.note,
        "settings-TOTAL_FORMS": len(settings),
        "settings-INITIAL_FORMS": len(settings),
    }
    for place, setting in enumerate(settings):
        data |= {
            f"settings-{place}-id": setting.pk,
            f"settings-{place}-portal": portal.pk,
            f"settings-{place}-name": setting.name,
            f"settings-{place}-secret": "",
        }
    return data | changed


def change(client, row, data):
    answer = client.post(reverse(f"admin:portals_{row._meta.model_name}_change", args=[row.pk]), data)
    assert answer.status_code == 302, answer.context and answer.context["errors"]
    row.refresh_from_db()


def test_a_secret_is_set_kept_and_replaced():
    client = signed_in("integrators")
    data = {"name": "Main", "slug": "main", "client_id": "local.1", "secret": "first"}
    assert client.post(reverse("admin:portals_application_add"), data).status_code == 302
    made = Application.objects.get()
    assert made.client_secret == "first"
    change(client, made, {"name": "Main 2", "slug": "main", "client_id": "local.1", "secret": ""})
    assert (made.name, made.client_secret) == ("Main 2", "first")
    change(client, made, {"name": "Main 2", "slug": "main", "client_id": "local.1", "secret": "second"})
    assert made.client_secret == "second"
    said = " ".join(LogEntry.objects.values_list("change_message", flat=True))
    assert "first" not in said and "second" not in said


@pytest.mark.parametrize("way", ["the page", "the command"])
def test_a_secret_that_no_key_opens_is_replaced_where_it_was_entered(way):
    client = signed_in("integrators")
    made = ApplicationFactory(slug="main", name="Main", client_id="local.1")
    damage(made, "client_secret")
    assert client.get(reverse("admin:portals_application_changelist")).status_code == 200
    page = reverse("admin:portals_application_change", args=[made.pk])
    assert client.get(page).status_code == 200
    data = {"name": "Main", "slug": "main", "client_id": "local.1", "secret": "anew"}
    if way == "the page":
        assert client.post(page, {**data, "name": "Other", "secret": ""}).status_code == 302
        assert client.post(page, data).status_code == 302
    else:
        words = ["--name", "Main", "--client-id", "local.1", "--client-secret", "anew"]
        call_command("create_application", "main", *words, stdout=io.StringIO())
    assert Application.objects.get().client_secret == "anew"


def test_a_typed_secret_does_not_come_back_with_an_error():
    client = signed_in("integrators")
    data = {"name": "", "slug": "main", "client_id": "local.1", "secret": "typed-secret"}
    answer = client.post(reverse("admin:portals_application_add"), data)
    assert answer.status_code == 200
    assert "typed-secret" not in answer.content.decode()


@pytest.mark.parametrize("group", ["integrators", "auditors"])
def test_an_application_leads_to_its_oauth_way_in(group):
    client = signed_in(group)
    made = ApplicationFactory(slug="main")
    page = client.get(reverse("admin:portals_application_change", args=[made.pk])).content.decode()
    assert "You agree on the portal yourself" in page
    assert 'href="/b24/main/connect/"' in page
    assert client.get("/b24/main/connect/").status_code == 200


def test_an_application_needs_a_secret_at_first():
    client = signed_in("integrators")
    data = {"name": "Main", "slug": "main", "client_id": "local.1", "secret": ""}
    answer = client.post(reverse("admin:portals_application_add"), data)
    assert answer.status_code == 200
    assert not Application.objects.exists()


def test_the_slug_of_an_application_with_portals_stays():
    portal = PortalFactory(application=ApplicationFactory(slug="main"))
    change(
        signed_in("integrators"),
        portal.application,
        {"name": "n", "slug": "other", "client_id": "c", "secret": ""},
    )
    assert portal.application.slug == "main"


def test_a_zone_or_format_set_by_a_person_is_no_guess_any_more():
    client = signed_in("integrators")
    portal = PortalFactory(time_zone_source="server", date_format_source="language")
    change(client, portal, form_of(portal, note="Asked Ann"))
    assert (portal.note, portal.time_zone_source, portal.date_format_source) == (
        "Asked Ann",
        "server",
        "language",
    )
    group = PortalGroup.objects.create(name="canary")
    change(client, portal, form_of(portal, time_zone="Asia/Almaty", groups=[group.pk]))
    assert (portal.time_zone, portal.time_zone_source) == ("Asia/Almaty", "person")
    assert portal.date_format_source == "language"
    assert list(portal.groups.all()) == [group]


@pytest.mark.contract("6.10", "6.11")
@pytest.mark.parametrize("group", ["integrators", "auditors"])
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("default", "default"),
        ("language", "guessed from the portal&#x27;s language"),
        ("learned", "learned from values"),
        ("person", "set by a person"),
    ],
)
def test_s6_the_page_says_which_date_format_and_why(group, source, words):
    portal = PortalFactory(date_format="MDY", date_format_source=source, time_zone_source="server")
    page = signed_in(group).get(reverse("admin:portals_portal_change", args=[portal.pk])).content.decode()
    assert f"MM/DD/YYYY: {words}" in page
    assert "UTC: told by the portal" in page


def test_what_is_no_field_of_the_form_is_not_written():
    portal = PortalFactory()
    stolen = {
        "client_endpoint": "https://evil/",
        "refresh_token": "x",
        "application_token": "x",
        "state": "uninstalled",
    }
    change(signed_in("superuser"), portal, form_of(portal, **stolen))
    assert portal.client_endpoint.startswith("https://p")
    assert (portal.refresh_token, portal.application_token, portal.state) == (
        "refresh",
        "application-token",
        "installed",
    )


def test_a_setting_for_robots_is_written_and_kept_unseen():
    client = signed_in("integrators")
    portal = PortalFactory()
    new = {
        "settings-TOTAL_FORMS": 1,
        "settings-INITIAL_FORMS": 0,
        "settings-0-portal": portal.pk,
        "settings-0-name": "erp_key",
        "settings-0-secret": " k3y ",
    }
    change(client, portal, form_of(portal) | new)
    assert PortalSetting.objects.get().value == " k3y "
    change(client, portal, form_of(portal))
    assert PortalSetting.objects.get().value == " k3y "
    assert "k3y" not in client.get(reverse("admin:portals_portal_change", args=[portal.pk])).content.decode()


def test_pause_and_resume():
    client = signed_in("operators")
    portal = PortalFactory()
    listed = reverse("admin:portals_portal_changelist")
    client.post(listed, {"action": "pause_portals", "_selected_action": [portal.pk]})
    portal.refresh_from_db()
    assert portal.paused_at is not None
    assert LogEntry.objects.filter(object_id=str(portal.pk)).count() == 1
    client.post(listed, {"action": "resume_portals", "_selected_action": [portal.pk]})
    portal.refresh_from_db()
    assert portal.paused_at is None


@pytest.mark.parametrize(
    ("fields", "tone", "said"),
    [
        ({}, "ok", "installed and working"),
        ({"state": Portal.State.UNINSTALLED, "uninstalled_at": NOW}, "off", "uninstalled"),
        ({"token_state": Portal.Token.NONE}, "bad", "no token"),
        ({"token_state": Portal.Token.LOST}, "bad", "token lost"),
        ({"token_state": Portal.Token.UNVERIFIED}, "warn", "unverified"),
        ({"token_is_admin": False}, "warn", "not an administrator"),
        ({"trouble": Portal.Trouble.PLAN_LAPSED}, "bad", "plan lapsed"),
        ({"trouble": Portal.Trouble.UNREACHABLE}, "warn", "does not answer"),
        ({"paused_at": NOW}, "warn", "paused"),
        ({"install_finished": False}, "warn", "not finished"),
        ({"has_robots": False}, "bad", "no robots"),
        ({"has_workflows": False}, "ok", "installed and working"),
        ({"refreshed_at": NOW.replace(year=2020)}, "bad", "180 days"),
    ],
)
def test_how_a_portal_stands(fields, tone, said):
    first = standing(PortalFactory.build(**fields))[0]
    assert first.tone == tone
    assert said in first.words
    assert bool(first.to_do) == (tone != "ok")


def test_every_trouble_says_what_to_do():
    for trouble in Portal.Trouble:
        first = standing(PortalFactory.build(trouble=trouble))[0]
        assert first.words == trouble.label
        assert first.to_do


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("no_token", {"token_state": Portal.Token.LOST}),
        ("no_admin", {"token_is_admin": False}),
        ("plan", {"trouble": Portal.Trouble.PLAN_LAPSED}),
        ("trouble", {"trouble": Portal.Trouble.UNREACHABLE}),
        ("paused", {"paused_at": NOW}),
        ("gone", {"state": Portal.State.UNINSTALLED}),
    ],
)
def test_the_filter_of_standings(name, fields):
    client = signed_in("auditors")
    meant = PortalFactory(**fields)
    PortalFactory()
    answer = client.get(reverse("admin:portals_portal_changelist"), {"standing": name})
    assert [row.pk for row in answer.context["cl"].result_list] == [meant.pk]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_a_saved_form_takes_back_no_renewed_token(monkeypatch):
    portal = PortalFactory()
    client = signed_in("integrators")
    tokens = oauth.Tokens(
        "access-2",
        "refresh-2",
        3600,
        portal.client_endpoint,
        portal.member_id,
        1,
        "bizproc",
        "L",
        portal.token_server,
    )

    def renewed():
        assert refresh.commit(Portal.objects.get(pk=portal.pk), tokens, "refresh")
        connection.close()

    real = PortalForm.save

    def save(self, commit=True):
        # A worker renews the token while the page's form is being saved.
        worker = threading.Thread(target=renewed)
        worker.start()
        worker.join(3)
        return real(self, commit)

    monkeypatch.setattr(PortalForm, "save", save)
    answer = client.post(
        reverse("admin:portals_portal_change", args=[portal.pk]), form_of(portal, note="Asked Ann")
    )
    assert answer.status_code == 302
    portal = Portal.objects.get(pk=portal.pk)
    assert portal.note == "Asked Ann"
    assert portal.refresh_token == "refresh-2", "the spent token is back: the next renewal loses the portal"
