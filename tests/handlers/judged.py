"""A portal and its token server, one server that says what a test wants."""

from __future__ import annotations

import time
from typing import Any

from handlers import delivery
from handlers.models import Invocation
from portals.models import Portal
from tests.factories import PortalFactory
from tests.handlers.calls import ready
from tests.portals.lab import Server


class Fake:
    def __init__(self, settings: Any, **fields: Any) -> None:
        settings.B24_ALLOW_HTTP = True
        settings.BUCKET_RATE, settings.BUCKET_BURST = 50, 1000
        self.server = Server()
        self.server.reply = self._reply
        self.settings = settings
        self.answers: Any = lambda params: {}
        self.errors: Any = lambda params: {}
        self.token: Any = (504, b"<html>gateway timeout</html>", {})
        self.asked: list[str] = []
        settings.B24_OAUTH_URLS = [f"{self.server.base}"]
        self.portal: Portal = PortalFactory(
            client_endpoint=f"{self.server.base}/rest/", token_server=self.server.base, **fields
        )

    def _reply(self, path, params):
        self.asked.append(path)
        if "/oauth/" in path:
            return self.token
        return (
            200,
            {
                "result": {"result": self.answers(params), "result_error": self.errors(params)},
                "time": {"start": time.time() + self.settings.CLOCK_OFFSET_SECONDS},
            },
            {},
        )

    def call(self, **more) -> Invocation:
        return ready(self.portal, **more)

    def deliver(self) -> None:
        """Where a worker looks for work now."""
        if found := delivery._with_work(self.portal.member_id):
            delivery._serve(found)
