"""The sandbox's control API, as tests and drills use it."""

from __future__ import annotations

import time
from typing import Any

import requests


class SandboxControl:
    """`get("info")`, `post("portals", name="alfa")`: JSON in and out; an error of the API fails the test."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, path: str, **query: Any) -> Any:
        return self._told(self.session.get(f"{self.base}/control/{path}", params=query, timeout=60))

    def post(self, path: str, **body: Any) -> Any:
        return self._told(self.session.post(f"{self.base}/control/{path}", json=body, timeout=60))

    def _told(self, answer: requests.Response) -> Any:
        assert answer.ok, (
            f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:500]}"
        )
        return answer.json()

    def portal(self, name: str, **settings: Any) -> str:
        """Makes or changes a portal; its member_id."""
        return str(self.post("portals", name=name, **settings)["member_id"])

    def robots(self, name: str, client_id: str) -> dict[str, dict[str, Any]]:
        """What the portal holds of the application, by code."""
        return {robot["code"]: robot for robot in self.get(f"portals/{name}/robots").get(client_id, [])}

    def run(self, name: str, client_id: str, code: str, **more: Any) -> Any:
        """Starts a process that holds one robot; its id."""
        return self.post(f"portals/{name}/run", client_id=client_id, code=code, **more)["id"]

    def process(self, name: str, number: Any) -> dict[str, Any]:
        told: dict[str, Any] = self.get(f"portals/{name}/processes/{number}")
        return told

    def finished(self, name: str, number: Any, seconds: float = 60.0) -> dict[str, Any]:
        """The process once it waits no longer. Fails where it waits on."""
        deadline = time.monotonic() + seconds
        while (process := self.process(name, number))["state"] in ("waiting", "running", "starting"):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"process {number} of {name} still waits after {seconds:.0f} s: {process}"
                )
            time.sleep(0.05)
        return process

    def stats(self, name: str) -> dict[str, Any]:
        told: dict[str, Any] = self.get(f"portals/{name}/stats")
        return told
