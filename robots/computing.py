"""One job computed in this process: inputs typed, code run, result checked, failures told without a secret.

Runs in the runner; nothing here touches a pipe, a portal or a database.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any

from django.utils.translation import gettext as _

from robots.compute import (
    Call,
    CallPortal,
    CodeMissing,
    NotInTestRun,
    PortalClient,
    PortalError,
    Result,
    find_type,
)
from robots.hiding import Scrubber
from robots.job import Job, Outcome
from robots.types import InputError, OutputError, typed_inputs, wire_outputs

MAX_LINES = 50
MAX_LOG = 4_000
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep


class NoSettings(Mapping[str, str]):
    """`call.portal.settings` of a test run."""

    def __getitem__(self, key: str) -> str:
        raise NotInTestRun

    def __iter__(self) -> Any:
        raise NotInTestRun

    def __len__(self) -> int:
        raise NotInTestRun


def warm() -> None:
    """Loads what the first call would otherwise pay for."""
    typed_inputs({"x": {"Type": "double"}, "y": {"Type": "datetime"}}, {"x": "1", "y": "24.11.2026 10:00:00"})
    gc.collect()


def compute_job(
    job: Job,
    client: PortalClient,
    say_line: Callable[[str], None],
    say_started: Callable[[str], None],
) -> Outcome:
    """Never raises. `say_started` gets the code's revision before any of it runs, `say_line` each
    call.log."""
    hide = Scrubber(job.settings)
    revision = ""
    try:
        kind = find_type(job.compute.get("type"))
        revision = kind.revision(job.compute)
        say_started(revision)
        call = _call(job, client, hide, say_line)
        outcome = _checked(job, kind.run(job.compute, call), hide)
    except CodeMissing as error:
        outcome = Outcome(False, "code_unknown", sentence=hide(str(error)))
    except InputError as error:
        outcome = Outcome(False, "input_wrong", sentence=hide(str(error)))
    except OutputError as error:
        outcome = Outcome(False, "output_wrong", sentence=hide(str(error)))
    except MemoryError as error:
        outcome = Outcome(
            False, "memory", error=_told(error, hide), sentence=_("The robot ran out of memory.")
        )
    except BaseException as error:  # sys.exit() in robot code is its error, not our end
        told = _told(error, hide)
        outcome = Outcome(False, "robot_error", error=told, sentence=_sentence(told))
        if isinstance(error, PortalError):
            outcome.retry_after, outcome.waits_for = error.retry_after, error.waits_for
    outcome.revision = revision
    return outcome


def _call(job: Job, client: PortalClient, hide: Scrubber, say_line: Callable[[str], None]) -> Call:
    inputs = typed_inputs(job.properties, job.inputs, job.zone, job.date_format)
    said = 0

    def log(text: str) -> None:
        nonlocal said
        said += 1
        if said <= MAX_LINES:
            say_line(hide.cut(text, MAX_LOG))

    settings: Mapping[str, str] = NoSettings() if job.trial else MappingProxyType(job.settings)
    portal = CallPortal(client, settings, job.domain, job.member_id, job.zone)
    document = tuple(str(part) for part in job.document_id)
    return Call(job.call_id, job.code, inputs, portal, job.waits, job.workflow_id, document, log)


def _checked(job: Job, result: object, hide: Scrubber) -> Outcome:
    if not isinstance(result, Result):
        raise OutputError(
            "", _("Robot code must return Result(values, log=None), not %s.") % type(result).__name__
        )
    if result.log is not None and not isinstance(result.log, str):
        raise OutputError("", _("The result's log must be text, not %s.") % type(result.log).__name__)
    values = wire_outputs(job.return_properties, result.values, job.zone)
    log = None if result.log is None else hide.cut(result.log, MAX_LOG)
    return Outcome(True, values=values, log=log)


def _told(error: BaseException, hide: Scrubber) -> dict[str, Any]:
    """{type, message, file, line}: no locals, no traceback, the line of the integrator's own code."""
    try:
        message = str(error)
    except Exception:
        message = ""  # a __str__ that raises has nothing to say
    file, line = _own_line(error.__traceback__)
    return {
        "type": type(error).__name__[:200],
        "message": hide.cut(message, 2_000),
        "file": file,
        "line": line,
    }


def _own_line(traceback: TracebackType | None) -> tuple[str, int]:
    """The last frame of the package that our code called into: not ours, not a library's it used."""
    package: str | None = None
    place = ("", 0)
    while traceback is not None:
        code, module = traceback.tb_frame.f_code, traceback.tb_frame.f_globals.get("__name__", "")
        if not code.co_filename.startswith(_OURS):
            package = package or module.partition(".")[0]
            if module.partition(".")[0] == package:
                place = (_short_path(code.co_filename), traceback.tb_lineno)
        traceback = traceback.tb_next
    return place


def _short_path(path: str) -> str:
    """As the module is found: `shop/robot_handlers.py`, not where the machine keeps it."""
    roots = [root.rstrip(os.sep) + os.sep for root in sys.path if root]
    fitting = [root for root in roots if path.startswith(root)]
    return path[len(max(fitting, key=len)) :] if fitting else os.path.basename(path)


def _sentence(told: Mapping[str, Any]) -> str:
    where = _(" in %(file)s, line %(line)s") % told if told["file"] else ""
    said = f": {told['message']}" if told["message"] else ""
    return f"{told['type']}{where}{said}"[:500]
