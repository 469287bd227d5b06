"""REST of a portal: faults, limits, authorisation and the method itself,
in the order a portal checks them (§4)."""

from __future__ import annotations

import json
import time
from typing import Any

from sandbox import faults, limits, rest_auth, values
from sandbox.batch import Answered, run_batch
from sandbox.http_server import Reply, Request, html_reply, json_reply, redirect
from sandbox.methods import METHODS
from sandbox.model import Fault, Portal
from sandbox.processes import Processes
from sandbox.rest_call import Call, Caller, Overrun, Page
from sandbox.rest_errors import COMMON, RestFailure, common, expired_token, method_not_found
from sandbox.world import World

HIDDEN = ("auth", "access_token")
TEXT_KEPT = 1500


class Rest:
    """Answers ``…/rest/<method>`` of any portal."""

    def __init__(self, world: World, engine: Processes) -> None:
        self.world = world
        self.engine = engine

    def answer(self, portal: Portal, moved: bool, tail: str, request: Request) -> Reply:
        """``tail`` is what stands after ``/rest/``: a method, or a webhook's user, key and method."""
        parts = [part for part in tail.split("/") if part]
        method = parts[-1].lower().removesuffix(".json") if parts else ""
        entry: dict[str, Any] = {
            "at": self.world.clock.now(),
            "method": method,
            "verb": request.verb,
            "client_id": "",
        }
        started = time.monotonic()
        with self.world.lock:
            self.world.count(portal, "requests")
            struck = faults.strikes(portal.faults, faults.REQUEST_KINDS, method) if not moved else []
        try:
            reply = self._faulty(portal, moved, tail, parts, method, request, struck, entry)
        finally:
            entry["seconds"] = round(time.monotonic() - started, 4)
            with self.world.lock:
                self.world.books(portal).requests.add(entry)
                self.world.peak(portal, "max_request_seconds", entry["seconds"])
                if struck:
                    self.world.count(portal, "faults_played", len(struck))
        entry["status"] = 0 if reply.drop else reply.status
        return reply

    def _faulty(
        self,
        portal: Portal,
        moved: bool,
        tail: str,
        parts: list[str],
        method: str,
        request: Request,
        struck: list[Fault],
        entry: dict[str, Any],
    ) -> Reply:
        """Whatever was ordered to go wrong before the request,
        then the request, then what goes wrong after it."""
        if moved:
            return redirect(self.world.client_endpoint(portal) + tail, portal.moved_status)
        entry["faults"] = [fault.kind for fault in struck]
        for fault in struck:
            if fault.kind == "latency":
                time.sleep(fault.seconds)
        for fault in struck:
            early = before(fault)
            if early is not None:
                entry["error"] = fault.error or fault.kind
                return early
        reply = self._serve(portal, parts, method, request, entry)
        for fault in struck:
            if fault.kind in ("drop_after", "silence_after"):
                for action in reply.after:
                    action()
                time.sleep(fault.seconds if fault.kind == "silence_after" else 0)
                return Reply(drop=True)
        return reply

    def _serve(
        self, portal: Portal, parts: list[str], method: str, request: Request, entry: dict[str, Any]
    ) -> Reply:
        start, begun = self.world.clock.now(), time.monotonic()
        after: list[Any] = []
        try:
            with self.world.lock:
                refusal = rest_auth.portal_refuses(portal)
                if refusal:
                    raise refusal
                if not limits.pour(portal, request.peer, start):
                    self.world.count(portal, "limit_503")
                    raise common("503")
                params = request.params()
                caller = self._caller(portal, parts, request, params)
                entry["client_id"] = caller.application.client_id if caller.application else "webhook"
                entry["user"] = caller.user.id
                refusal = rest_auth.plan_refuses(portal, caller.install)
                if refusal:
                    raise refusal
            params = {name: value for name, value in params.items() if name not in HIDDEN}
            call = Call(
                self.world, self.engine, portal, caller, method, params, begun + portal.request_seconds, after
            )
            if method == "batch":
                body = self._batch(call, entry, start, begun)
            else:
                entry["params"] = short(params)
                done = self._command(call)
                if done.error is not None:
                    raise RestFailure(
                        done.error["error"], done.error["error_description"], done.error["status"]
                    )
                body = page_body(done)
        except RestFailure as failure:
            entry["error"] = failure.code
            reply = json_reply(failure.body(), failure.status)
        except RecursionError:
            entry["error"] = "INTERNAL_SERVER_ERROR"
            reply = json_reply(common("500").body(), 500)
        except Overrun:
            entry["error"] = "overrun"
            reply = html_reply(
                "<html><head><title>504 Gateway Time-out</title></head><body>504</body></html>", 504
            )
        else:
            reply = json_reply(body)
        reply.after = after
        return reply

    def _caller(self, portal: Portal, parts: list[str], request: Request, params: dict[str, Any]) -> Caller:
        if len(parts) >= 3:
            return rest_auth.by_webhook(portal, parts[0], parts[1])
        return rest_auth.by_token(self.world, portal, rest_auth.token_of(request, params))

    def _batch(self, call: Call, entry: dict[str, Any], start: float, begun: float) -> dict[str, Any]:
        commands: list[dict[str, Any]] = []
        entry["commands"] = commands

        def run(key: str, method: str, params: dict[str, Any]) -> Answered:
            inner = Call(
                self.world,
                self.engine,
                call.portal,
                call.caller,
                method,
                {name: value for name, value in params.items() if name not in HIDDEN},
                call.deadline,
                call.after,
            )
            inner.check_time()
            done = self._command(inner)
            note = {"key": key, "method": method, "seconds": round(done.time.get("duration", 0.0), 4)}
            if done.error is not None:
                note["error"] = done.error["error"]
                done.error.pop("status", None)
            note["params"] = short(inner.params)[:300]
            commands.append(note)
            inner.check_time()
            return done

        result = run_batch(call.params, run)
        return {
            "result": result,
            "time": time_block(call.portal, start, begun, self.world, (0.0, start + 600)),
        }

    def _command(self, call: Call) -> Answered:
        """One command with its own checks: in the plan, the scope, operating time (§4, §5)."""
        start, begun = self.world.clock.now(), time.monotonic()
        portal, install = call.portal, call.caller.install
        try:
            with self.world.lock:
                self.world.count(portal, "commands")
                self._command_faults(portal, call.method)
                method = METHODS.get(call.method)
                if method is None or not method.in_plan(portal):
                    raise method_not_found()
                held = set(METHODS["scope"].run(call))
                if call.caller.application is not None and method.scopes and not held & set(method.scopes):
                    raise RestFailure("insufficient_scope", "The request requires higher privileges", 403)
                if not limits.may_operate(portal, install, call.method, start):
                    self.world.count(portal, "limit_429")
                    raise common("429")
            result = method.run(call)
            failure = None
        except RestFailure as caught:
            result, failure = None, caught
        worked = time.monotonic() - begun
        if call.method in portal.operating:
            worked = portal.operating[call.method] + call.extra_operating
        with self.world.lock:
            operating = (
                limits.charge(portal, install, call.method, worked, start) if failure is None else None
            )
        block = time_block(portal, start, begun, self.world, operating)
        if failure is not None:
            return Answered(error={**failure.body(), "status": failure.status}, time=block)
        if isinstance(result, Page):
            return Answered(result.items, None, block, result.total, result.next)
        return Answered(result, None, block)

    def _command_faults(self, portal: Portal, method: str) -> None:
        for fault in faults.strikes(portal.faults, faults.REQUEST_KINDS, method, "command"):
            self.world.count(portal, "faults_played")
            raise failure_of(fault, portal.error_404_as_text)


