"""A process of the hub's own code on one database, that does what it is told on standard input.

`python -m tests.bench.inside` with a hub's environment; a line `cycle ROWS` takes ROWS calls in and lets them go
their whole way (the portal's answers are made up on the spot, nothing is sent), `sweep TIMES` sweeps. The answer is
a line of JSON: step -> [milliseconds, …].
"""

from __future__ import annotations

import io
import json
import os
import secrets
import sys
import time
from collections.abc import Callable
from typing import Any

import django

from tests.bench.load import form
from tests.bench.pair import MEMBER, TOKEN

Times = dict[str, list[float]]
PAGE = 50


def main() -> int:
    os.environ["DJANGO_SETTINGS_MODULE"] = "b24app.settings"
    django.setup()
    # Nobody listens, and what a thread publishes would be in the figures.
    from handlers import due, intake

    intake.wake = lambda queue: None
    due.wake_later = lambda queue, seconds: None
    print("ready", flush=True)
    steps = {"cycle": _cycle, "sweep": _sweep}
    for line in sys.stdin:
        name, number = line.split()
        times: Times = {}
        steps[name](int(number), times)
        print(json.dumps(times), flush=True)
    return 0


def _timed(times: Times, step: str, work: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    found = work()
    times.setdefault(step, []).append(round(1000 * (time.perf_counter() - began), 4))
    return found


def _cycle(rows: int, times: Times) -> None:
    from django.db import connection

    from b24app.wsgi import application
    from handlers import claims, compute, confirm, delivery
    from handlers.claims import Settlement
    from handlers.models import Invocation
    from portals.clock import db_now, now_sql
    from portals.models import Portal
    from robots.models import RobotVersion

    version = RobotVersion.objects.filter(code="discount").latest("id").pk
    body, run = form(MEMBER, TOKEN, "discount"), secrets.token_hex(8)
    for number in range(rows):
        sent = body.replace("EVENT_TOKEN", f"{run}.{number}").encode()
        _timed(times, "ack", lambda sent=sent: _call(application, sent, version))
    portal = Portal.objects.get(member_id=MEMBER)
    due = f"due_at <= {now_sql(connection.vendor)}"
    while group := _timed(times, "next group", lambda: compute._next_group((0, ""))):
        claimed = _timed(
            times,
            "claim to compute",
            lambda: claims.claim(
                f"state = 'received' AND portal_id = %s AND robot_code = %s AND {due} ORDER BY due_at, id",
                list(group),
                "computing",
                PAGE,
            ),
        )
        done = [
            Settlement(c.id, c.fence, "computing", "ready", computed=True, result='{"values":{}}')
            for c in claimed
        ]
        _timed(times, "settle", lambda done=done: claims.settle(done))
    while _timed(times, "portals with work", delivery._with_work):
        _timed(times, "what is due there", lambda: delivery._too_early(portal, True))
        claimed = _timed(
            times,
            "claim to send",
            lambda: claims.claim(
                f"state = 'ready' AND portal_id = %s AND {due} AND deadline IS NULL ORDER BY due_at, id",
                [portal.pk],
                "sending",
                PAGE,
            ),
        )
        sent_on = [
            Settlement(
                c.id,
                c.fence,
                "sending",
                "delivered",
                sent=True,
                ended=True,
                confirmation="look",
                confirm_in=3600.0,
            )
            for c in claimed
        ]
        _timed(times, "settle", lambda sent_on=sent_on: claims.settle(sent_on))
    # An hour goes by for what was sent.
    Invocation.objects.filter(portal=portal, confirm_at__isnull=False).update(confirm_at=db_now())
    portal.instances = Portal.Instances.SINGLE
    while looked := _timed(times, "looks due", lambda: confirm.due(portal, db_now())):
        confirmed = [
            Settlement(
                row.pk,
                row.fence,
                "delivered",
                "delivered",
                ended=True,
                confirmed=True,
                confirmation="confirmed",
            )
            for row in looked
        ]
        _timed(times, "confirm", lambda confirmed=confirmed: claims.settle(confirmed))


def _call(application: Any, sent: bytes, version: int) -> None:
    environment = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/b24/demo/handler/",
        "QUERY_STRING": f"v={version}",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(sent)),
        "wsgi.input": io.BytesIO(sent),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "SERVER_NAME": "bench",
        "SERVER_PORT": "80",
        "SCRIPT_NAME": "",
        "REMOTE_ADDR": "127.0.0.1",
    }
    told: list[str] = []
    answer = application(environment, lambda status, headers: told.append(status))
    b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    if not told[0].startswith("200"):
        raise RuntimeError(told[0])


def _sweep(number: int, times: Times) -> None:
    from handlers import sweeper

    for _time in range(number):
        _timed(times, "sweep", sweeper.sweep)


if __name__ == "__main__":
    sys.exit(main())
