"""What the hub is measured against: bare Django views without middleware, written as one would write them.

`/empty/` reads the form and answers; `/insert/` writes the row that the hub writes, by one INSERT into a table
with the same columns, keys, checks and indexes (the body in the same row); `/publish/` does that and publishes
one Celery message. `gunicorn tests.bench.bare:application` with DATABASE_URL of a migrated hub; `make_table()`
before.
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from celery import Celery
from django.conf import settings
from django.http import HttpRequest, HttpResponse

if not settings.configured:
    # As the hub has it: persistent connections, durable commits, IMMEDIATE on SQLite.
    config = dict(dj_database_url.parse(os.environ.get("DATABASE_URL", "sqlite://:memory:")))
    config["CONN_MAX_AGE"] = None
    if config["ENGINE"].endswith("sqlite3"):
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
    settings.configure(
        SECRET_KEY="bare",
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": config},
        MIDDLEWARE=[],
        USE_TZ=True,
    )
    import django

    django.setup()

from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

_COLUMNS = (
    "portal_id, token_hash, run, robot_code, version_id, workflow_id, document_id, document_type, waits, state, "
    "cause, due_at, deadline, called_at, received_at, owner, fence, tries, sends, repeats, confirmation, "
    "seen_listed, revision, event_token, call, result, lines"
)
_INSERT = (
    f"INSERT INTO bare_call ({_COLUMNS}) VALUES (%s, %s, 1, %s, %s, %s, %s, %s, %s, 'received', '', %s, NULL, %s, %s,"
    " '', 0, 0, 0, 0, '', %s, '', %s, %s, '', '')"
)


def make_table() -> None:
    """`bare_call`: the hub's table of calls under another name, and the body's columns."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "CREATE TABLE bare_call (LIKE handlers_invocation INCLUDING ALL, event_token bytea NOT NULL,"
                " call text NOT NULL, result text NOT NULL, lines text NOT NULL)"
            )
            cursor.execute(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE conrelid = 'handlers_invocation'::regclass AND contype = 'f'"
            )
            for (foreign,) in cursor.fetchall():
                cursor.execute(f"ALTER TABLE bare_call ADD {foreign}")
            return
        cursor.execute("SELECT sql FROM sqlite_master WHERE name = 'handlers_invocation'")
        cursor.execute(cursor.fetchone()[0].replace('"handlers_invocation"', '"bare_call"'))
        for column in ("event_token BLOB", "call text", "result text", "lines text"):
            cursor.execute(f"ALTER TABLE bare_call ADD COLUMN {column} NOT NULL DEFAULT ''")
        cursor.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'handlers_invocation'"
            " AND sql IS NOT NULL"
        )
        for name, sql in cursor.fetchall():
            made = sql.replace(f'"{name}"', f'"bare_{name}"').replace('"handlers_invocation"', '"bare_call"')
            cursor.execute(made)


@lru_cache
def _celery() -> Celery:
    """A client of the hub's broker, with a queue of its own that nobody empties."""
    url = os.environ["CELERY_BROKER_URL"]
    made = Celery("bare", broker=url)
    made.conf.update(task_ignore_result=True, task_default_queue=os.environ["CELERY_QUEUE"])
    if url.startswith("filesystem:"):
        folder = Path(urlsplit(url).path)
        for name in ("messages", "control"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        made.conf.broker_transport_options = {
            "data_folder_in": str(folder / "messages"),
            "data_folder_out": str(folder / "messages"),
            "control_folder": str(folder / "control"),
        }
    return made


@lru_cache
def _portal_and_version() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT max(id) FROM portals_portal), (SELECT max(id) FROM robots_robotversion)"
        )
        portal, version = cursor.fetchone()
        return portal, version


def _insert(request: HttpRequest) -> None:
    form = request.POST
    token = form["event_token"]
    now = datetime.now(UTC)
    stamp = now if connection.vendor == "postgresql" else now.replace(tzinfo=None).isoformat(" ")
    portal, version = _portal_and_version()
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT,
            [
                portal,
                hashlib.sha256(token.encode()).digest(),
                form["code"],
                version,
                form["workflow_id"],
                form["document_id[2]"],
                "|".join(form[f"document_type[{place}]"] for place in range(3)),
                form["use_subscription"] == "Y",
                stamp,
                stamp,
                stamp,
                False,
                token.encode(),
                json.dumps({name: value for name, value in form.items() if not name.startswith("auth[")}),
            ],
        )


@csrf_exempt
def empty(request: HttpRequest) -> HttpResponse:
    assert request.POST
    return HttpResponse()


@csrf_exempt
def insert(request: HttpRequest) -> HttpResponse:
    _insert(request)
    return HttpResponse()


@csrf_exempt
def publish(request: HttpRequest) -> HttpResponse:
    _insert(request)
    _celery().send_task("bare.work", ["a row"], ignore_result=True)
    return HttpResponse()


urlpatterns = [path("empty/", empty), path("insert/", insert), path("publish/", publish)]
application = get_wsgi_application()
