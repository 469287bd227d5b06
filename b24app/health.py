"""`/healthz`, `/readyz`: is this process alive, can this hub work."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from b24app import figures, probe
from b24app.access import is_operator

# Longer than a burst takes in good health; what is older than this, workers or beat have left lying.
LATE_SECONDS = 120


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Alive: asks nobody, so that a database that is away makes nobody restart what still takes calls in."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 or 503 for everybody, by the database alone; for operators what else is not as it should be.

    Without a broker calls are taken in and computed by the next sweep; without a database they go to the
    spool: taken in, not worked on, so no place to send a person to.
    """
    database = probe.database.ask()
    ready = database == probe.OK
    status = 200 if ready else 503
    if not is_operator(request):
        return HttpResponse("ready\n" if ready else "not ready\n", status=status, content_type="text/plain")
    return JsonResponse(_details(database), status=status)


def _details(database: str) -> dict[str, Any]:
    """{"status": ready | degraded | not ready, "database", "broker", "queue": {…}, "spool": {…}}"""
    broker = probe.broker.ask()
    spool = figures.spool()
    told: dict[str, Any] = {
        "status": "not ready",
        "database": database,
        "broker": broker,
        "queue": None,
        "spool": {
            "calls": spool.calls,
            "set_aside": spool.bad,
            "broken": spool.broken,
            "bytes": spool.bytes,
            "max_bytes": settings.SPOOL_MAX_MB * 1024 * 1024,
        },
    }
    if database != probe.OK:
        return told
    try:
        queue = figures.queue()
    except DatabaseError as error:
        return told | {"database": f"away ({type(error).__name__})"}
    well = (
        broker == probe.OK
        and queue.oldest_seconds < LATE_SECONDS
        and not queue.late
        and not queue.unseen
        and spool.part < 0.5
        and not spool.bad
        and not spool.broken
        and not queue.sweeps_fail
    )
    return told | {
        "status": "ready" if well else "degraded",
        "queue": {
            "due": queue.due,
            "oldest_seconds": round(queue.oldest_seconds, 1),
            "late": queue.late,
            "unseen": queue.unseen,
        },
    }
