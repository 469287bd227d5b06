"""create_application and rotate_encryption_keys, with the exit codes of design §3."""

from __future__ import annotations

import io

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from portals import crypto
from portals.models import Application, Portal
from tests.factories import PortalFactory

pytestmark = pytest.mark.django_db(transaction=True)


def create(*words, **more):
    out = io.StringIO()
    call_command("create_application", *words, stdout=out, **more)
    return out.getvalue()


def test_it_creates_and_says_what_to_enter(settings):
    told = create("main", "--name", "Main", "--client-id", "local.1", "--client-secret", "s3cret-s3cret")
    application = Application.objects.get()
    assert (application.slug, application.client_id, application.client_secret) == (
        "main",
        "local.1",
        "s3cret-s3cret",
    )
    for page in ("", "install/", "oauth/"):
        assert f"{settings.PUBLIC_URL}/b24/main/{page}\n" in told + "\n"
    assert "s3cret" not in told
    assert application.history.count() == 1


def test_the_secret_comes_from_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("from-stdin-secret\n"))
    create("main", "--name", "Main", "--client-id", "local.1")
    assert Application.objects.get().client_secret == "from-stdin-secret"


def test_a_second_run_changes_or_leaves():
    words = ("main", "--name", "Main", "--client-id", "local.1", "--client-secret", "s3cret-s3cret")
    create(*words)
    assert "already so" in create(*words)
    assert "changed" in create(*words[:-1], "another-secret")
    assert Application.objects.get().client_secret == "another-secret"


@pytest.mark.parametrize(
    "words",
    [
        ("ma in", "--name", "Main", "--client-id", "x", "--client-secret", "y"),
        ("main", "--name", " ", "--client-id", "x", "--client-secret", "y"),
        ("main", "--name", "Main", "--client-id", "", "--client-secret", "y"),
    ],
)
def test_used_wrongly_is_2(words):
    with pytest.raises(CommandError) as raised:
        create(*words)
    assert raised.value.returncode == 2
    assert not Application.objects.exists()


def test_keys_are_rotated_and_the_old_one_may_go(settings):
    old = settings.ENCRYPTION_KEYS[0]
    portal = PortalFactory(former_application_token="former-one")
    new = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, old]
    assert Portal.objects.get().access_token == "access"
    out = io.StringIO()
    call_command("rotate_encryption_keys", stdout=out)
    assert "portals.Portal.access_token: 1 changed, 0 unreadable" in out.getvalue()
    again = io.StringIO()
    call_command("rotate_encryption_keys", stdout=again)
    assert "1 changed" not in again.getvalue()
    settings.ENCRYPTION_KEYS = [new]
    fresh = Portal.objects.select_related("application").get(pk=portal.pk)
    assert (fresh.access_token, fresh.refresh_token, fresh.former_application_token) == (
        "access",
        "refresh",
        "former-one",
    )
    assert fresh.application.client_secret == "client-secret"


def test_a_secret_no_key_opens_is_1_and_the_rest_is_done(settings):
    old = settings.ENCRYPTION_KEYS[0]
    lost, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    good = PortalFactory()
    settings.ENCRYPTION_KEYS = [lost]
    bad = PortalFactory(application=ApplicationOf(good), member_id="b" * 32)
    settings.ENCRYPTION_KEYS = [new, old]
    with pytest.raises(SystemExit) as raised:
        call_command("rotate_encryption_keys", stdout=io.StringIO(), stderr=io.StringIO())
    assert raised.value.code == 1
    settings.ENCRYPTION_KEYS = [new]
    assert Portal.objects.get(pk=good.pk).access_token == "access"
    with pytest.raises(crypto.SecretUnreadable):
        Portal.objects.get(pk=bad.pk).access_token  # noqa: B018  (reading it is what is tried)


def ApplicationOf(portal):
    return Application(pk=portal.application_id, slug=portal.application.slug)


def test_every_encrypted_column_is_known_to_the_command():
    from portals.management.commands.rotate_encryption_keys import encrypted

    found = {f"{model._meta.label}.{column}" for model, column in encrypted()}
    assert {
        "portals.Application.client_secret",
        "portals.Portal.access_token",
        "portals.Portal.refresh_token",
        "portals.Portal.application_token",
        "portals.Portal.former_application_token",
        "portals.PendingInstallation.claim",
        "portals.PortalSetting.value",
    } <= found
