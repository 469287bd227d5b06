"""Tokens of programs: shown once, kept as a hash, of use for reading the API and for nothing else."""

from __future__ import annotations

import datetime as dt
import hashlib
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from b24app.models import PREFIX, ApiToken
from tests.b24app.api_rows import API
from tests.b24app.people import make_groups, signed_in
from tests.factories import InvocationFactory

pytestmark = pytest.mark.django_db

ADD = "/admin/b24app/apitoken/add/"
LIST = "/admin/b24app/apitoken/"


@pytest.fixture
def reader():
    """An auditor's account that nobody signs in to."""
    make_groups()
    user = User.objects.create_user("reader")
    user.groups.add(Group.objects.get(name="auditors"))
    return user


def token_of(user, **values):
    row = ApiToken(name=f"of {user} {ApiToken.objects.count()}", user=user, **values)
    token = row.make()
    row.save()
    return token, row


def answer_to(token, path=f"{API}calls/", kind="Bearer"):
    return Client().get(path, headers={"authorization": f"{kind} {token}"})


def test_a_program_reads_what_its_account_may_see(reader):
    call = InvocationFactory()
    token, _row = token_of(reader)
    assert [row["id"] for row in answer_to(token).json()["results"]] == [call.pk]
    assert answer_to(token, kind="bearer").status_code == 200
    assert answer_to(token, "/api/schema/").status_code == 200
    reader.groups.clear()
    assert answer_to(token).status_code == 403


def test_a_token_writes_nothing_and_opens_no_page(reader):
    reader.is_staff = reader.is_superuser = True
    reader.save()
    token, _row = token_of(reader)
    headers = {"authorization": f"Bearer {token}"}
    assert Client().post(f"{API}calls/", headers=headers).status_code == 405
    assert Client().get("/admin/", headers=headers).status_code == 302


def test_what_is_kept_is_a_hash(reader):
    token, row = token_of(reader)
    row.refresh_from_db()
    assert token.startswith(PREFIX) and len(token) > 40
    assert bytes(row.hash) == hashlib.sha256(token.encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM b24app_apitoken")
        stored = repr([bytes(v) if isinstance(v, memoryview) else v for v in cursor.fetchone()])
    assert token not in stored and token.removeprefix(PREFIX) not in stored
    assert token_of(reader)[0] != token


def test_wrong_expired_closed_and_deleted_tokens_are_told_the_same(reader):
    now = timezone.now()
    expired, _row = token_of(reader, expires_at=now - dt.timedelta(seconds=1))
    deleted, row = token_of(reader)
    row.delete()
    closed, _row = token_of(User.objects.create_user("gone", is_active=False))
    wrong = ["hub_x", "", expired, deleted, closed, "é", "x y"]
    answers = {(answer_to(token).status_code, answer_to(token).content) for token in wrong}
    assert len(answers) == 1
    assert answers.pop()[0] == 401
    working, _row = token_of(reader, expires_at=now + dt.timedelta(minutes=1))
    assert answer_to(working).status_code == 200


def test_another_kind_of_authorisation_is_no_token(reader):
    token, _row = token_of(reader)
    assert answer_to(token, kind="Basic").status_code == 401
    assert Client().get(f"{API}calls/?token={token}").status_code == 401


def test_a_wrong_token_is_not_helped_by_a_session():
    client = signed_in("auditors")
    assert client.get(f"{API}calls/").status_code == 200
    assert client.get(f"{API}calls/", headers={"authorization": "Bearer hub_x"}).status_code == 401


def test_the_day_of_use_is_written_once_a_day(reader):
    token, row = token_of(reader, last_used_day="2026-01-01")
    writes = []
    for _each in range(3):
        with CaptureQueriesContext(connection) as queries:
            answer_to(token)
        writes.append(len([each for each in queries if each["sql"].startswith("UPDATE")]))
    assert writes == [1, 0, 0]
    row.refresh_from_db()
    assert row.last_used_day == dt.datetime.now(dt.UTC).date()


def made_by(client, **values):
    return client.post(ADD, {"name": "collector", "expires_at_0": "", "expires_at_1": "", **values})


def test_a_token_is_shown_once(reader):
    client = signed_in("superuser")
    form = client.get(ADD).content.decode()
    assert "_save" in form
    assert not [word for word in ("_addanother", "_continue", "related-widget-wrapper-link") if word in form]
    answer = made_by(client, user=reader.pk)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    (token,) = set(re.findall(r"hub_[\w-]{43}", answer.content.decode()))
    assert token not in str(answer.cookies)
    assert "messages" not in answer.cookies
    assert answer_to(token).status_code == 200
    row = ApiToken.objects.get()
    assert row.user == reader
    for path in (LIST, f"{LIST}{row.pk}/change/", f"{LIST}{row.pk}/history/", "/admin/"):
        text = client.get(path).content.decode()
        assert "collector" in text
        assert token not in text
    assert LogEntry.objects.get().object_repr == "collector"


def test_a_token_is_never_changed_but_deleted(reader):
    client = signed_in("superuser")
    token, row = token_of(reader)
    assert client.post(f"{LIST}{row.pk}/change/", {"name": "x", "user": reader.pk}).status_code == 403
    client.post(f"{LIST}{row.pk}/delete/", {"post": "yes"})
    assert answer_to(token).status_code == 401


def test_nobody_makes_a_token_of_somebody_elses(reader):
    client = signed_in("operators")
    assert made_by(client, user=reader.pk).status_code == 403
    operator = User.objects.get(username="of-operators")
    operator.user_permissions.add(*Permission.objects.filter(content_type__model="apitoken"))
    refused = made_by(client, user=reader.pk)
    assert "user" in refused.context["adminform"].form.errors
    assert not ApiToken.objects.exists()
    assert made_by(client, user=operator.pk).status_code == 200
    token_of(reader)
    assert [row.user for row in client.get(LIST).context["cl"].result_list] == [operator]


def test_a_name_is_taken_once(reader):
    client = signed_in("superuser")
    made_by(client, user=reader.pk)
    assert "name" in made_by(client, user=reader.pk).context["adminform"].form.errors
    assert ApiToken.objects.count() == 1
