"""Who may read the audit API; that nobody writes by it, and that no answer holds a secret."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from handlers.models import Invocation
from tests.b24app.api_rows import API, LISTS, SECRETS, addresses, rows
from tests.b24app.people import GROUPS, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def made():
    return rows()


def whole(answer):
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def test_who_is_not_known_is_told_to_say_who_he_is(client, made):
    for path in addresses(made):
        answer = client.get(path)
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer realm="api"'), path
        assert "results" not in answer.json()


@pytest.mark.parametrize("group", [*GROUPS, "superuser"])
def test_every_group_reads_everything(made, group):
    client = signed_in(group)
    for path in addresses(made):
        for method in (client.get, client.head, client.options):
            assert method(path).status_code == 200, path


def test_who_has_no_permission_reads_the_list_of_resources_alone(made):
    client = signed_in("stranger")
    assert client.get(API).status_code == 200
    for path in addresses(made)[1:]:
        assert client.get(path).status_code == 403, path


def test_each_resource_asks_for_its_own_models_permission(made):
    client = signed_in("stranger")
    user = User.objects.get(username="of-stranger")
    user.user_permissions.add(Permission.objects.get(codename="view_sending"))
    allowed = [name for name in LISTS if client.get(f"{API}{name}/").status_code == 200]
    assert allowed == ["sendings"]


@pytest.mark.parametrize("who", ["anonymous", "auditors", "superuser"])
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_is_written_whoever_asks(made, who, method):
    client = Client() if who == "anonymous" else signed_in(who)
    client.handler.enforce_csrf_checks = True
    for path in [*addresses(made), "/api/schema/"]:
        answer = getattr(client, method)(path, {"state": "delivered"}, content_type="application/json")
        assert answer.status_code == 405, path
    assert Invocation.objects.get().state == "failed"


def test_no_answer_holds_a_secret(made):
    client = signed_in("superuser")
    Group.objects.all()
    for path in [*addresses(made), "/api/schema/", "/api/docs/"]:
        with CaptureQueriesContext(connection) as queries:
            text = whole(client.get(path)).decode()
        assert [secret for secret in SECRETS.values() if secret in text] == [], path
        assert "SECRET" not in text
        # Not even read, so that nothing that is added later can show them.
        asked = " ".join(each["sql"] for each in queries)
        assert [name for name in SECRETS if f'."{name}"' in asked] == [], path


def test_answers_are_kept_by_nobody_between(made):
    client = signed_in("auditors")
    for path in addresses(made):
        assert "no-store" in client.get(path)["Cache-Control"], path


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("key", ["999", "x", "99999999999999999999", "-1", "1.5"])
def test_what_is_not_there_is_404(made, name, key):
    assert signed_in("auditors").get(f"{API}{name}/{key}/").status_code == 404
