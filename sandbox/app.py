"""Which address belongs to whom: portals by path or Host, token servers, the control API, the pages."""

from __future__ import annotations

from sandbox.control import Control
from sandbox.control_routes import Sandbox
from sandbox.http_server import Reply, Request, html_reply, redirect
from sandbox.model import Portal
from sandbox.pages import Pages
from sandbox.rest import Rest
from sandbox.token_server import TokenServers
from sandbox.world import SERVERS, ControlError, flag


class App:
    """The whole sandbox behind its listening sockets."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self.rest = Rest(sandbox.world, sandbox.engine)
        self.token_servers = TokenServers(sandbox.world)
        self.control = Control(sandbox)
        self.pages = Pages(sandbox)

    @property
    def own_host(self) -> str:
        """What a Host header says where nobody means a portal."""
        return self.world.base.partition("://")[2]

    def answer(self, request: Request) -> Reply:
        portal, moved = None, False
        if request.host != self.own_host:
            with self.world.lock:
                portal, moved = self.world.by_host(request.host)
        if portal is not None:
            return self._portal(portal, moved, request.path.lstrip("/"), request)
        first, _, tail = request.path.lstrip("/").partition("/")
        if first == "p":
            name, _, tail = tail.partition("/")
            with self.world.lock:
                portal, moved = self.world.by_path(name)
            if portal is None:
                return html_reply(
                    "<!doctype html><title>No such portal</title><p>There is no such portal.", 404
                )
            return self._portal(portal, moved, tail, request)
        for name in SERVERS:
            if first == f"oauth-{name}":
                return self.token_servers.answer(name, tail, request)
        if first == "oauth":
            return self.token_servers.answer(SERVERS[0], request.path, request)
        if first == "control":
            return self.control.answer(request)
        return self.pages.answer(request)

    def token_server_only(self, name: str, request: Request) -> Reply:
        """A listener of one token server's own."""
        return self.token_servers.answer(name, request.path, request)

    def _portal(self, portal: Portal, moved: bool, tail: str, request: Request) -> Reply:
        first, _, rest = tail.partition("/")
        if first == "rest":
            return self.rest.answer(portal, moved, rest, request)
        if moved:
            return redirect(
                f"{self.world.root(portal)}/{tail}" + (f"?{request.query}" if request.query else ""),
                portal.moved_status,
            )
        if tail.strip("/") == "oauth/authorize":
            return self._authorize(portal, request)
        if first == "api":
            return self.pages.answer(request)
        return redirect(f"{self.world.base}/portal/{portal.name}")

    def _authorize(self, portal: Portal, request: Request) -> Reply:
        """Full OAuth (§3.3): at once, after a question, or refused: then no redirect comes back at all."""
        params = request.params()
        client_id = str(params.get("client_id", ""))
        application = self.world.state.applications.get(client_id)
        if application is None:
            return html_reply("<!doctype html><title>Error</title><p>invalid_client", 400)
        agreed = portal.oauth == "auto" or (portal.oauth == "ask" and flag(params.get("agree", "")))
        if not agreed:
            return self.pages.consent(portal, application, request, refused=portal.oauth == "refuse")
        user = str(params.get("user", "1"))
        try:
            where = self.sandbox.installations.authorize(
                portal, application, str(params.get("state", "")), int(user) if user.isdigit() else 1
            )
        except ControlError as error:
            return html_reply(f"<!doctype html><title>Error</title><p>{error}", 400)
        return redirect(where)
