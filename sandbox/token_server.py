"""The two token servers: codes that live 30 s, refresh tokens that work once,
and what they answer when asked wrongly (§2)."""

from __future__ import annotations

import hmac
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from sandbox import faults, tokens
from sandbox.account import scopes_of
from sandbox.http_server import Reply, Request, html_reply, json_reply
from sandbox.model import Application, Install, Portal, TokenServer
from sandbox.world import World, user_of


class Refused(Exception):
    """An OAuth error: its code and status."""

    def __init__(self, code: str, text: str = "", status: int = 400) -> None:
        super().__init__(text or code)
        self.code, self.text, self.status = code, text or code, status


class TokenServers:
    """Answers ``/oauth/token/`` and ``/rest/app.info`` of each token server."""

    def __init__(self, world: World) -> None:
        self.world = world

    def answer(self, name: str, path: str, request: Request) -> Reply:
        world = self.world
        entry: dict[str, Any] = {"at": world.clock.now(), "path": path}
        with world.lock:
            server = world.state.servers[name]
            struck = faults.strikes(server.faults, faults.SERVER_KINDS)
            entry["faults"] = [fault.kind for fault in struck]
        reply = next((early for early in map(before, struck) if early is not None), None)
        if reply is None:
            with world.lock:
                reply = self._served(server, path, request, entry)
        if any(fault.kind == "down_after" for fault in struck):
            reply = Reply(drop=True)
        entry["status"] = 0 if reply.drop else reply.status
        with world.lock:
            world.server_books[name].add(entry)
        return reply

    def _served(self, server: TokenServer, path: str, request: Request, entry: dict[str, Any]) -> Reply:
        try:
            if path.strip("/") == "oauth/token":
                return json_reply(self._token(server, request.params(), entry))
            if path.strip("/").removesuffix(".json") == "rest/app.info":
                return json_reply(self._app_info(server, request, entry))
        except Refused as refused:
            entry["error"] = refused.code
            body = {"error": refused.code, "error_description": refused.text}
            return json_reply(body, 200 if server.errors_as_200 else refused.status)
        return html_reply("<!doctype html><title>Not found</title>", 404)

    def _token(self, server: TokenServer, params: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
        grant = str(params.get("grant_type", ""))
        entry["grant"], entry["client_id"] = grant, str(params.get("client_id", ""))
        if grant not in ("authorization_code", "refresh_token"):
            raise Refused("invalid_request", "Wrong grant_type")
        application = self._client(params)
        name = "code" if grant == "authorization_code" else "refresh_token"
        if not params.get(name):
            raise Refused("invalid_request", f"{name} is missing")
        token = tokens.read(self.world, params[name])
        if token is None or token.kind != name[0]:
            raise Refused("invalid_grant", "Invalid grant")
        found = self.world.install_by_id(token.install_id)
        if found is None:
            raise Refused("NOT_INSTALLED", "Application not installed")
        portal, install = found
        entry["portal"] = portal.name
        if install.client_id != application.client_id or portal.server != server.name:
            raise Refused("invalid_grant", "Invalid grant")
        if token.serial in install.spent:
            if grant == "refresh_token" and token.epoch == install.epoch:
                install.epoch += 1
                entry["killed"] = True
                self.world.count(portal, "authorisations_killed")
            raise Refused("invalid_grant", "Invalid grant")
        user = user_of(portal, token.user_id)
        if token.epoch != install.epoch or token.expires <= self.world.clock.now():
            raise Refused("invalid_grant", "Invalid grant")
        if user is None or not user.active or portal.deleted:
            raise Refused("invalid_grant", "Invalid grant")
        if not install.paid or portal.licence_lapsed:
            raise Refused("PAYMENT_REQUIRED", "Payment required")
        self._spend(install, token)
        if grant == "authorization_code":
            install.installed = True
        self.world.count(portal, "token_exchanges")
        return self._grant(server, portal, install, application, user.id)

    def _client(self, params: dict[str, Any]) -> Application:
        client_id, secret = str(params.get("client_id", "")), str(params.get("client_secret", ""))
        if not client_id:
            raise Refused("invalid_request", "client_id is missing")
        application = self.world.state.applications.get(client_id)
        if application is None:
            raise Refused("invalid_client", "Client not found", 401)
        if not hmac.compare_digest(application.client_secret.encode(), secret.encode()):
            raise Refused("wrong_client", "Wrong client", 401)
        return application

    def _spend(self, install: Install, token: tokens.Token) -> None:
        """Used is used; what is older than any token may be is forgotten."""
        now = self.world.clock.now()
        install.spent[token.serial] = now
        if len(install.spent) > 20_000:
            for serial in list(install.spent)[:10_000]:
                del install.spent[serial]

    def _grant(
        self, server: TokenServer, portal: Portal, install: Install, application: Application, user_id: int
    ) -> dict[str, Any]:
        world = self.world
        return {
            **tokens.pair(world, portal, install, user_id),
            "client_endpoint": world.client_endpoint(portal),
            "server_endpoint": world.server_endpoint(portal),
            "member_id": portal.member_id,
            "user_id": user_id,
            "scope": server.scope_separator.join(scopes_of(application.scope)),
            "status": application.status,
            "domain": urlsplit(world.server_url(server.name)).netloc,
        }

    def _app_info(self, server: TokenServer, request: Request, entry: dict[str, Any]) -> dict[str, Any]:
        """Verifies an access token without spending a refresh token (§3)."""
        token = tokens.read(self.world, request.params().get("auth"))
        if token is None or token.kind != "a":
            raise Refused("invalid_token", "Invalid token", 401)
        found = self.world.install_by_id(token.install_id)
        if found is None or found[0].server != server.name or found[1].epoch != token.epoch:
            raise Refused("invalid_token", "Invalid token", 401)
        portal, install = found
        entry["portal"] = portal.name
        if token.expires <= self.world.clock.now() or token.issued <= install.expired_before:
            raise Refused("expired_token", "The access token provided has expired.", 401)
        return {"result": self._app_info_result(server, portal, install, token), "time": self._time()}

    def _app_info_result(
        self, server: TokenServer, portal: Portal, install: Install, token: tokens.Token
    ) -> dict[str, Any]:
        """The fields that the official SDK reads are all there, as it reads them."""
        world = self.world
        application = world.state.applications[install.client_id]
        scope = server.scope_separator.join(scopes_of(application.scope))
        return {
            "client_id": install.client_id,
            "user_id": token.user_id,
            "scope": scope,
            "expires": datetime.fromtimestamp(token.expires, UTC).isoformat(timespec="seconds"),
            "install": {
                "member_id": portal.member_id,
                "member_type": "portal",
                "domain": world.domain(portal),
                "uri": world.client_endpoint(portal).removesuffix("/rest/"),
                "client_endpoint": world.client_endpoint(portal),
                "server_endpoint": world.server_endpoint(portal),
                "scope": scope,
                "status": application.status,
                "installed": install.installed,
                "version": install.version,
            },
        }

    def _time(self) -> dict[str, Any]:
        now = self.world.clock.now()
        moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
        figures = {"start": now, "finish": now, "duration": 0.0, "processing": 0.0}
        return {**figures, "date_start": moment, "date_finish": moment}


def before(fault: Any) -> Reply | None:
    """A token server that is away: no connection, a page instead of JSON, silence, or an error on order."""
    if fault.kind in ("latency", "silence"):
        time.sleep(fault.seconds)
    if fault.kind in ("down", "silence"):
        return Reply(drop=True)
    if fault.kind == "html":
        return html_reply(
            "<!doctype html><html><body><h1>Bad Gateway</h1></body></html>", fault.status or 502
        )
    if fault.kind == "error":
        body = {
            "error": fault.error or "invalid_request",
            "error_description": fault.description or fault.error,
        }
        return json_reply(body, fault.status or 400)
    return None
