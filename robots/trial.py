"""A test run: a definition computed once; no result is sent anywhere.

It goes through a runner of its own like any call, so that what hangs, eats memory or exits ends there,
and the web process only waits. `call.portal.client` and `.settings` say *not in a test run*, unless `rest` is
given (a sandbox portal that a person chose).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robots.job import Job, Outcome
from robots.property_map import property_map
from robots.runner import Rest, Runner

TIME_LIMIT = 20.0


def run_trial(
    definition: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    zone: str = "UTC",
    date_format: str = "",
    rest: Rest | None = None,
    settings: Mapping[str, str] | None = None,
    domain: str = "",
    member_id: str = "",
    time_limit: float = TIME_LIMIT,
    runner: Runner | None = None,
) -> Outcome:
    """`inputs` raw, as a form would bring them (id → text or list of texts); `definition` of the catalog's
    shape, checked by rules. `runner` None starts one and ends it afterwards. Raises RunnerUnavailable."""
    job = Job(
        call_id="trial",
        code=str(definition.get("code") or ""),
        compute=dict(definition.get("compute") or {}),
        properties=property_map(definition.get("properties") or ()),
        return_properties=property_map(definition.get("return_properties") or ()),
        inputs=dict(inputs),
        zone=zone,
        date_format=date_format,
        settings=dict(settings or {}),
        waits=definition.get("subscription") != "no_wait",
        trial=rest is None,
        domain=domain,
        member_id=member_id,
    )
    if runner is not None:
        return runner.run(job, rest, time_limit)
    with Runner() as own:
        return own.run(job, rest, time_limit)
