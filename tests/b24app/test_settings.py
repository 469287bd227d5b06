"""Each setting is checked and named when it is wrong; one sentence, no traceback (design §3)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.system.processes import ROOT

GOOD = {
    "SECRET_KEY": "a-secret-key-of-the-tests-0123456789-0123456789-0123456789",
    "ENCRYPTION_KEYS": "a-passphrase-of-the-tests-0123456789",
    "PUBLIC_URL": "https://hub.example.com",
    "DATABASE_URL": "sqlite:///var/test-settings.sqlite3",
}


def start(*command: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    wanted = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return subprocess.run(
        [sys.executable, *(command or ("manage.py", "check"))],
        cwd=ROOT,
        env={**inherited, **wanted},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_good_settings_pass() -> None:
    done = start()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", None),
        ("ENCRYPTION_KEYS", None),
        ("ENCRYPTION_KEYS", "short"),
        ("PUBLIC_URL", None),
        ("PUBLIC_URL", "hub.example.com"),
        ("DEBUG", "perhaps"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "mysql://root@localhost/x"),
        ("CELERY_BROKER_URL", "nonsense"),
        ("CELERY_BROKER_URL", "kafka://localhost"),
        ("TIME_ZONE", "Nowhere"),
        ("ROBOT_APPS", "no_such_app"),
        ("WORKER_CONCURRENCY", "many"),
        ("SPOOL_MAX_MB", "-1"),
        ("B24_OAUTH_URLS", "http://oauth.example.com"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(name: str, value: str | None) -> None:
    done = start(**{name: value})
    assert done.returncode == 1
    assert name in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_empty_value_is_not_set() -> None:
    assert start(DEBUG="", WORKER_CONCURRENCY="").returncode == 0


def test_a_secret_may_come_as_a_file(tmp_path: object) -> None:
    file = os.path.join(str(tmp_path), "key")
    with open(file, "w") as target:
        target.write(GOOD["SECRET_KEY"])
    assert start(SECRET_KEY=None, SECRET_KEY_FILE=file).returncode == 0


def test_too_few_children_are_a_numbered_check() -> None:
    done = start(WORKER_CONCURRENCY="2")
    assert done.returncode == 1 and "b24.E001" in done.stderr


def test_a_worker_says_the_same() -> None:
    done = start("-m", "celery", "-A", "b24app", "report", SECRET_KEY=None)
    assert done.returncode != 0
    assert "SECRET_KEY is not set" in done.stdout + done.stderr


def test_a_runner_reads_no_secret_wherever_it_comes_from() -> None:
    """As a `.env` would bring them back that the parent had taken out; and it needs none to start."""
    script = (
        "import django, os; django.setup(); from django.conf import settings;"
        "print([n for n in settings.RUNNER_WITHOUT if n in os.environ or n + '_FILE' in os.environ]);"
        "print('very-secret' in repr([getattr(settings, n) for n in dir(settings) if n.isupper()]))"
    )
    secret = {
        "SECRET_KEY": "very-secret" * 5,
        "ENCRYPTION_KEYS": "very-secret" * 5,
        "METRICS_TOKEN": "very-secret",
        "EMAIL_URL": "smtp://hub:very-secret@mail.example.com:587",
        "ALARM_EMAILS": "ops@example.com",
        "ALARM_WEBHOOK_URL": "https://chat.example.com/very-secret",
        "CELERY_BROKER_URL": "redis://:very-secret@redis.example.com:6379/0",
    }
    runs_in = {"B24_RUNNER": "1", "DJANGO_SETTINGS_MODULE": "b24app.settings"}
    done = start("-c", script, **secret, **runs_in)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["[]", "False"]
