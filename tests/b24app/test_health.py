"""`/healthz`, `/readyz`, `/metrics`: what each says, and to whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from b24app import probe
from handlers.models import Invocation, State
from portals.clock import db_now
from portals.models import Application, Portal

LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8000"}
STRANGER = {"REMOTE_ADDR": "203.0.113.7", "HTTP_HOST": "127.0.0.1:8000"}


@pytest.fixture(autouse=True)
def fresh_probes(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Iterator[None]:
    """Answers of an earlier test are forgotten; the broker is not this module's to reach."""
    monkeypatch.setattr(probe, "database", probe.Probe(probe._ask_database, 3.0))
    monkeypatch.setattr(probe, "broker", probe.Probe(lambda: None, 3.0))
    yield


def call(portal: Portal, state: str, seconds_due: float) -> Invocation:
    import datetime as dt

    now = db_now()
    return Invocation.objects.create(
        portal=portal,
        lane_portal=portal,
        lane_robot="r",
        event_token=b"token",
        token_hash=f"{state}{seconds_due}".encode(),
        robot_code="r",
        waits=True,
        state=state,
        due_at=now - dt.timedelta(seconds=seconds_due),
        called_at=now,
        received_at=now,
    )


@pytest.fixture
def portal(transactional_db: None) -> Portal:
    application = Application.objects.create(slug="main", name="Main", client_id="c", client_secret="s")
    return Portal.objects.create(application=application, member_id="a" * 32)


def test_healthz_asks_no_database(client: Client) -> None:
    # No `db` fixture: pytest-django fails the test at the first query.
    answer = client.get("/healthz", **STRANGER)
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert "no-store" in answer["Cache-Control"]


def test_readyz_tells_strangers_a_status_and_nothing_more(client: Client, portal: Portal) -> None:
    answer = client.get("/readyz", **STRANGER)
    assert (answer.status_code, answer.content) == (200, b"ready\n")


def test_readyz_tells_operators_the_queue(client: Client, portal: Portal) -> None:
    call(portal, State.READY, 30)
    call(portal, State.DELIVERED, 900)
    told = client.get("/readyz", **LOCAL).json()
    assert told["status"] == "ready"
    assert told["database"] == told["broker"] == "ok"
    assert told["queue"]["due"] == 1
    assert 30 <= told["queue"]["oldest_seconds"] < 300


def test_a_queue_that_nobody_works_on_is_degraded_but_ready(client: Client, portal: Portal) -> None:
    call(portal, State.RECEIVED, 3600)
    answer = client.get("/readyz", **LOCAL)
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"


def test_what_waits_rightly_is_no_late_queue(client: Client, portal: Portal) -> None:
    call(portal, State.READY, 3600)
    Portal.objects.update(trouble=Portal.Trouble.PLAN_LAPSED)
    assert client.get("/readyz", **LOCAL).json()["queue"]["due"] == 0


def test_readyz_is_503_without_a_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OSError("postgres://user:secret@host")

    monkeypatch.setattr(probe, "database", probe.Probe(away, 3.0))
    assert client.get("/readyz", **STRANGER).status_code == 503
    answer = client.get("/readyz", **LOCAL)
    assert answer.status_code == 503
    assert answer.json()["database"] == "away (OSError)"
    assert b"secret" not in answer.content


def test_a_broker_away_leaves_it_ready(
    client: Client, portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(probe, "broker", probe.Probe(away, 3.0))
    answer = client.get("/readyz", **LOCAL)
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["broker"]) == ("degraded", "away (ConnectionRefusedError)")


def test_a_probe_that_hangs_is_given_up_and_not_asked_twice() -> None:
    release, asked = threading.Event(), []

    def hang() -> None:
        asked.append(1)
        release.wait()

    hung = probe.Probe(hang, patience=0.01)
    assert hung.ask() == hung.ask() == probe.NO_ANSWER
    assert len(asked) == 1
    release.set()


