"""Placeholder pages."""

from __future__ import annotations

from sandbox.control_routes import Sandbox
from sandbox.http_server import Reply, Request, html_reply
from sandbox.model import Application, Portal


class Pages:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def answer(self, request: Request) -> Reply:
        return html_reply(
            "<!doctype html><title>Sandbox</title><p>Sandbox", 200 if request.path == "/" else 404
        )

    def consent(self, portal: Portal, application: Application, request: Request, refused: bool) -> Reply:
        return html_reply("<!doctype html><title>OAuth</title>", 403 if refused else 200)
