"""Alarms: found, told once a cause until it ends, on every channel, without a database too."""

from __future__ import annotations

import datetime as dt
import errno
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client

from b24app import alarm_causes, alarms, dashboard, env, figures, probe, work
from b24app.alarm import Alarm, FailingSweep, Kind
from b24app.alarm_book import DatabaseBook, FileBook
from b24app.alarm_causes import Cause
from handlers import computed, lateness, spool
from handlers.models import State
from portals.clock import db_now
from portals.models import Lease, Portal
from tests.factories import InvocationFactory, PortalFactory
from tests.handlers.calls import form

pytestmark = pytest.mark.django_db(transaction=True)


def kinds(question: Any) -> list[tuple[str, str]]:
    return [(str(cause.kind), cause.subject) for cause in question()]


def minutes_ago(minutes: float) -> dt.datetime:
    return db_now() - dt.timedelta(minutes=minutes)


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    FileBook._remembered = None


class Watch:
    """A pass with what is wrong given, at a time given."""

    def __init__(self, book: Any) -> None:
        self.book, self.causes = book, []
        self.now = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)

    def passes(self, seconds: int = 0) -> None:
        self.now += dt.timedelta(seconds=seconds)
        alarms.settle(self.book, [(lambda: iter(self.causes), {str(kind) for kind in Kind})], self.now)


@pytest.fixture(params=["database", "file"])
def watch(request: Any) -> Watch:
    return Watch(DatabaseBook() if request.param == "database" else FileBook())


@pytest.fixture
def mails(settings: Any, mailoutbox: list[Any]) -> list[Any]:
    settings.ALARM_EMAILS = ["ops@example.com"]
    return mailoutbox


TROUBLE = Cause(Kind.PORTAL_TROUBLE, "7", {"portal": "p7.bitrix24.com", "trouble": "token_lost"})


def test_a_cause_is_told_once_until_it_ends_and_its_end_once(watch: Watch, mails: list[Any]) -> None:
    watch.causes = [TROUBLE]
    for _ in range(4):
        watch.passes(10)
    (mail,) = mails
    assert mail.to == ["ops@example.com"] and mail.subject == "Alarm: a portal takes nothing"
    assert "p7.bitrix24.com: the portal's authorisation was lost" in mail.body
    watch.causes = []
    for _ in range(12):
        watch.passes(10)
    assert [mail.subject for mail in mails[1:]] == ["Over: a portal takes nothing"]
    # The same again later is another alarm.
    watch.causes = [TROUBLE]
    watch.passes(600)
    assert len(mails) == 3


def test_a_trouble_that_becomes_one_for_a_person_is_told_again(watch: Watch, mails: list[Any]) -> None:
    for trouble in ("moved", "token_lost", "token_lost", "moved"):
        watch.causes = [Cause(Kind.PORTAL_TROUBLE, "7", {**TROUBLE.params, "trouble": trouble})]
        watch.passes(10)
    assert len(mails) == 2
    assert "the portal's authorisation was lost" in mails[1].body


def test_one_that_comes_and_goes_is_one_alarm(watch: Watch, mails: list[Any]) -> None:
    for number in range(20):
        watch.causes = [TROUBLE] if number % 2 else []
        watch.passes(10)
    assert len(mails) == 1


def test_two_subjects_are_two_alarms(watch: Watch, mails: list[Any]) -> None:
    watch.causes = [TROUBLE, Cause(Kind.PORTAL_TROUBLE, "8", TROUBLE.params)]
    watch.passes()
    watch.passes(10)
    assert len(mails) == 2


def test_a_moment_of_what_has_a_grace_is_told_to_nobody(watch: Watch, mails: list[Any]) -> None:
    away = Cause(Kind.BROKER_AWAY, grace=dt.timedelta(seconds=30))
    watch.causes = [away]
    watch.passes()
    watch.causes = []
    for _ in range(10):
        watch.passes(10)
    assert mails == []
    watch.causes = [away]
    for _ in range(5):
        watch.passes(10)
    assert len(mails) == 1


def test_a_question_that_fails_ends_nothing(mails: list[Any]) -> None:
    watch = Watch(DatabaseBook())
    watch.causes = [TROUBLE]
    watch.passes()

    def fails() -> Iterator[Cause]:
        raise OperationalError("gone")

    for _ in range(30):
        watch.now += dt.timedelta(seconds=10)
        alarms.settle(watch.book, [(fails, {"portal_trouble"})], watch.now)
    assert Alarm.objects.get().ended_at is None and len(mails) == 1


