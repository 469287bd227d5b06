"""Robots of the demo that are written in Python."""

from __future__ import annotations

import datetime as dt
import re

from robots.compute import Call, Result, robot_handler

SATURDAY = 5


@robot_handler("demo.working_day")
def working_day(call: Call) -> Result:
    """The date so many working days after `start`, before it where they are below zero; `start` itself for 0.
    Monday to Friday; holidays are another robot's."""
    day: dt.date = call.inputs["start"]
    days = int(call.inputs["days"] or 0)
    left, step = abs(days), dt.timedelta(days=1 if days > 0 else -1)
    while left > 0:
        day += step
        if day.weekday() < SATURDAY:
            left -= 1
    return Result({"due": day, "weekday": day.strftime("%A")})


@robot_handler("demo.split_list")
def split_list(call: Call) -> Result:
    """The parts of a text between separators, trimmed, without empty ones and repeats."""
    separator = call.inputs["separator"] or ","
    parts = [part.strip() for part in (call.inputs["text"] or "").split(separator)]
    unique = list(dict.fromkeys(part for part in parts if part))
    return Result({"parts": unique, "count": len(unique)}, log=f"{len(unique)} parts")


@robot_handler("demo.phone")
def phone(call: Call) -> Result:
    """A telephone number as +digits; Russian numbers written with 8 or without a country are understood."""
    digits = re.sub(r"\D", "", call.inputs["number"] or "")
    if len(digits) == 11 and digits[0] == "8":
        digits = "7" + digits[1:]
    elif len(digits) == 10:
        digits = "7" + digits
    valid = 11 <= len(digits) <= 15
    return Result({"phone": f"+{digits}" if valid else "", "valid": valid})


@robot_handler("demo.who_asks")
def who_asks(call: Call) -> Result:
    """Asks the portal itself, by REST, whose token the hub works with; writes into the process's log."""
    profile = call.portal.client.call("profile")
    name = " ".join(part for part in (profile.get("NAME"), profile.get("LAST_NAME")) if part)
    call.log(f"The portal answered: {name or profile['ID']}")
    return Result({"name": name, "user": int(profile["ID"]), "administrator": bool(profile["ADMIN"])})
