"""What the hub is measured against: a bare Django view with one INSERT of the same form, and nothing else.

`gunicorn tests.bench.bare:application` with DATABASE_URL; `make_table()` before.
"""

from __future__ import annotations

import hashlib
import json
import os
import time

import dj_database_url
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

INSERT = "INSERT INTO bare_call (token, code, workflow, received, body) VALUES (%s, %s, %s, %s, %s)"


def make_table() -> None:
    """The same in both databases: a key, a unique hash of the token, the body."""
    key = "bigserial" if connection.vendor == "postgresql" else "integer"
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS bare_call (id {key} PRIMARY KEY, token varchar(64) UNIQUE, "
            "code varchar(128), workflow varchar(128), received double precision, body text)"
        )


@csrf_exempt
def call(request: HttpRequest) -> HttpResponse:
    form = request.POST
    token = hashlib.sha256(form["event_token"].encode()).hexdigest()
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT, [token, form["code"], form["workflow_id"], time.time(), json.dumps(dict(form.lists()))]
        )
    return HttpResponse()


urlpatterns = [path("call/", call)]
application = get_wsgi_application()