def test_many_questions_are_one_query() -> None:
    asked: list[int] = []
    quick = probe.Probe(lambda: asked.append(1), patience=3.0)
    assert {quick.ask() for _ in range(20)} == {"ok"}
    assert len(asked) == 1


def test_metrics_hold_every_figure(client: Client, portal: Portal) -> None:
    call(portal, State.READY, 30)
    call(portal, State.FAILED, 30)
    answer = client.get("/metrics", **LOCAL)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    lines = answer.content.decode().splitlines()
    assert 'b24_calls_open{state="ready"} 1.0' in lines
    assert 'b24_calls_hour{cause="",state="failed"} 1.0' in lines
    assert 'b24_portals{state="installed",token="none",trouble=""} 1.0' in lines
    assert "b24_database_up 1.0" in lines
    assert "b24_queue_due 1.0" in lines


def test_metrics_without_a_database_still_tell_that(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OSError

    monkeypatch.setattr(probe, "database", probe.Probe(away, 3.0))
    answer = client.get("/metrics", **LOCAL)
    assert answer.status_code == 200
    assert "b24_database_up 0.0" in answer.content.decode()


def test_metrics_cost_the_same_however_many_portals(
    portal: Portal, django_assert_num_queries: object
) -> None:
    from django.test.utils import CaptureQueriesContext

    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert Client().get("/metrics", **LOCAL).status_code == 200
        return len(caught)

    before = queries()
    for number in range(20):
        Portal.objects.create(application=portal.application, member_id=f"b{number}")
    assert queries() == before


@pytest.mark.parametrize(
    "asked",
    [
        STRANGER,
        LOCAL | {"HTTP_X_FORWARDED_FOR": "203.0.113.7"},
        LOCAL | {"HTTP_HOST": "hub.example.com"},
        LOCAL | {"HTTP_AUTHORIZATION": "Bearer wrong"},
        LOCAL | {"REMOTE_ADDR": ""},
    ],
    ids=["far away", "forwarded", "asked by the public name", "far, wrong token", "no address"],
)
def test_details_are_not_for_strangers(
    client: Client, settings: object, portal: Portal, asked: dict[str, str]
) -> None:
    settings.ALLOWED_HOSTS = ["*"]  # type: ignore[attr-defined]  # pytest-django's wrapper
    settings.METRICS_TOKEN = "right"  # type: ignore[attr-defined]  # the same
    if "HTTP_AUTHORIZATION" in asked:
        asked = asked | {"REMOTE_ADDR": "203.0.113.7"}
    assert client.get("/metrics", **asked).status_code == 403
    assert client.get("/readyz", **asked).content == b"ready\n"


def test_a_proxy_on_this_machine_is_nobody(client: Client, settings: object) -> None:
    settings.TRUSTED_PROXY = ["127.0.0.0/8"]  # type: ignore[attr-defined]  # pytest-django's wrapper
    assert client.get("/metrics", **LOCAL).status_code == 403


def test_a_bearer_of_the_token_and_staff_may(client: Client, settings: object, portal: Portal) -> None:
    settings.METRICS_TOKEN = "right"  # type: ignore[attr-defined]  # pytest-django's wrapper
    assert client.get("/metrics", HTTP_AUTHORIZATION="Bearer right", **STRANGER).status_code == 200
    person = User.objects.create_user("p", password="p")
    client.force_login(person)
    assert client.get("/metrics", **STRANGER).status_code == 403
    User.objects.update(is_staff=True)
    assert client.get("/metrics", **STRANGER).status_code == 200


def test_an_empty_token_opens_nothing(client: Client, settings: object) -> None:
    settings.METRICS_TOKEN = ""  # type: ignore[attr-defined]  # pytest-django's wrapper
    assert client.get("/metrics", HTTP_AUTHORIZATION="Bearer ", **STRANGER).status_code == 403
