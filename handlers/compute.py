"""From a received call to its one result: claims a unit of rows (units.py), has the runner compute them one by one."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from handlers import claims, date_format, delivery, early, slots, units
from handlers.attempts import Note
from handlers.claims import Claim, Settlement
from handlers.computed import (
    CALL_UNREADABLE,
    SETTING_UNREADABLE,
    Row,
    kept_waiting,
    settlement_of,
    unreadable,
)
from handlers.models import Attempt
from handlers.units import Unit
from portals import stopping
from portals.client import PortalClient
from portals.clock import db_now, now_sql
from portals.crypto import SecretUnreadable
from portals.failpoint import failpoint
from portals.keeper import PLACE_SECONDS, Keeper, kept
from portals.models import Portal
from portals.wake import wake
from robots.job import Job
from robots.models import RobotVersion
from robots.runner import Runner, RunnerUnavailable

log = structlog.get_logger(__name__)

_NO_RUNNER = "runner_unavailable"

_runner: Runner | None = None
_versions: dict[int, tuple[RobotVersion, dict[str, Any]]] = {}


def work() -> None:
    """What a `compute` wake does: units until nothing is due, in a computing place of this worker.

    A child whose runner does not start leaves the rest to the others until it is woken again.
    """
    place = slots.take_computing()
    if place is None:
        return
    with kept(place) as ours:
        try:
            _work_in_turn(ours)
        except RunnerUnavailable:
            wake("deliver")


def _work_in_turn(ours: Callable[[], bool]) -> None:
    after = (0, "")
    while ours() and not stopping.asked():
        group = _next_group(after) or (after != (0, "") and _next_group((0, ""))) or None
        if group is None:
            return
        if _work_group(*group) or group > after:
            after = group
        else:
            # Round once, and the only robots left have all the places they may have.
            return


def _next_group(after: tuple[int, str]) -> tuple[int, str] | None:
    """The next (portal, robot code) with a due row: a loose index scan, one step a unit."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT portal_id, robot_code FROM handlers_invocation WHERE state = 'received'"
            f" AND due_at <= {now_sql(connection.vendor)} AND (portal_id, robot_code) > (%s, %s)"
            " ORDER BY portal_id, robot_code LIMIT 1",
            after,
        )
        row = cursor.fetchone()
    return (row[0], row[1]) if row else None


def _work_group(portal_id: int, code: str) -> bool:
    """One unit; False where this robot has all its places or its rows went to others."""
    robot_place = slots.take_robot(portal_id, code)
    if robot_place is None:
        return False
    try:
        rows = claims.claim(
            "state = 'received' AND portal_id = %s AND robot_code = %s"
            f" AND due_at <= {now_sql(connection.vendor)} ORDER BY due_at, id",
            [portal_id, code],
            "computing",
            units.ROWS,
        )
        if not rows:
            return False
        failpoint("compute.claimed")
        if len(rows) == units.ROWS:
            # There is more than one unit of it: another child may help.
            wake("compute")
        unit = Unit(rows)
        portal = Portal.objects.select_related("application").get(pk=portal_id)
        keep = Keeper(
            lambda: (claims.renew(rows), robot_place.renew(PLACE_SECONDS)), unit.runs_long, units.RUNS_LONG
        )
        with keep:
            ready = _compute_unit(portal, unit)
    finally:
        robot_place.release()
    if ready:
        # In the same hop where the sender's place is free; else whoever has it looks again.
        delivery.deliver_now(portal)
    return True


