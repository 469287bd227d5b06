"""How much is tried: a fixed number of examples in CI, `FUZZ=50` times as many by `make fuzz`."""

from __future__ import annotations

import os
import resource
import sys
from typing import Any

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("FUZZ", "1"))


def tried(examples: int) -> Any:
    """Hypothesis' settings. Fixtures are shared by the examples on purpose: what one leaves, the next meets.

    In CI the same examples each time, so that a failure is of the change at hand; longer runs look further.
    """
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        derandomize=TIMES == 1,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def largest_mb() -> float:
    """The most memory this process ever held, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024 / 1024
