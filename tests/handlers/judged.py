"""A portal and its token server, one server that says what a test wants."""

from __future__ import annotations

import time
from typing import Any

from handlers.models import Invocation, State
from portals.clock import db_now
from portals.crypto import encrypt
from portals.models import Portal
from tests.factories import InvocationFactory, PortalFactory
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
        now = db_now()
        more = {"called_at": now, "due_at": now, "received_at": now, **more}
        return InvocationFactory(
            portal=self.portal,
            state=State.READY,
            event_token=encrypt(b"token"),
            workflow_id=more.pop("workflow_id", ""),
            stored__result='{"values":{"a":"1"},"log":null}',
            **more,
        )
