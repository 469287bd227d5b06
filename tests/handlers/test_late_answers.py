"""An answer that comes late is judged by when it was asked for (contract §7); a silent token server is no silent
portal."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from handlers import delivery
from handlers.models import Invocation, Sending
from portals import oauth
from portals.clock import db_now
from portals.crypto import encrypt
from portals.errors import Passes, UnknownAnswer
from portals.models import Portal
from tests.factories import InvocationFactory
from tests.handlers.judged import Fake

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_early_404_in_a_batch_that_ran_long_is_no_end(settings: Any) -> None:
    fake = Fake(settings, instances="absent")
    row = fake.call()

    def errors(params):
        # at once: the portal ran the command at once (process not saved yet), the other 49 went on inside it
        settings.CLOCK_OFFSET_SECONDS += 40
        return {key: {"error": "404", "error_description": "Not found"} for key in params["cmd"]}

    fake.errors = errors
    assert delivery._serve(delivery._with_work(fake.portal.member_id)) == 0.0
    fake.server.stop()
    row.refresh_from_db()
    assert row.state == "ready"


def test_a_batch_that_ran_long_teaches_not_that_nobody_can_look(settings: Any) -> None:
    fake = Fake(settings, instances="unknown")
    InvocationFactory(
        portal=fake.portal,
        state="delivered",
        confirmation="look",
        confirm_at=db_now(),
        sends=1,
        sent_at=db_now(),
        called_at=db_now() - dt.timedelta(minutes=1),
        workflow_id="old",
        event_token=encrypt(b"t"),
        sending=Sending.objects.create(portal=fake.portal, started_at=db_now(), portal_time=db_now()),
        stored__result='{"values":{"a":"1"},"log":null}',
    )
    fake.call(workflow_id="fresh")

    def answers(params):
        settings.CLOCK_OFFSET_SECONDS += 40
        # neither is listed: the old one went on, the fresh one is not saved yet
        return {key: ([] if "instances" in command else True) for key, command in params["cmd"].items()}

    fake.answers = answers
    assert delivery._serve(delivery._with_work(fake.portal.member_id)) == 0.0
    fake.server.stop()
    fake.portal.refresh_from_db()
    assert fake.portal.instances == "unknown"


def test_a_silent_token_server_is_no_silent_portal(settings: Any) -> None:
    fake = Fake(settings, instances="absent", access_expires_at=db_now() - dt.timedelta(minutes=1))
    row = fake.call()
    for _ in range(3):
        fake.deliver()
        settings.CLOCK_OFFSET_SECONDS += 60
    fake.portal.refresh_from_db()
    row.refresh_from_db()
    assert all("/oauth/" in each for each in fake.asked), "nothing was sent to the portal"
    told = (row.sends, row.confirmation, fake.portal.trouble)
    # the process is ended meanwhile: the portal (at once) says 404 to the very first request it sees
    fake.token = (
        200,
        {
            "access_token": "new",
            "refresh_token": "r2",
            "member_id": fake.portal.member_id,
            "expires_in": 3600,
            "client_endpoint": fake.portal.client_endpoint,
            "scope": "bizproc",
        },
        {},
    )
    fake.errors = lambda params: {key: {"error": "404"} for key in params["cmd"]}
    Portal.objects.update(trouble="", ask_again_at=None)
    Invocation.objects.update(due_at=db_now())
    fake.deliver()
    fake.server.stop()
    row.refresh_from_db()
    assert told == (0, "", "")
    assert (row.state, row.cause) == ("refused", "process_gone")


@pytest.mark.parametrize(
    "error",
    [
        Passes("unreachable", "No connection within the time allowed."),
        UnknownAnswer("timeout", "No answer within the time allowed."),
    ],
    ids=["black hole: 5 s each", "silent: 15 s each"],
)
def test_a_token_server_that_is_away_is_asked_twice_a_minute(settings: Any, monkeypatch, error) -> None:
    fake = Fake(settings, instances="absent", access_expires_at=db_now() - dt.timedelta(minutes=1))
    fake.call()
    asked = []

    def away(*args, **more):
        asked.append(1)
        raise error

    monkeypatch.setattr(oauth, "_token", away)
    for _ in range(120):
        fake.deliver()
        settings.CLOCK_OFFSET_SECONDS += 5
    fake.server.stop()
    fake.portal.refresh_from_db()
    assert 15 <= len(asked) <= 21