def before(fault: Fault) -> Reply | None:
    """The answer of a fault that strikes before the request takes effect."""
    if fault.kind == "drop_before":
        return Reply(drop=True)
    if fault.kind == "silence":
        time.sleep(fault.seconds)
        return Reply(drop=True)
    if fault.kind == "html":
        return html_reply(
            "<!doctype html><html><body><h1>Something went wrong</h1></body></html>", fault.status or 502
        )
    if fault.kind in ("error", "expired_token") or fault.kind in COMMON:
        failure = failure_of(fault, as_text=False)
        return json_reply(failure.body(), failure.status)
    return None


def failure_of(fault: Fault, as_text: bool) -> RestFailure:
    if fault.kind in COMMON:
        return common(fault.kind)
    if fault.kind == "expired_token":
        return expired_token()
    code: str | int = "ERROR_CORE" if fault.error is None else fault.error
    if str(code).isdigit() and not as_text:
        code = int(code)
    return RestFailure(code, fault.description or str(fault.error or "ordered fault"), fault.status or 400)


def page_body(done: Answered) -> dict[str, Any]:
    body: dict[str, Any] = {"result": done.result}
    if done.next is not None:
        body["next"] = done.next
    if done.total is not None:
        body["total"] = done.total
    body["time"] = done.time
    return body


def time_block(
    portal: Portal, start: float, begun: float, world: World, operating: tuple[float, float] | None
) -> dict[str, Any]:
    """``operating*`` is absent on a box (§4)."""
    duration = time.monotonic() - begun
    finish = start + duration
    block: dict[str, Any] = {
        "start": start,
        "finish": finish,
        "duration": duration,
        "processing": duration,
        "date_start": values.iso(portal, start),
        "date_finish": values.iso(portal, finish),
    }
    if operating is not None and portal.edition == "cloud":
        block["operating_reset_at"] = int(operating[1])
        block["operating"] = operating[0]
    return block


def short(params: dict[str, Any]) -> str:
    return json.dumps(params, ensure_ascii=False)[:TEXT_KEPT] if params else ""
