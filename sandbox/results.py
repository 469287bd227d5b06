"""`bizproc.event.send` and `bizproc.activity.log` in both generations: the table of §7."""

from __future__ import annotations

from typing import Any

from sandbox import tokens
from sandbox.model import Portal, Process, Step
from sandbox.rest_call import Call
from sandbox.rest_errors import RestFailure, denied


def event_send(call: Call) -> bool:
    """True means taken. Background: what becomes of it is decided after the answer;
    at once: inside the call."""
    portal, engine = call.portal, call.engine
    with call.world.lock:
        process_id, token_id = read_token(call)
        given = call.get("RETURN_VALUES")
        sent: dict[str, Any] = given if isinstance(given, dict) else {}
        log = call.get("LOG_MESSAGE")
        log = log if isinstance(log, str) and log else None
        situation, process, step = engine.situation(portal, process_id, token_id)
        entry = engine.record(portal, token_id, step, sent, log)
        if portal.generation == "background":
            call.after.append(lambda: take_later(call, process_id, token_id, sent, log, entry))
            entry["outcome"] = "taken"
            return True
        entry["outcome"] = {"waits": "resumed", "spent": "ignored"}.get(situation, f"refused: {situation}")
        if situation == "spent":
            return True
        if situation != "waits" or process is None or step is None:
            raise refusal(portal, situation)
        pause = portal.continuation_seconds
        if pause:
            process.locked_until = call.world.clock.now() + pause
    if pause:
        call.spend(pause)
    with call.world.lock:
        if step.state == "waiting":
            process.locked_until = min(process.locked_until, call.world.clock.now())
            engine.resume(portal, process, step, sent, log)
    return True


def take_later(
    call: Call, process_id: str, token_id: str, sent: dict[str, Any], log: str | None, entry: dict[str, Any]
) -> None:
    """The background generation, right after its answer: resumes, ignores, or loses the result in silence."""
    portal, engine = call.portal, call.engine
    with call.world.lock:
        situation, process, step = engine.situation(portal, process_id, token_id)
        entry["outcome"] = {
            "waits": "resumed",
            "unsaved": "lost: not saved yet",
            "locked": "lost: locked",
        }.get(situation, "ignored")
        if situation in ("unsaved", "locked"):
            engine.lose(portal, step)
        elif situation == "waits" and process is not None and step is not None:
            pause = portal.continuation_seconds
            if not pause:
                engine.resume(portal, process, step, sent, log)
                return
            process.locked_until = call.world.clock.now() + pause
            call.world.clock.at(process.locked_until, lambda: finish(call, process, step, sent, log))


def finish(call: Call, process: Process, step: Step, sent: dict[str, Any], log: str | None) -> None:
    with call.world.lock:
        if step.state == "waiting" and process.alive:
            call.engine.resume(call.portal, process, step, sent, log)


def activity_log(call: Call) -> bool:
    """A line in the process's log while it waits; at once, with the errors of the right column (§7)."""
    with call.world.lock:
        process_id, token_id = read_token(call)
        text = call.get("LOG_MESSAGE")
        if not isinstance(text, str) or not text.strip():
            raise RestFailure("ERROR_EMPTY_LOG_MESSAGE", "Empty log message!")
        situation, process, _ = call.engine.situation(call.portal, process_id, token_id)
        if situation == "spent":
            return True
        if situation != "waits" or process is None:
            raise refusal(call.portal, situation)
        call.engine.note(process, text)
        call.world.count(call.portal, "logs")
        return True


def read_token(call: Call) -> tuple[str, str]:
    facts = tokens.read_event_token(call.world, call.get("EVENT_TOKEN"))
    if facts is None:
        raise denied()
    return facts


def refusal(portal: Portal, situation: str) -> RestFailure:
    """404 where the process is gone or not saved yet,
    423 where another hit holds it; a number or its text (§7)."""
    number, text = (423, "Workflow is locked") if situation == "locked" else (404, "Workflow not found")
    return RestFailure(str(number) if portal.error_404_as_text else number, text)