def _compute_unit(portal: Portal, unit: Unit) -> bool:
    """Computes until the unit's time is over; whether anything is ready to be sent. Raises RunnerUnavailable."""
    own_settings = _settings_of(portal)
    now = db_now()
    for claim in unit.rows():
        row = unit.loaded[claim.id]
        if row.invocation.deadline is not None and row.invocation.deadline <= now:
            unit.settle(
                Settlement(claim.id, claim.fence, "computing", "expired", "wait_over", ended=True), []
            )
            continue
        if row.call is None:
            unit.settle(*unreadable(claim, CALL_UNREADABLE))
            continue
        if own_settings is None:
            unit.settle(*unreadable(claim, SETTING_UNREADABLE))
            continue
        if not claims.start(claim):
            continue
        failpoint("compute.started")
        try:
            settlement, notes = _compute_row(portal, claim, row, row.call, own_settings)
            failpoint("compute.run")
        except RunnerUnavailable as error:
            _not_computed(unit, claim, error)
            raise
        unit.settle(settlement, notes)
    return unit.any_ready


def _not_computed(unit: Unit, claim: Claim, error: RunnerUnavailable) -> None:
    """No row is to blame, so none is charged: this one comes again after the others, which keep their places. It is
    told once a call, however long no runner starts; who must know is told by the age of the calls."""
    log.error("no runner", error=str(error))
    unit.settle(
        Settlement(claim.id, claim.fence, "computing", "received", delay=5.0, uncharged=True),
        _once(Note(claim.id, "compute", _NO_RUNNER, str(error))),
    )
    unit.close()


def _once(note: Note) -> list[Note]:
    """Told once a call, however often it comes to the same."""
    told = Attempt.objects.filter(invocation_id=note.invocation_id, code=note.code).exists()
    return [] if told else [note]


def _compute_row(
    portal: Portal, claim: Claim, row: Row, call: dict[str, Any], own_settings: dict[str, str]
) -> tuple[Settlement, list[Note]]:
    invocation = row.invocation
    version, payload = _version(invocation.version_id)
    properties = payload.get("PROPERTIES") or {}
    inputs = call.get("properties") or {}
    known = date_format.known_of(portal)
    after = date_format.taught(known, properties, inputs)
    job = Job(
        call_id=f"{invocation.portal_id}-{bytes(invocation.token_hash).hex()[:32]}",
        code=invocation.robot_code,
        compute=version.compute,
        properties=properties,
        return_properties=payload.get("RETURN_PROPERTIES") or {},
        inputs=inputs,
        zone=portal.time_zone,
        date_format=after.date_format,
        settings=own_settings,
        waits=invocation.waits,
        domain=portal.domain,
        member_id=portal.member_id,
        workflow_id=invocation.workflow_id,
        document_id=call.get("document_id") or [],
    )
    outcome = runner().run(job, rest=PortalClient(portal).call, time_limit=float(settings.ROBOT_TIME_LIMIT))
    if outcome.waits_for:
        waited = (db_now() - invocation.received_at).total_seconds()
        again, note = kept_waiting(claim, outcome, waited, random.random())  # noqa: S311  (jitter)
        return again, _once(note)
    if outcome.ok and after != known:
        # A call that came to nothing teaches nothing: its dates may be what is wrong, and it is tried again.
        date_format.save(portal, after)
    wait = early.wait(portal, invocation)
    return settlement_of(claim, row, version, outcome, wait, random.random())  # noqa: S311  (jitter)


def runner() -> Runner:
    """This child's runner, started with its first row."""
    global _runner
    if _runner is None:
        _runner = Runner()
    return _runner


def portal_settings(portal: Portal) -> dict[str, str]:
    """The portal's own settings, decrypted, as robots read them."""
    return {setting.name: setting.value for setting in portal.settings.all()}


def _settings_of(portal: Portal) -> dict[str, str] | None:
    """None where no key opens one of them: what a robot would do without it nobody knows."""
    try:
        return portal_settings(portal)
    except SecretUnreadable:
        log.error("a portal's setting can't be read", portal=portal.pk)
        return None


def _version(version_id: int | None) -> tuple[RobotVersion, dict[str, Any]]:
    """A published version and its payload, remembered: they never change."""
    if version_id is None:
        raise ValueError("a call without a version is never claimed")
    if version_id not in _versions:
        if len(_versions) > 2000:
            _versions.clear()
        version = RobotVersion.objects.get(pk=version_id)
        _versions[version_id] = (version, json.loads(version.payload_text))
    return _versions[version_id]
