"""Workflows on documents: start, call a robot, wait, go on, time out (§6, §7)."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from sandbox import registry_rules, tokens, values
from sandbox.chance import draw
from sandbox.handler_calls import HandlerCalls
from sandbox.model import Portal, Process, Step
from sandbox.world import World

ANSWERED_KEPT = 500_000
RESULTS_KEPT = 5


class Processes:
    """The engine of all portals. Every method expects the world's lock to be held."""

    def __init__(self, world: World, calls: HandlerCalls) -> None:
        self.world = world
        self.calls = calls

    # -- starting and calling --------------------

    def start(
        self,
        portal: Portal,
        steps: list[Step],
        document_id: list[str],
        document_type: list[str],
        user_id: int = 1,
        save: Any = None,
        lock: float | None = None,
    ) -> Process:
        number = self.world.serial()
        process = Process(
            id=f"{secrets.token_hex(7)}.{number:08}",
            number=number,
            document_id=document_id,
            document_type=document_type,
            started_at=self.world.clock.now(),
            user_id=user_id,
            steps=steps,
            save=save,
            lock=lock,
        )
        portal.processes[process.id] = process
        self.world.count(portal, "processes")
        self.world.count(portal, f"state_{process.state}")
        self._call(portal, process)
        return process

    def _call(self, portal: Portal, process: Process) -> None:
        """The process has come to a step: its robot is called, once,
        and the process waits where the step does."""
        now, step = self.world.clock.now(), process.step
        install = portal.installs.get(step.client_id)
        robot = install.robots.get(step.code) if install else None
        why = ""
        if install is None or robot is None:
            why = "the robot is blocked: its application is not there, or has not registered it again"
        elif not install.paid or portal.licence_lapsed:
            why = "the application is not paid for: it is not called"
        elif portal.deleted:
            why = "the portal is deleted: nothing is called"
        elif not portal.commercial:
            why = "the plan has lapsed: the application is not called"
        if install is None or robot is None or why:
            step.state = "faulted"
            self._end(portal, process, "faulted", why)
            return
        step.called_at = now
        step.saved_at = now + self._save_delay(portal, process)
        if process.position == 0:
            process.saved_at = step.saved_at
        step.token_id = f"A{process.number}_{process.position}_{secrets.randbelow(10**10):010}"
        step.waits = (step.subscription or robot.use_subscription or "N") == "Y"
        step.state = "waiting" if step.waits else "not_awaited"
        lock = self._lock_seconds(portal, process)
        if lock > 0:
            process.locked_until = now + lock
        self.note(process, f"{values.local_name(robot.name, portal.language)}: called")
        self.calls.send(portal, install, robot, process, process.position)
        if not step.waits:
            self._go_on(portal, process)
            return
        self._state(portal, process, "waiting")
        if step.timeout > 0:
            self.schedule_timeout(portal, process)

    def schedule_timeout(self, portal: Portal, process: Process) -> None:
        step = process.step
        self.world.clock.at(int(step.called_at) + step.timeout, lambda: self._time_out(portal, process, step))

    def _time_out(self, portal: Portal, process: Process, step: Step) -> None:
        with self.world.lock:
            if not process.alive or process.step is not step or step.state != "waiting":
                return
            step.state, step.is_timeout, step.answered_at = "timed_out", "1", self.world.clock.now()
            self.world.count(portal, "timed_out")
            self.note(process, "The wait is over: IsTimeout=1")
            self._found(portal, step)
            self._go_on(portal, process)

    def _save_delay(self, portal: Portal, process: Process) -> float:
        wish = portal.save if process.save is None else process.save
        if isinstance(wish, list):
            low, high = float(wish[0]), float(wish[-1])
            return low + (high - low) * draw(portal.seed, "save", process.number, process.position)
        return float(wish or 0)

    def _lock_seconds(self, portal: Portal, process: Process) -> float:
        if process.lock is not None:
            return process.lock if process.position == 0 else 0.0
        if not portal.lock:
            return 0.0
        chance = draw(portal.seed, "lock", process.number, process.position)
        return portal.lock.get("seconds", 300.0) if chance < portal.lock.get("probability", 0.0) else 0.0

    # -- answers --------------------

    def situation(
        self, portal: Portal, process_id: str, token_id: str
    ) -> tuple[str, Process | None, Step | None]:
        """The row of §7's table that a token is in: gone, spent, unsaved, locked or waits."""
        process, now = portal.processes.get(process_id), self.world.clock.now()
        if process is None:
            return "gone", None, None
        step = next((step for step in process.steps if step.token_id == token_id), None)
        if not process.alive or step is None:
            return "gone", process, step
        if step.state != "waiting" or process.step is not step:
            return "spent", process, step
        if now < step.saved_at:
            return ("unsaved" if process.position == 0 else "locked"), process, step
        return ("locked" if now < process.locked_until else "waits"), process, step

    def record(
        self, portal: Portal, token_id: str, step: Step | None, sent: dict[str, Any], log: Any
    ) -> dict[str, Any]:
        """Notes a result that was sent, whatever becomes of it,
        and whether it differs from the token's first one (§7)."""
        text = json.dumps([plain(sent), "" if log is None else str(log)], sort_keys=True, ensure_ascii=False)
        content = hashlib.sha256(text.encode()).hexdigest()[:16]
        first = portal.answered.setdefault(token_id, content)
        self.world.count(portal, "sends")
        if first != content:
            self.world.count(portal, "doubled")
        if len(portal.answered) > ANSWERED_KEPT:
            del portal.answered[next(iter(portal.answered))]
        entry = {
            "at": self.world.clock.now(),
            "hash": content,
            "values": sent,
            "log": log,
            "outcome": "",
            "times": 1,
        }
        if step is None:
            return entry
        step.sends += 1
        if step.sends == 1:
            self.world.count(portal, "distinct")
        else:
            self.world.count(portal, "sends_repeated")
        if len(step.results) < RESULTS_KEPT:
            step.results.append(entry)
        return entry

    def lose(self, portal: Portal, step: Step | None) -> None:
        """A result the background generation took and nobody got."""
        self.world.count(portal, "sends_lost")
        if step is not None:
            step.lost += 1
            if step.lost == 1:
                self.world.count(portal, "lost")

    def _found(self, portal: Portal, step: Step) -> None:
        if step.lost:
            self.world.count(portal, "lost", -1)

    def resume(self, portal: Portal, process: Process, step: Step, sent: dict[str, Any], log: Any) -> None:
        """The process takes the values and goes on to its next step."""
        install = portal.installs.get(step.client_id)
        robot = install.robots.get(step.code) if install else None
        if robot is not None:
            outputs = registry_rules.effective(robot.properties, robot.return_properties)[1]
            names = {key.lower(): key for key in outputs}
            step.values = {names[key.lower()]: value for key, value in sent.items() if key.lower() in names}
            step.unknown = [key for key in sent if key.lower() not in names]
        else:
            step.values = dict(sent)
        step.state, step.is_timeout, step.answered_at = "answered", "0", self.world.clock.now()
        self._found(portal, step)
        self.note(process, str(log) if log else "The application answered")
        self._go_on(portal, process)

    def _go_on(self, portal: Portal, process: Process) -> None:
        process.modified = self.world.clock.now()
        if process.position + 1 < len(process.steps):
            process.position += 1
            self._call(portal, process)
        else:
            self._end(portal, process, "finished")

    # -- ends --------------------

    def stop(self, portal: Portal, process: Process, state: str = "terminated") -> None:
        """Terminated or killed by a person or by REST."""
        if process.alive:
            self._found(portal, process.step)
            process.step.state = state
            self._end(portal, process, "terminated", state)

    def _end(self, portal: Portal, process: Process, state: str, why: str = "") -> None:
        process.ended_at = process.modified = self.world.clock.now()
        process.fault = why
        if why:
            self.note(process, why)
        self._state(portal, process, state)
        ended = self.world.books(portal).ended
        ended.append(process.id)
        while len(ended) > self.world.keep_processes:
            portal.processes.pop(ended.popleft(), None)

    def _state(self, portal: Portal, process: Process, state: str) -> None:
        self.world.count(portal, f"state_{process.state}", -1)
        process.state = state
        self.world.count(portal, f"state_{state}")

    def note(self, process: Process, text: str) -> None:
        if len(process.log) < 200:
            process.log.append({"at": self.world.clock.now(), "text": text})

    def token_of(self, process: Process, step: Step) -> str:
        return tokens.event_token(self.world, process.id, step.token_id)


def plain(value: Any) -> Any:
    """Values as a form would carry them, so that 5 in JSON and "5" in a batch command are one result, not
    two.
    """
    if isinstance(value, dict):
        return {str(key).lower(): plain(item) for key, item in value.items() if item not in (None, [], {})}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bool):
        return str(int(value))
    return "" if value is None else str(value)


def modified(process: Process, now: float) -> float:
    """When the process last moved: saved, freed of a lock, gone on (§7)."""
    moments = [process.modified, process.saved_at, process.locked_until, process.step.saved_at]
    return max((moment for moment in moments if moment <= now), default=process.started_at)


def owned_until(process: Process, now: float) -> float | None:
    """Until when another hit holds it; None where nobody does."""
    latest = max(process.locked_until, process.step.saved_at)
    return latest if latest > now else None
