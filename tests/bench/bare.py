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
from typing import Any
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

_CAME, _BECOMES = "handlers_receivedcall", "handlers_invocation"
_COLUMNS = (
    "portal_id, token_hash, run, robot_code, version_id, workflow_id, document_id, document_type, waits, state, "
    "cause, due_at, deadline, called_at, received_at, owner, fence, tries, sends, repeats, confirmation, "
    "seen_listed, revision, event_token, call"
)
_INSERT = (
    f"INSERT INTO bare_call ({_COLUMNS}) VALUES (%s, %s, 1, %s, %s, %s, %s, %s, %s, 'received', '', %s, NULL, %s, %s,"
    " '', 0, 0, 0, 0, '', %s, '', %s, %s)"
)


def make_table() -> None:
    """`bare_call`: the hub's two tables of a call in one, with all their columns, keys, checks and indexes."""
    with connection.cursor() as cursor:
        (_make_postgresql if connection.vendor == "postgresql" else _make_sqlite)(cursor)


def _make_postgresql(cursor: Any) -> None:
    cursor.execute(f"CREATE TABLE bare_call (LIKE {_CAME} INCLUDING ALL)")
    cursor.execute(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute a"
        f" WHERE attrelid = '{_BECOMES}'::regclass AND attnum > 0 AND NOT attisdropped AND NOT EXISTS"
        f" (SELECT 1 FROM pg_attribute WHERE attrelid = '{_CAME}'::regclass AND attname = a.attname)"
    )
    for name, kind, required in cursor.fetchall():
        cursor.execute(f"ALTER TABLE bare_call ADD {name} {kind}{' NOT NULL' if required else ''}")
    cursor.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        f" WHERE conrelid = '{_CAME}'::regclass AND contype = 'f'"
        f" OR conrelid = '{_BECOMES}'::regclass AND contype = 'c'"
    )
    for (rule,) in cursor.fetchall():
        cursor.execute(f"ALTER TABLE bare_call ADD {rule}")
    cursor.execute(
        f"SELECT indexname, indexdef FROM pg_indexes WHERE tablename = '{_BECOMES}' AND indexdef NOT LIKE '%UNIQUE%'"
    )
    for name, made in cursor.fetchall():
        cursor.execute(made.replace(name, f"bare_{name}").replace(f".{_BECOMES} ", ".bare_call "))


def _make_sqlite(cursor: Any) -> None:
    cursor.execute(f"SELECT name, sql FROM sqlite_master WHERE name IN ('{_CAME}', '{_BECOMES}')")
    tables = dict(cursor.fetchall())
    cursor.execute(f"SELECT name FROM pragma_table_info('{_CAME}')")
    there = {name for (name,) in cursor.fetchall()}
    cursor.execute(f"SELECT name, type, \"notnull\" FROM pragma_table_info('{_BECOMES}')")
    more = [
        f'"{name}" {kind}{" NOT NULL" if required else ""}'
        for name, kind, required in cursor.fetchall()
        if name not in there
    ]
    # A table's rules stand after its columns.
    columns, rules = tables[_CAME].replace(f'"{_CAME}"', '"bare_call"').split(", CONSTRAINT", 1)
    _columns, checks = tables[_BECOMES].split(", CONSTRAINT", 1)
    cursor.execute(", ".join([columns, *more, f"CONSTRAINT{rules.removesuffix(')')}", f"CONSTRAINT{checks}"]))
    cursor.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        f" AND tbl_name IN ('{_CAME}', '{_BECOMES}')"
    )
    for name, sql in cursor.fetchall():
        made = sql.replace(f'"{name}"', f'"bare_{name}"')
        cursor.execute(
            made.replace(f'ON "{_CAME}"', 'ON "bare_call"').replace(f'ON "{_BECOMES}"', 'ON "bare_call"')
        )


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