class Hook:
    """A webhook's other end: `status` is what it answers."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.status == 200:
                    outer.told.append(json.loads(body))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/a-secret-path"


@pytest.fixture
def hook(settings: Any) -> Iterator[Hook]:
    made = Hook()
    settings.ALARM_WEBHOOK_URL = made.url
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_channel_that_failed_is_tried_again_and_the_others_are_not(
    watch: Watch, mails: list[Any], hook: Hook, caplog: Any
) -> None:
    hook.status = 500
    watch.causes = [TROUBLE]
    watch.passes()
    watch.passes(10)
    assert len(mails) == 1 and hook.told == []
    hook.status = 200
    watch.passes(60)
    watch.passes(60)
    (told,) = hook.told
    assert (told["state"], told["kind"], told["subject"]) == ("open", "portal_trouble", "7")
    assert told["to_do"] and told["url"] and len(mails) == 1
    assert "a-secret-path" not in caplog.text


def test_whoever_heard_of_a_trouble_hears_of_its_end_though_not_of_what_became_of_it(
    watch: Watch, mails: list[Any], hook: Hook
) -> None:
    watch.causes = [Cause(Kind.PORTAL_TROUBLE, "7", {**TROUBLE.params, "trouble": "moved"})]
    watch.passes()
    hook.status = 500
    watch.causes = [TROUBLE]
    watch.passes(10)
    watch.causes = []
    for _ in range(6):
        watch.passes(30)
    hook.status = 200
    for _ in range(4):
        watch.passes(60)
    assert [told["state"] for told in hook.told] == ["open", "ended"]
    assert [mail.subject.split(":")[0] for mail in mails] == ["Alarm", "Alarm", "Over"]


def test_what_becomes_another_is_in_the_log_again(watch: Watch, caplog: Any) -> None:
    for trouble in ("moved", "token_lost", "token_lost"):
        watch.causes = [Cause(Kind.PORTAL_TROUBLE, "7", {**TROUBLE.params, "trouble": trouble})]
        watch.passes(10)
    watch.causes = []
    for _ in range(4):
        watch.passes(60)
    assert len([record for record in caplog.records if "alarm" in record.getMessage()]) == 3


def test_without_a_channel_it_is_in_the_log_once(watch: Watch, capsys: Any, caplog: Any) -> None:
    watch.causes = [TROUBLE]
    for _ in range(3):
        watch.passes(10)
    logged = [record for record in caplog.records if "alarm" in record.getMessage()]
    assert len(logged) == 1


def test_calls_and_results_that_nobody_works_on() -> None:
    well, troubled = PortalFactory(), PortalFactory(trouble="plan_lapsed")
    for portal in (well, troubled):
        for state, due in ((State.RECEIVED, 6), (State.READY, 6), (State.READY, -6)):
            InvocationFactory(
                portal=portal, state=state, due_at=minutes_ago(due), received_at=minutes_ago(max(due, 0))
            )
    (late,) = alarm_causes.calls_late()
    assert (late.kind, late.params) == ("calls_late", {"calls": 1, "minutes": 6})
    assert [cause.params["calls"] for cause in alarm_causes.results_late()] == [1]


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("received", "calls_late"),
        ("computing", "calls_late"),
        ("ready", "results_late"),
        ("sending", "results_late"),
    ],
)
def test_a_call_that_each_try_makes_due_anew_is_late_by_its_age(
    state: str, kind: str, client: Client
) -> None:
    portal = PortalFactory()
    hours = {"received_at": minutes_ago(180), "due_at": minutes_ago(-1)}
    InvocationFactory(portal=PortalFactory(paused_at=db_now()), state=state, **hours)
    InvocationFactory(portal=PortalFactory(state="uninstalled"), state=state, **hours)
    InvocationFactory(portal=PortalFactory(trouble="unreachable"), state=state, **hours)
    InvocationFactory(portal=portal, state=State.DELIVERED, **hours)
    assert [*alarm_causes.calls_late(), *alarm_causes.results_late()] == []
    InvocationFactory(portal=portal, state=state, **hours)
    InvocationFactory(portal=portal, state=state, received_at=minutes_ago(20), due_at=minutes_ago(-1))
    (late,) = [*alarm_causes.calls_late(), *alarm_causes.results_late()]
    assert (late.kind, late.params) == (kind, {"calls": 1, "minutes": 180})
    # The same by each other way of telling.
    queue = figures.queue()
    assert (queue.late, queue.late_minutes) == (1, 180)
    told = client.get("/readyz", REMOTE_ADDR="127.0.0.1", HTTP_HOST="127.0.0.1").json()
    assert (told["status"], told["queue"]["late"]) == ("degraded", 1)
    metrics = client.get("/metrics", REMOTE_ADDR="127.0.0.1", HTTP_HOST="127.0.0.1").content.decode()
    assert "b24_calls_late 1.0" in metrics.splitlines()
    assert "1 call has been tried for too long; the oldest came in 180 min ago" in [
        need.words for need in dashboard._of_calls()
    ]


@pytest.mark.parametrize("limit", [60, 600])
def test_no_robot_is_late_while_it_has_tries(settings: Any, limit: int) -> None:
    settings.ROBOT_TIME_LIMIT = limit
    tries = computed.TRIES_PASSING
    delays = sum(computed._DELAYS[min(tried, len(computed._DELAYS)) - 1] * 1.5 for tried in range(1, tries))
    assert lateness.open_for().total_seconds() > delays + tries * limit


def test_what_waited_for_a_portal_has_a_moment_to_catch_up(mails: list[Any]) -> None:
    InvocationFactory(state=State.READY, due_at=minutes_ago(100), received_at=minutes_ago(100))
    now = db_now()
    for seconds in (0, 60, 119):
        alarms.settle(DatabaseBook(), alarm_causes.EVERYWHERE[:3], now + dt.timedelta(seconds=seconds))
    assert mails == []
    alarms.settle(DatabaseBook(), alarm_causes.EVERYWHERE[:3], now + dt.timedelta(seconds=121))
    assert [mail.subject for mail in mails] == ["Alarm: results are not sent"]


def test_looks_that_are_late_and_processes_that_stand_still() -> None:
    portal = PortalFactory(domain="p.bitrix24.com")
    InvocationFactory(portal=portal, state=State.DELIVERED, confirmation="look", confirm_at=minutes_ago(20))
    InvocationFactory(
        portal=portal,
        state=State.DELIVERED,
        confirmation="stuck",
        confirm_at=minutes_ago(-20),
        ended_at=minutes_ago(300),
    )
    assert kinds(alarm_causes.unconfirmed) == [("unconfirmed", "")]
    assert figures.queue().unseen == 1
    (stuck,) = alarm_causes.stuck()
    assert (stuck.subject, stuck.params) == (str(portal.pk), {"portal": "p.bitrix24.com", "calls": 1})


def test_a_look_that_is_put_off_each_time_is_late_by_what_was_taken_when() -> None:
    portal = PortalFactory()
    owed = {"portal": portal, "state": State.DELIVERED, "confirm_at": minutes_ago(-1)}
    # Where nobody can look, the quiet repeat is due 310 s after the call.
    InvocationFactory(confirmation="repeat", ended_at=minutes_ago(7), **owed)
    InvocationFactory(
        confirmation="confirmed", ended_at=minutes_ago(60), confirmed_at=minutes_ago(50), **owed
    )
    assert kinds(alarm_causes.unconfirmed) == []
    InvocationFactory(confirmation="look", ended_at=minutes_ago(61), **owed)
    (late,) = alarm_causes.unconfirmed()
    assert late.params == {"calls": 1, "minutes": 61}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"trouble": "unreachable", "trouble_since": 5}, []),
        ({"trouble": "unreachable", "trouble_since": 11}, ["portal_trouble"]),
        ({"trouble": "user_dismissed", "trouble_since": 0}, ["portal_trouble"]),
        ({"token_state": "lost"}, ["portal_trouble"]),
        ({"token_is_admin": False}, ["portal_no_admin"]),
        ({"token_is_admin": None}, []),
        ({"state": "uninstalled", "token_state": "lost"}, []),
    ],
)
def test_portals_that_refuse_or_lost_their_administrator(changes: dict[str, Any], found: list[str]) -> None:
    if "trouble_since" in changes:
        changes = {**changes, "trouble_since": minutes_ago(changes["trouble_since"])}
    PortalFactory()
    PortalFactory(**changes)
    assert [kind for kind, _subject in kinds(alarm_causes.portals_in_trouble)] == found


@pytest.mark.parametrize(
    ("failed", "well", "failed_before", "well_before", "found"),
    [
        (5, 5, 0, 50, True),
        (4, 0, 0, 50, False),  # too few to say anything
        (5, 30, 0, 50, False),  # a small share
        (6, 12, 20, 40, False),  # as always
        (6, 6, 20, 20, True),  # as always, but half of them
        (0, 50, 50, 0, False),
    ],
)
def test_a_robot_whose_failures_jump(
    failed: int, well: int, failed_before: int, well_before: int, found: bool
) -> None:
    called(5, failed, well)
    called(60, failed_before, well_before)
    assert kinds(alarm_causes.robots_failing) == ([("robot_failing", "discount")] if found else [])


def called(minutes: float, failed: int, well: int) -> None:
    """So many calls of a robot at that time."""
    at = {"robot_code": "discount", "received_at": minutes_ago(minutes), "call": ""}
    portal = Portal.objects.first() or PortalFactory()
    for state in [State.FAILED] * failed + [State.DELIVERED] * well:
        InvocationFactory(portal=portal, state=state, **at)


@pytest.mark.parametrize(
    ("failed", "well", "found"),
    [
        (6, 14, True),  # what fails since the alarm is not the usual
        (1, 1, True),  # few calls are no end
        (1, 9, False),
        (0, 5, False),
    ],
)
def test_a_robot_is_not_over_while_it_fails(failed: int, well: int, found: bool) -> None:
    called(500, 1, 50)
    called(60, 30, 70)
    called(5, failed, well)
    at = minutes_ago(180)
    Alarm.objects.create(kind=Kind.ROBOT_FAILING, subject="discount", opened_at=at, seen_at=at)
    assert kinds(alarm_causes.robots_failing) == ([("robot_failing", "discount")] if found else [])


def test_a_silent_sweeper_is_told_and_workers_are_asked_to_sweep(monkeypatch: Any) -> None:
    lease = Lease.objects.create(name="sweep:handlers", until=minutes_ago(0.5))
    assert kinds(alarm_causes.sweeper_silent) == []
    Lease.objects.filter(pk=lease.pk).update(until=minutes_ago(3))
    (cause,) = alarm_causes.sweeper_silent()
    assert cause.params == {"minutes": 3}
    woken: list[str] = []
    monkeypatch.setattr(alarms, "wake", woken.append)
    alarms.settle(DatabaseBook(), [(lambda: iter([cause]), {"sweeper_silent"})], db_now())
    assert woken == ["sweep"]


def test_a_sweep_that_fails_is_told_while_it_lasts(monkeypatch: Any) -> None:
    def fails() -> None:
        raise ExceptionGroup("parts of a sweep failed", [RuntimeError("a defect")])

    monkeypatch.setitem(work.SWEEPS, "handlers", fails)
    with pytest.raises(CommandError, match="handlers"):
        call_command("sweep")
    assert list(FailingSweep.objects.values_list("room", flat=True)) == ["handlers"]
    assert kinds(alarm_causes.sweeps_failing) == [], "a moment of it may pass"
    FailingSweep.objects.update(since=minutes_ago(3))
    work.sweep(asked=True)
    (cause,) = alarm_causes.sweeps_failing()
    assert (cause.kind, cause.subject) == ("sweep_fails", "handlers")
    assert cause.params == {"room": "handlers", "minutes": 3, "error": "RuntimeError"}
    monkeypatch.setitem(work.SWEEPS, "handlers", lambda: None)
    work.sweep(asked=True)
    assert kinds(alarm_causes.sweeps_failing) == []


def test_the_spool_of_this_machine(settings: Any, portal: Portal) -> None:
    from urllib.parse import urlencode

    from handlers import incoming
    from portals import php_form

    settings.SPOOL_MAX_MB = 1
    assert kinds(alarm_causes.spool_used) == []
    body = urlencode(form(portal, **{"properties[amount]": "1"})).encode()
    old = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=3)
    spool.put(incoming.read(portal.application.slug, php_form.parse(body), None, old))
    (cause,) = alarm_causes.spool_used()
    assert (cause.kind, cause.params["calls"], cause.params["minutes"]) == ("spool_used", 1, 3)
    spool.set_aside(1)
    assert [kind for kind, _subject in kinds(alarm_causes.spool_used)] == ["dead_letters"]


def test_a_spool_that_takes_nothing_or_cannot_be_asked(
    settings: Any, portal: Portal, client: Client, monkeypatch: Any
) -> None:
    from urllib.parse import urlencode

    from handlers import incoming
    from portals import php_form

    local = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1"}
    body = urlencode(form(portal, **{"properties[amount]": "1"})).encode()
    call = incoming.read(portal.application.slug, php_form.parse(body), None, dt.datetime.now(dt.UTC))
    spool.put(call)
    assert kinds(alarm_causes.spool_broken) == []

    def disk_is_full(*_args: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(spool, "_write_one", disk_is_full)
        with pytest.raises(spool.SpoolFull):
            spool.put(call)
    (cause,) = alarm_causes.spool_broken()
    assert (cause.params["error"], cause.grace) == ("OperationalError", dt.timedelta())
    assert client.get("/readyz", **local).json()["spool"]["broken"] is True
    monkeypatch.setattr(spool, "_failed", (time.monotonic() - 601, "OperationalError"))
    assert kinds(alarm_causes.spool_broken) == []
    assert client.get("/readyz", **local).json()["spool"]["broken"] is False

    spool.path().write_bytes(b"no database at all" * 500)
    for beside in ("-wal", "-shm"):
        spool.path().with_name(spool.path().name + beside).unlink(missing_ok=True)
    (cause,) = alarm_causes.spool_broken()
    assert (cause.params["error"], cause.grace) == ("DatabaseError", alarm_causes.SPOOL_ASKED)
    told = client.get("/readyz", **local).json()
    assert (told["status"], told["spool"]["broken"]) == ("degraded", True)
    assert "b24_spool_broken 1.0" in client.get("/metrics", **local).content.decode().splitlines()


@pytest.fixture
def portal() -> Portal:
    return PortalFactory()


def test_a_database_away_is_told_without_one(monkeypatch: Any, mails: list[Any]) -> None:
    monkeypatch.setattr(probe.database, "ask", lambda: probe.NO_ANSWER)
    monkeypatch.setattr(alarms.lease, "take", lambda *_args: pytest.fail("the database was asked"))
    alarms.check()
    assert mails == [], "a moment of it is usual"
    alarms.settle(
        FileBook(), alarm_causes.OF_THIS_MACHINE, dt.datetime.now(dt.UTC) + dt.timedelta(seconds=11)
    )
    (mail,) = mails
    assert mail.subject == "Alarm: the database does not answer"
    assert alarms.counts(with_database=False)["database_away"] == 1


def test_a_disk_that_takes_nothing_still_tells_once(mails: list[Any], settings: Any, tmp_path: Any) -> None:
    (tmp_path / "a-file").write_text("")
    settings.SPOOL_DIR = tmp_path / "a-file"
    watch = Watch(FileBook())
    watch.causes = [Cause(Kind.SPOOL_FULL, "here", {"machine": "here", "percent": 99})]
    for _ in range(3):
        watch.passes(10)
    assert len(mails) == 1


def test_one_process_at_a_time_looks(monkeypatch: Any, mails: list[Any]) -> None:
    PortalFactory(token_state="lost", domain="p.bitrix24.com")
    monkeypatch.setattr(probe.broker, "ask", lambda: probe.OK)
    for _ in range(3):
        alarms.check()
    assert [mail.subject for mail in mails] == ["Alarm: a portal takes nothing"]
    (shown,) = [alarm for alarm in alarms.open_alarms() if alarm["kind"] == "portal_trouble"]
    assert shown["text"] == "p.bitrix24.com: the portal's authorisation was lost: open the application there"


@pytest.fixture
def four(monkeypatch: Any) -> list[tuple[str, str]]:
    """Four causes and a channel: what it was told, by subject and state."""
    causes = [Cause(Kind.PORTAL_TROUBLE, str(number), TROUBLE.params) for number in range(4)]
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(alarms, "EVERYWHERE", [(lambda: iter(causes), {Kind.PORTAL_TROUBLE})])
    monkeypatch.setattr(alarms, "OF_THIS_MACHINE", [])
    channel = SimpleNamespace(send=lambda message: told.append((message.subject, message.state)))
    monkeypatch.setattr(alarms.alarm_channels, "configured", lambda: {"slow": channel})
    return told


def test_while_one_process_tells_no_other_does(settings: Any, four: Any, monkeypatch: Any) -> None:
    (channel,) = alarms.alarm_channels.configured().values()
    send, nested = channel.send, []

    def slowly(message: Any) -> None:
        send(message)
        settings.CLOCK_OFFSET_SECONDS += 9
        if not nested:
            nested.append(1)
            alarms.check()
            nested.clear()

    channel.send = slowly
    alarms.check()
    assert four == [(str(number), "open") for number in range(4)]
    # The next one asks ten seconds later, not a minute.
    Alarm.objects.update(told={}, next_try_at=None)
    alarms.check()
    assert len(four) == 4
    settings.CLOCK_OFFSET_SECONDS += alarms.EVERY
    alarms.check()
    assert len(four) == 8


def test_what_was_told_before_the_process_ended_is_not_told_again(settings: Any, four: Any) -> None:
    (channel,) = alarms.alarm_channels.configured().values()
    send = channel.send

    def dies(message: Any) -> None:
        if len(four) == 2:
            raise SystemExit
        send(message)

    channel.send = dies
    with pytest.raises(SystemExit):
        alarms.check()
    channel.send = send
    settings.CLOCK_OFFSET_SECONDS += 61
    alarms.check()
    assert sorted(four) == [(str(number), "open") for number in range(4)]


def test_whoever_lost_the_turn_tells_no_more(four: Any) -> None:
    turns = [True, True]
    alarms.settle(DatabaseBook(), alarms.EVERYWHERE, db_now(), lambda: bool(turns and turns.pop()))
    assert len(four) == 2


def test_every_kind_has_words() -> None:
    from b24app import alarm_words

    for kind in Kind.values:
        assert (
            alarm_words.sentence(kind, {}) != kind and alarm_words.to_do(kind, {}) and alarm_words.title(kind)
        )


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("smtp://u:p%40ss@mail.example.com", ("mail.example.com", 587, "p@ss", True, False)),
        ("smtps://u:p@mail.example.com", ("mail.example.com", 465, "p", False, True)),
        ("smtp://127.0.0.1:2525", ("127.0.0.1", 2525, "", False, False)),
    ],
)
def test_email_url_is_read(address: str, told: tuple[Any, ...]) -> None:
    found = env.mail(address)
    names = ("EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_PASSWORD", "EMAIL_USE_TLS", "EMAIL_USE_SSL")
    assert tuple(found[name] for name in names) == told


@pytest.mark.parametrize("address", ["http://mail.example.com", "smtp://", "file:", "nonsense"])
def test_a_wrong_email_url_stops_the_start(address: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL"):
        env.mail(address)


def test_a_disk_that_fills_up_after_an_alarm_was_kept_still_tells_once(mails, monkeypatch):
    watch = Watch(FileBook())
    away = Cause(Kind.DATABASE_AWAY, "here", {"machine": "here"})
    watch.causes = [away]
    watch.passes(10)
    assert len(mails) == 1
    real = Path.write_text

    def full(self, *args, **more):
        if self.name.startswith("alarms"):
            real(self, "")
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, *args, **more)

    monkeypatch.setattr(Path, "write_text", full)
    watch.causes = [away, Cause(Kind.SPOOL_BROKEN, "here", {"machine": "here", "error": "OperationalError"})]
    for _ in range(6):
        watch.passes(10)
    n = len(mails)
    watch.causes = []
    for _ in range(12):
        watch.passes(10)
    assert n == 2
    assert len(mails) == 4


def test_a_robot_whose_failures_are_released_by_themselves_fails_too():
    portal = PortalFactory()
    for _ in range(20):
        InvocationFactory(
            portal=portal,
            robot_code="x",
            state="delivered",
            cause="robot_error",
            received_at=minutes_ago(5),
            called_at=minutes_ago(5),
            released_at=minutes_ago(4),
            ended_at=minutes_ago(4),
        )
    found = kinds(alarm_causes.robots_failing)
    assert found == [("robot_failing", "x")]


def test_the_end_of_a_long_alarm_is_told_though_many_came_and_went_meanwhile(mails, monkeypatch):
    watch = Watch(DatabaseBook())
    watch.causes = [Cause(Kind.STUCK, "7", {"portal": "p", "calls": 1})]
    watch.passes()
    assert len(mails) == 1
    for n in range(201):
        Alarm.objects.create(
            kind=Kind.PORTAL_TROUBLE,
            subject=str(n),
            opened_at=watch.now + dt.timedelta(hours=1),
            seen_at=watch.now,
            ended_at=watch.now + dt.timedelta(minutes=90),
            told={"mail": "ended"},
        )
    watch.causes = []
    with monkeypatch.context() as patch:
        patch.setattr("b24app.alarm_channels.mail.send", lambda message: 1 / 0)
        watch.passes(7200)  # the mail server is away at that moment
    for _ in range(5):
        watch.passes(120)
    assert len(mails) == 2
