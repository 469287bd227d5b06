"""The handler call of §6: its form, its one delivery, and the calls that are ordered twice, late or lost."""

from __future__ import annotations

from functools import partial
from typing import Any

from sandbox import faults, php_forms, registry_rules, tokens, values
from sandbox.courier import Courier, Delivery, Post
from sandbox.model import Install, Portal, Process, Registered
from sandbox.world import World, user_of


class HandlerCalls:
    """Puts calls into the queue and writes down what came of them."""

    def __init__(self, world: World, courier: Courier) -> None:
        self.world = world
        self.courier = courier

    def send(
        self, portal: Portal, install: Install, robot: Registered, process: Process, position: int
    ) -> None:
        """Into the queue; the caller holds the world's lock."""
        struck = {
            fault.kind: fault for fault in faults.strikes(portal.faults, faults.QUEUE_KINDS, robot.code)
        }
        step = process.steps[position]
        if "call_lost" in struck:
            step.handler_error = "lost in the portal's queue, as ordered"
            self.world.count(portal, "calls_lost")
            return
        times = 2 if "call_twice" in struck else 1
        late = struck["call_late"].seconds if "call_late" in struck else 0.0
        for _ in range(times):
            self.world.count(portal, "queued")
            step.queued += 1
            post = self._post(portal, install, robot, process, position)
            if late:
                self.world.clock.at(self.world.clock.now() + late, partial(self.courier.post, post))
            else:
                self.courier.post(post)

    def send_left(self) -> None:
        """What was in the queue at the stop, once more into it; the caller holds the world's lock."""
        for portal in self.world.state.portals.values():
            for process in portal.processes.values():
                for position, step in enumerate(process.steps):
                    if step.queued:
                        self._send_left(portal, process, position)

    def _send_left(self, portal: Portal, process: Process, position: int) -> None:
        step = process.steps[position]
        install = portal.installs.get(step.client_id)
        robot = install.robots.get(step.code) if install else None
        if install is None or robot is None:
            step.queued, step.handler_error = 0, "left in the queue at the stop, and its robot is gone"
            return
        for _ in range(step.queued):
            self.world.count(portal, "queued")
            self.courier.post(self._post(portal, install, robot, process, position))

    def _post(
        self, portal: Portal, install: Install, robot: Registered, process: Process, position: int
    ) -> Post:
        url = robot.handler

        def form() -> str:
            with self.world.lock:
                # From here on it counts as sent: the platform never sends a call twice.
                process.steps[position].queued -= 1
                return php_forms.encode(self.form(portal, install, robot, process, position))

        return Post(
            url,
            form,
            lambda delivery: self._done(portal, process, position, url, delivery),
            portal.call_timeout,
        )

    def form(
        self, portal: Portal, install: Install, robot: Registered, process: Process, position: int
    ) -> dict[str, Any]:
        step = process.steps[position]
        inputs = registry_rules.effective(robot.properties, robot.return_properties)[0]
        step.sent = values.send_all(portal, inputs, step.properties, step.odd)
        return {
            "workflow_id": process.id,
            "code": robot.code,
            "document_id": process.document_id,
            "document_type": process.document_type,
            "event_token": tokens.event_token(self.world, process.id, step.token_id),
            "properties": step.sent,
            "use_subscription": "Y" if step.waits else "N",
            "timeout_duration": step.timeout,
            "ts": int(step.called_at),
            "auth": self._auth(portal, install, robot),
        }

    def _auth(self, portal: Portal, install: Install, robot: Registered) -> dict[str, Any]:
        """Tokens of AUTH_USER_ID where there is such a user; member_id and application_token always (§6)."""
        auth: dict[str, Any] = {}
        user = user_of(portal, robot.auth_user_id)
        if user is not None and user.active and portal.call_tokens:
            auth.update(tokens.pair(self.world, portal, install, user.id))
            auth["user_id"] = user.id
        application = self.world.state.applications.get(install.client_id)
        auth.update(
            scope=application.scope if application else "",
            domain=self.world.domain(portal),
            server_endpoint=self.world.server_endpoint(portal),
            client_endpoint=self.world.client_endpoint(portal),
            status=application.status if application else "L",
            member_id=portal.member_id,
            application_token=install.application_token,
        )
        return auth

    def _done(self, portal: Portal, process: Process, position: int, url: str, delivery: Delivery) -> None:
        with self.world.lock:
            step = process.steps[position]
            step.handler_status, step.handler_ms = delivery.status, delivery.ms
            step.handler_error = delivery.error
            good = 200 <= delivery.status < 300
            self.world.count(portal, "queued", -1)
            self.world.count(portal, "handler_calls")
            self.world.count(portal, "handler_ok" if good else "handler_failed")
            self.world.peak(portal, "handler_max_ms", delivery.ms)
            self.world.books(portal).calls.add(
                {
                    "at": self.world.clock.now(),
                    "kind": "handler",
                    "url": url,
                    "code": step.code,
                    "process": process.id,
                    "step": position,
                    "status": delivery.status,
                    "ms": delivery.ms,
                    "error": delivery.error,
                }
            )
