"""Jobs of the sample handlers, for tests of the runner."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import Any

from robots.job import Job

APPS = {"ROBOT_APPS": "tests.robots.sample_handlers", "DJANGO_SETTINGS_MODULE": "tests.settings"}
PROPERTIES = {
    "amount": {"Type": "double"},
    "percent": {"Type": "double", "Default": "10"},
    "away": {"Type": "bool"},
}
RETURNS = {"total": {"Type": "double"}, "text": {"Type": "text"}}


def job(function: str, **changes: Any) -> Job:
    """A job of `sample.<function>` with the inputs amount = 1000.50."""
    fields: dict[str, Any] = {
        "call_id": "call-1",
        "code": "discount",
        "compute": {"type": "python", "function": f"sample.{function}"},
        "properties": PROPERTIES,
        "return_properties": RETURNS,
        "inputs": {"amount": "1000.50"},
        "settings": {"erp_key": "very/secret key"},
    }
    return Job(**{**fields, **changes})


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process is gone; waits for it, since SIGKILL takes the system a moment."""
    if not hasattr(os, "pidfd_open"):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            os.sched_yield()
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def end(pid: int) -> None:
    """SIGKILL, whether it is still there or not."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
