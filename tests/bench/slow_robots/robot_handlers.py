"""A robot of the benches that holds its child for as long as it is told."""

from __future__ import annotations

import time

from robots.compute import Call, Result, robot_handler


@robot_handler("bench.sleep")
def sleep(call: Call) -> Result:
    """Sleeps `seconds`."""
    time.sleep(float(call.inputs["seconds"] or 0))
    return Result({"slept": call.inputs["seconds"]})
