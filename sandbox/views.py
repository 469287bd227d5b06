"""State as JSON for the control API and the pages: what there is, in words that a test can assert on."""

from __future__ import annotations

from typing import Any

from sandbox import registry_rules
from sandbox.model import Application, Install, Portal, Process, Registered, Step
from sandbox.processes import modified, owned_until
from sandbox.world import World

HIDDEN = ("installs", "processes", "faults", "answered", "counters", "bucket_level", "bucket_at", "users")
COUNTERS = (
    "processes",
    "timed_out",
    "lost",
    "sends",
    "sends_lost",
    "sends_repeated",
    "distinct",
    "doubled",
    "logs",
    "handler_calls",
    "handler_ok",
    "handler_failed",
    "handler_max_ms",
    "queued",
    "calls_lost",
    "requests",
    "commands",
    "limit_503",
    "limit_429",
    "faults_played",
    "max_request_seconds",
    "token_exchanges",
    "authorisations_killed",
    "burst_refused",
)
STATES = ("waiting", "running", "finished", "faulted", "terminated")


def application_view(application: Application) -> dict[str, Any]:
    return dict(vars(application))


def portal_view(world: World, portal: Portal) -> dict[str, Any]:
    view = {name: value for name, value in vars(portal).items() if name not in HIDDEN}
    view.update(
        client_endpoint=world.client_endpoint(portal),
        domain=world.domain(portal),
        server_endpoint=world.server_endpoint(portal),
        webhook=f"{world.client_endpoint(portal)}1/{portal.webhook_key}/",
        users=[dict(vars(user)) for user in portal.users],
        installs={client_id: install_view(install) for client_id, install in portal.installs.items()},
        faults=[dict(vars(fault)) for fault in portal.faults],
        stats=stats_view(portal),
    )
    return view


def install_view(install: Install) -> dict[str, Any]:
    return {
        "client_id": install.client_id,
        "application_token": install.application_token,
        "installed": install.installed,
        "version": install.version,
        "user_id": install.user_id,
        "paid": install.paid,
        "days": install.days,
        "bindings": [{"event": item.event, "handler": item.handler} for item in install.bindings],
        "robots": sorted(install.robots),
        "operating": {name: round(sum(baskets.values()), 3) for name, baskets in install.baskets.items()},
    }


def robot_view(robot: Registered) -> dict[str, Any]:
    dropped = registry_rules.effective(robot.properties, robot.return_properties)[2]
    return {**vars(robot), "dropped": dropped}


def stats_view(portal: Portal) -> dict[str, Any]:
    counters = portal.counters
    view: dict[str, Any] = {name: counters.get(name, 0) for name in COUNTERS}
    view.update({state: counters.get(f"state_{state}", 0) for state in STATES})
    view["queued"] = max(0, view["queued"])
    return view


def process_view(process: Process, now: float, full: bool = False) -> dict[str, Any]:
    step = process.step
    view = {
        "id": process.id,
        "number": process.number,
        "state": process.state,
        "fault": process.fault,
        "document_id": process.document_id,
        "document_type": process.document_type,
        "position": process.position,
        "steps_total": len(process.steps),
        "code": step.code,
        "client_id": step.client_id,
        "started_at": process.started_at,
        "ended_at": process.ended_at,
        "saved": process.saved_at <= now,
        "modified": modified(process, now),
        "owned_until": owned_until(process, now),
        "is_timeout": step.is_timeout,
        "values": step.values,
        "sends": sum(item.sends for item in process.steps),
        "lost": sum(item.lost for item in process.steps),
        "handler_status": step.handler_status,
        "handler_ms": step.handler_ms,
    }
    if full:
        view["steps"] = [step_view(item) for item in process.steps]
        view["log"] = [dict(line) for line in process.log]
    return view


def step_view(step: Step) -> dict[str, Any]:
    view = dict(vars(step))
    view["results"] = [dict(item) for item in step.results]
    return view
