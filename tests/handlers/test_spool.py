"""The spool: what the intake does while the database is away (design §2 rule 2)."""

from __future__ import annotations

import sqlite3
import stat
import threading
from contextlib import closing
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db.models import F

from handlers import drain, incoming, intake_db, known, spool, sweeper
from handlers.models import Invocation, RefusedCall
from portals import php_form
from portals.clock import db_now
from portals.crypto import keyed_hash
from portals.models import PendingInstallation, Portal
from robots.models import RobotVersion
from tests.damage import damage
from tests.factories import InvocationFactory, PortalFactory
from tests.handlers.calls import form, post

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A database that can be taken away and given back."""

    class Switch:
        gone = False
        asked = 0

    switch = Switch()
    driver: Any = (
        intake_db.intake_postgresql if intake_db.vendor() == "postgresql" else intake_db.intake_sqlite
    )

    def cut(real: Any) -> Any:
        def ask(*args: Any) -> Any:
            switch.asked += 1
            if switch.gone:
                raise intake_db.OperationalError("gone")
            return real(*args)

        return ask

    for name in ("run", "run_together"):
        if hasattr(driver, name):
            monkeypatch.setattr(driver, name, cut(getattr(driver, name)))
    return switch


@pytest.mark.contract("6.2")
def test_s6_away_from_the_database_a_known_call_is_kept_verified_and_answered_200(
    portal: Portal, version: RobotVersion, away: Any
) -> None:
    drain.tend()  # the copy of whom we know is on the disk from now on
    away.gone = True
    known.forget()  # as a process that started during the outage
    assert post(portal, version=version.pk).status_code == 200
    assert [entry.verified for entry in spool.take(10)] == [True]
    assert not Invocation.objects.exists()


def test_what_waits_is_accepted_in_order_once_when_the_database_is_back(
    portal: Portal, version: RobotVersion, away: Any
) -> None:
    drain.tend()
    away.gone = True
    for number in range(5):
        post(portal, version=version.pk, workflow_id=f"w{number}")
    away.gone = False
    drain.tend()
    rows = list(Invocation.objects.order_by("id"))
    assert [row.workflow_id for row in rows] == [f"w{number}" for number in range(5)]
    assert {row.version_id for row in rows} == {version.pk}
    assert spool.held().calls == 0
    drain.tend()
    assert Invocation.objects.count() == 5


def test_a_crash_between_acceptance_and_removal_is_one_call(
    portal: Portal, version: RobotVersion, away: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain.tend()
    away.gone = True
    post(portal, version=version.pk)
    away.gone = False
    with monkeypatch.context() as crash:
        crash.setattr(spool, "remove", lambda ids: None)
        drain.tend()
    drain.tend()
    assert Invocation.objects.get().repeats == 1


def test_a_token_that_the_copy_does_not_know_is_kept_unverified_and_judged_later(
    portal: Portal, version: RobotVersion, away: Any
) -> None:
    drain.tend()
    away.gone = True
    assert post(portal, version=version.pk, **{"auth[application_token]": "stranger"}).status_code == 200
    assert [entry.verified for entry in spool.take(10)] == [False]
    away.gone = False
    drain.tend()
    assert not Invocation.objects.exists()
    assert RefusedCall.objects.get().reason == "token_wrong"


@pytest.mark.contract("3.10")
def test_s3_a_call_proved_by_the_former_token_is_judged_by_when_it_came(
    portal: Portal, version: RobotVersion, away: Any
) -> None:
    Portal.objects.update(
        application_token="reissued",
        former_application_token="application-token",
        former_until=db_now() + timedelta(seconds=60),
        installation=F("installation") + 1,
    )
    drain.tend()
    away.gone = True
    assert post(portal, version=version.pk).status_code == 200
    # The outage outlasts the former token, and the sweep of portals has forgotten it.
    Portal.objects.update(former_application_token="", former_until=None)
    away.gone = False
    drain.tend()
    assert Invocation.objects.get().state == "received"
    assert not RefusedCall.objects.exists()


@pytest.mark.contract("3.16")
def test_s3_a_call_proved_before_an_uninstall_waits_for_a_reinstallation_and_then_ends(
    portal: Portal, version: RobotVersion, away: Any, settings: Any
) -> None:
    drain.tend()
    away.gone = True
    assert post(portal, version=version.pk).status_code == 200
    Portal.objects.update(
        state="uninstalled",
        uninstalled_at=db_now(),
        application_token="",
        installation=F("installation") + 1,
    )
    away.gone = False
    known.forget()
    drain.tend()
    assert Invocation.objects.get().state == "received"
    settings.CLOCK_OFFSET_SECONDS += 31 * 86_400
    sweeper.sweep()
    row = Invocation.objects.get()
    assert (row.state, row.cause) == ("refused", "portal_gone")
    assert not RefusedCall.objects.exists()


def test_after_one_failure_nobody_waits_for_the_database(
    portal: Portal, version: RobotVersion, away: Any
) -> None:
    drain.tend()
    away.gone = True
    post(portal, version=version.pk)
    asked = away.asked
    post(portal, version=version.pk)
    assert away.asked == asked and spool.held().calls == 2


def test_what_no_database_could_make_true_is_refused(portal: Portal, away: Any) -> None:
    away.gone = True
    assert post(portal, event_token=None).status_code == 400
    assert not spool.exists() or spool.held().calls == 0


def test_a_full_spool_is_503_with_retry_after(
    portal: Portal, version: RobotVersion, away: Any, settings: Any
) -> None:
    drain.tend()
    away.gone = True
    settings.SPOOL_MAX_MB = 0
    answer = post(portal, version=version.pk)
    assert answer.status_code == 503 and answer["Retry-After"]


def test_strangers_fill_a_tenth_at_most(
    portal: Portal, version: RobotVersion, away: Any, settings: Any
) -> None:
    drain.tend()
    away.gone = True
    settings.SPOOL_MAX_MB = 1
    stranger = {"auth[application_token]": "stranger", "properties[a]": "x" * 5000}
    answers = [post(portal, version=version.pk, **stranger).status_code for _ in range(10)]
    assert answers[0] == 200 and answers[-1] == 503
    assert post(portal, version=version.pk).status_code == 200


def test_the_spool_is_private_and_encrypted(portal: Portal, version: RobotVersion, away: Any) -> None:
    drain.tend()
    away.gone = True
    fields = form(portal)
    post(portal, fields, version.pk)
    assert stat.S_IMODE(spool.path().parent.stat().st_mode) == 0o700
    raw = b"".join(file.read_bytes() for file in spool.path().parent.iterdir() if file.is_file())
    for secret in (fields["event_token"], "application-token", "secret-access-token", "21.5"):
        assert secret.encode() not in raw


def test_each_answer_follows_an_fsync() -> None:
    with spool._database() as database:
        assert database.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_a_call_that_the_database_refuses_as_data_is_set_aside(
    portal: Portal, version: RobotVersion, away: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain.tend()
    away.gone = True
    for number in range(2):
        post(portal, version=version.pk, workflow_id=f"w{number}")
    away.gone = False
    accept = drain.accept

    def picky(call: Any, verified: bool) -> Any:
        if call.workflow_id == "w0":
            raise drain.DatabaseError("no such data")
        return accept(call, verified)

    monkeypatch.setattr(drain, "accept", picky)
    drain.tend()
    assert Invocation.objects.get().workflow_id == "w1"
    assert spool.held().bad == 1


def test_a_row_that_no_key_opens_is_set_aside_and_keeps_nobody(
    portal: Portal, version: RobotVersion, away: Any, settings: Any
) -> None:
    drain.tend()
    away.gone = True
    keys = settings.ENCRYPTION_KEYS
    settings.ENCRYPTION_KEYS = ["a key that was taken out too early, alas", *keys]
    post(portal, version=version.pk, workflow_id="w0")
    settings.ENCRYPTION_KEYS = keys
    post(portal, version=version.pk, workflow_id="w1")
    away.gone = False
    lost = InvocationFactory(portal=portal, state="computing", lease_until=db_now() - timedelta(seconds=1))
    sweeper.sweep()
    assert Invocation.objects.exclude(pk=lost.pk).get().workflow_id == "w1"
    assert Invocation.objects.get(pk=lost.pk).state == "received"
    held = spool.held()
    assert (held.calls, held.bad, held.oldest) == (1, 1, None)
    # Each process tries it once: with its key it goes where it was to go.
    settings.ENCRYPTION_KEYS = [*keys, "a key that was taken out too early, alas"]
    drain.tend()
    assert spool.held().bad == 1
    drain.forget()
    drain.tend()
    assert spool.held().calls == 0 and Invocation.objects.filter(workflow_id="w0").exists()


def test_a_portal_whose_token_no_key_opens_loses_no_call_and_keeps_no_other(
    portal: Portal, version: RobotVersion, away: Any
) -> None:
    damaged = PortalFactory(application=portal.application)
    damage(damaged, "application_token", by=b"no")
    assert post(damaged, version=version.pk).status_code == 200
    drain.tend()
    assert (spool.held().calls, spool.held().bad) == (1, 1)
    away.gone = True
    known.forget()
    assert post(portal, version=version.pk).status_code == 200
    assert [entry.verified for entry in spool.take(10)] == [True], "the copy was made all the same"


def test_parts_of_a_sweep_do_not_depend_on_each_other(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = InvocationFactory(portal=portal, state="computing", lease_until=db_now() - timedelta(seconds=1))

    def fails() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(drain, "tend", fails)
    with pytest.raises(ExceptionGroup):
        sweeper.sweep()
    assert Invocation.objects.get(pk=lost.pk).state == "received"


@pytest.mark.contract("3.17")
def test_s3_calls_of_an_installation_that_waits_for_the_token_server_are_kept(
    portal: Portal, version: RobotVersion
) -> None:
    PendingInstallation.objects.create(
        application=portal.application,
        member_id="e" * 32,
        claim_hash=b"x" * 32,
        application_token_hash=keyed_hash("token-to-come"),
        way="frame",
        claim="{}",
        received_at=db_now(),
        next_try_at=db_now(),
    )
    to_come = {"auth[member_id]": "e" * 32, "auth[application_token]": "token-to-come"}
    assert post(portal, version=version.pk, **to_come).status_code == 200
    drain.tend()
    assert spool.held().calls == 1, "nothing is known yet, so it waits"
    Portal.objects.create(
        application=portal.application, member_id="e" * 32, application_token="token-to-come"
    )
    PendingInstallation.objects.all().delete()
    drain.tend()
    assert Invocation.objects.get().portal.member_id == "e" * 32


@pytest.mark.contract("3.17")
def test_s3_calls_of_an_installation_that_came_to_nothing_are_told_of_as_refused(
    portal: Portal, version: RobotVersion
) -> None:
    PendingInstallation.objects.create(
        application=portal.application,
        member_id="e" * 32,
        claim_hash=b"x" * 32,
        application_token_hash=keyed_hash("token-to-come"),
        way="frame",
        claim="{}",
        received_at=db_now(),
        next_try_at=db_now(),
    )
    to_come = {"auth[member_id]": "e" * 32, "auth[application_token]": "token-to-come"}
    assert post(portal, version=version.pk, **to_come).status_code == 200
    PendingInstallation.objects.update(state="refused", claim="", next_try_at=None, ended_at=db_now())
    drain.tend()
    assert spool.held().calls == 0
    noted = RefusedCall.objects.get()
    assert (noted.member_id, noted.reason, noted.robot_code) == ("e" * 32, "portal_unknown", "double")
    assert noted.sentence == "This portal has not installed the application here."
    # The next one is refused at the door.
    assert post(portal, version=version.pk, **to_come).status_code == 403


def test_threads_that_wait_share_one_write(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from handlers import incoming
    from portals.php_form import parse

    written: list[int] = []
    real = spool._write
    gate = threading.Event()

    def slow(slots: Any) -> None:
        gate.wait(10)
        written.append(len(slots))
        real(slots)

    monkeypatch.setattr(spool, "_write", slow)
    body = "&".join(f"{name}={value}" for name, value in form(portal).items() if name not in ("event_token",))
    calls = [
        incoming.read("app", parse(f"{body}&event_token=t{n}".encode()), None, intake_db.now())
        for n in range(8)
    ]
    threads = [threading.Thread(target=spool.put, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    from tests.system.processes import until

    until(lambda: len(spool._waiting) == 7, "seven wait for the one that writes")
    gate.set()
    for thread in threads:
        thread.join()
    assert written == [1, 7]
    with sqlite3.connect(spool.path()) as database:
        assert database.execute("SELECT COUNT(*) FROM calls").fetchone()[0] == 8


def test_its_log_takes_little_of_the_disk_beside_what_it_holds(portal: Portal) -> None:
    """A log as large as the spool itself filled a small disk for good: no call could leave any more."""
    from handlers import incoming
    from portals.php_form import parse

    drain.tend()
    body = "&".join(f"{name}={value}" for name, value in form(portal).items())
    call = incoming.read(
        "app", parse(f"{body}&properties[text]={'x' * 60_000}".encode()), None, intake_db.now()
    )
    # As on a busy machine: some connection is always open, so that the log is never removed with the last one.
    with closing(sqlite3.connect(spool.path())) as other:
        other.execute("SELECT 1 FROM calls").fetchone()
        for _ in range(60):
            spool.put(call)
        log = spool.path().with_name("spool.sqlite3-wal")
        assert log.stat().st_size < 1024 * 1024


def test_whatever_fails_a_shared_write_nobody_is_answered_200(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error that SQLite or the disk knows: the threads that waited for that write would not be told."""
    waits, go = threading.Event(), threading.Event()
    told: list[str] = []

    def memory_runs_out(*_args: Any) -> None:
        waits.set()
        go.wait(10)
        raise MemoryError

    monkeypatch.setattr(spool, "_write_one", memory_runs_out)
    body = urlencode(form(portal, **{"properties[amount]": "1"})).encode()

    def put() -> None:
        try:
            spool.put(incoming.read(portal.application.slug, php_form.parse(body), None, db_now()))
        except spool.SpoolFull:
            told.append("refused")

    with spool._write_lock:
        # Both wait, so that whichever writes does so for both.
        threads = [threading.Thread(target=put) for _ in range(2)]
        for thread in threads:
            thread.start()
        while len(spool._waiting) < 2:
            go.wait(0.01)
    go.set()
    for thread in threads:
        thread.join(20)
    assert told == ["refused", "refused"]
    assert spool.failed_lately() == "MemoryError"


@pytest.mark.parametrize("outage", [False, True], ids=["online", "outage"])
@pytest.mark.parametrize(
    "known_token", ["", "another-token"], ids=["full OAuth: no token known", "an employee told of another"]
)
def test_a_call_that_its_own_tokens_may_prove_is_kept(portal, version, away, outage, known_token):
    Portal.objects.update(application_token=known_token, untaken_token_at=db_now() if known_token else None)
    portal = Portal.objects.get(pk=portal.pk)
    portal.application_token = known_token
    portal.save()
    away.gone = outage
    assert post(portal, **{"auth[application_token]": "application-token"}).status_code == 200
    away.gone = False
    intake_db.forget()
    drain.drain()
    kept, refused, pending = (
        spool.held().calls,
        RefusedCall.objects.count(),
        PendingInstallation.objects.count(),
    )
    assert (kept, refused, pending) == (1, 0, 1)
