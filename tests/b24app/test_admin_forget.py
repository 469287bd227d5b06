"""Deeds on a portal's own page, forgetting one that is gone, and the portals of one account beside each other."""

from __future__ import annotations

import pytest
from django.urls import reverse

from handlers.models import Invocation
from portals.models import Portal, PortalGroup, PortalSetting
from robots.models import Registration
from tests.b24app.people import signed_in
from tests.factories import NOW, InvocationFactory, PortalFactory, RegistrationFactory

pytestmark = pytest.mark.django_db
LIST = "/admin/portals/portal/"


def act(client, portal, name, **more):
    data = {"action": name, "_selected_action": [portal.pk], **more}
    return client.post(LIST, data, follow=True)


def gone(**fields):
    return PortalFactory(state=Portal.State.UNINSTALLED, uninstalled_at=NOW, **fields)


def test_a_portal_that_is_gone_is_forgotten_after_a_confirmation_and_its_calls_stay():
    client = signed_in("operators")
    portal = gone(note="who to ask")
    portal.groups.add(PortalGroup.objects.create(name="canary"))
    PortalSetting.objects.create(portal=portal, name="key", value="secret")
    registration = RegistrationFactory(portal=portal)
    call = InvocationFactory(portal=portal)
    asked = act(client, portal, "forget_portals")
    assert "the log stays whole" in asked.content.decode()
    portal.refresh_from_db()
    assert portal.forgotten_at is None
    act(client, portal, "forget_portals", confirmed="1")
    portal.refresh_from_db()
    assert portal.forgotten_at is not None
    assert (portal.access_token, portal.refresh_token, portal.application_token) == ("", "", "")
    assert (portal.token_state, portal.note) == (Portal.Token.NONE, "")
    assert not portal.groups.exists() and not PortalSetting.objects.exists()
    assert not Registration.objects.filter(pk=registration.pk).exists()
    assert Invocation.objects.get() == call
    assert portal.domain not in client.get(LIST).content.decode().partition('id="changelist-filter"')[0]
    assert portal.domain in client.get(LIST, {"standing": "forgotten"}).content.decode()
    page = client.get(reverse("admin:handlers_invocation_change", args=[call.pk]))
    assert page.status_code == 200


def test_one_in_use_is_not_forgotten_but_a_deleted_account_is():
    client = signed_in("operators")
    used = PortalFactory()
    dead = PortalFactory(trouble=Portal.Trouble.PORTAL_GONE)
    assert "can be forgotten" in act(client, used, "forget_portals", confirmed="1").content.decode()
    used.refresh_from_db()
    assert used.forgotten_at is None and used.access_token == "access"
    act(client, dead, "forget_portals", confirmed="1")
    former = dead.installation
    dead.refresh_from_db()
    assert dead.state == Portal.State.UNINSTALLED and dead.installation > former, "no cached yes is believed"


def test_a_forgotten_portal_that_is_installed_again_is_listed_again():
    client = signed_in("operators")
    portal = gone(forgotten_at=NOW)
    listed = lambda: portal.domain in client.get(LIST).content.decode()  # noqa: E731  (asked three times below)
    assert not listed()
    Portal.objects.update(state=Portal.State.INSTALLED, uninstalled_at=None)
    assert listed()


def test_auditors_forget_nothing():
    portal = gone()
    act(signed_in("auditors"), portal, "forget_portals", confirmed="1")
    portal.refresh_from_db()
    assert portal.forgotten_at is None


def test_the_portals_page_offers_what_makes_sense_and_leads_back():
    client = signed_in("operators")
    portal = PortalFactory()
    url = reverse("admin:portals_portal_change", args=[portal.pk])
    names = [name for name, *_words in client.get(url).context["deeds"]]
    assert names == ["check_portals", "push_portals", "pause_portals"]
    answer = act(client, portal, "pause_portals", from_page=portal.pk)
    assert answer.redirect_chain == [(url, 302)]
    assert "resume_portals" in [name for name, *_words in answer.context["deeds"]]
    assert [name for name, *_w in client.get(url).context["deeds"]][-1] == "resume_portals"
    uninstalled = gone()
    page = client.get(reverse("admin:portals_portal_change", args=[uninstalled.pk]))
    assert [name for name, *_words in page.context["deeds"]] == ["forget_portals"]
    assert signed_in("auditors").get(url).context["deeds"] == []


def test_the_portals_of_one_account_stand_beside_each_other():
    client = signed_in("auditors")
    portal = PortalFactory(application__name="First application")
    other = PortalFactory(member_id=portal.member_id, application__name="Second application")
    stranger = PortalFactory(application__name="Third application")
    text = client.get(reverse("admin:portals_portal_change", args=[portal.pk])).content.decode()
    assert "Applications of this account" in text
    assert "Second application" in text and reverse("admin:portals_portal_change", args=[other.pk]) in text
    assert "Third application" not in text
    alone = client.get(reverse("admin:portals_portal_change", args=[stranger.pk])).content.decode()
    assert "Applications of this account" not in alone
