"""What the demo does, step by step, with a line for each. Imported once the environment is set."""

from __future__ import annotations

import io
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import django
import requests

from scripts.demo_processes import Processes, Stopped

SLUG, CLIENT_ID = "demo", "app.demo"
PORTALS: dict[str, dict[str, Any]] = {
    "alfa": {
        "edition": "cloud",
        "generation": "background",
        "language": "en",
        "time_zone": "America/New_York",
    }
    | {"date_format": "MM/DD/YYYY", "datetime_format": "MM/DD/YYYY H:MI:SS T"},
    "beta": {"edition": "box", "generation": "at_once", "language": "ru", "time_zone": "Europe/Moscow"}
    | {"date_format": "DD.MM.YYYY", "datetime_format": "DD.MM.YYYY HH:MI:SS"},
}
# What each robot is run with; dates as each portal writes them.
RUNS: list[tuple[str, dict[str, dict[str, Any]]]] = [
    ("discount", {"": {"amount": "1000.50", "percent": "15"}}),
    (
        "full_name",
        {"alfa": {"last": "Smith", "first_name": "Anna"}, "beta": {"last": "Иванов", "first_name": "Пётр"}},
    ),
    (
        "days_between",
        {
            "alfa": {"start": "11/20/2026", "end": "12/31/2026"},
            "beta": {"start": "31.12.2026", "end": "20.11.2026"},
        },
    ),
    (
        "working_day",
        {"alfa": {"start": "11/20/2026", "days": "3"}, "beta": {"start": "20.11.2026", "days": "3"}},
    ),
    ("split_list", {"": {"text": "red, green,, red , blue", "separator": ","}}),
    ("phone", {"": {"number": "8 (495) 123-45-67"}}),
    ("note", {"": {"text": "the customer called"}}),
    ("who_asks", {"": {}}),
]
DEAL = ["crm", "CCrmDocumentDeal", "DEAL_42"]


class Scenario:
    """Each method is one step; all may be repeated on what an earlier demo left."""

    def __init__(self, hub: str, sandbox: str, kept: Path, processes: Processes) -> None:
        self.hub, self.sandbox, self.kept, self.processes = hub, sandbox, kept, processes
        self.password = ""
        # Codes of RUNS by the portal that does not hold them, where a person took them away.
        self._lacking: dict[str, set[str]] = {}
        self._http = requests.Session()
        self._http.trust_env = False
        django.setup()

    def prepare(self) -> None:
        with _step("Database migrated"):
            _manage("migrate", verbosity=0)
        with _step("Application, robots and superuser there"):
            from portals.models import Application
            from robots.models import Robot

            if not Application.objects.filter(slug=SLUG).exists():
                secret = os.environ["DEMO_CLIENT_SECRET"]
                _manage(
                    "create_application",
                    SLUG,
                    "--name",
                    "Demo",
                    "--client-id",
                    CLIENT_ID,
                    # In one word: a random secret may begin with a dash.
                    f"--client-secret={secret}",
                )
            # Once only: from then on the drafts are the person's, who may be in the middle of changing them.
            if not Robot.objects.filter(application__slug=SLUG).exists():
                _manage("import_catalog", "demo/catalog.yaml", "--publish")
            self._superuser()

    def _superuser(self) -> None:
        """`admin`, with a password that is made once and kept for its owner to read."""
        from django.contrib.auth.models import User

        place = self.kept / "admin-password"
        if place.exists() and User.objects.filter(username="admin").exists():
            self.password = place.read_text().strip()
            return
        self.password = secrets.token_urlsafe(12)
        with os.fdopen(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(self.password + "\n")
        user, _made = User.objects.get_or_create(username="admin", defaults={"email": "admin@example.com"})
        user.is_staff = user.is_superuser = True
        user.set_password(self.password)
        user.save()

    def start(self, port: int, sandbox_port: int) -> None:
        celery = ("celery", "-A", "b24app")
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        with _step("Sandbox, web, worker and beat started"):
            state = str(self.kept / "sandbox")
            self.processes.start(
                "sandbox", "sandbox", "--port", str(sandbox_port), "--state", state, "--die-with-parent"
            )
            self.processes.start("web", "gunicorn", "b24app.wsgi", "--bind", f"127.0.0.1:{port}")
            self.processes.start("worker", *celery, "worker", *quiet)
            self.processes.start("beat", *celery, "beat")
            self.processes.until(
                lambda: self._answers(f"{self.sandbox}/control/info"), "The sandbox's first answer"
            )
            self.processes.until(lambda: self._answers(f"{self.hub}/healthz"), "The hub's first answer")

    def _answers(self, url: str) -> bool:
        try:
            return self._http.get(url, timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def install(self) -> None:
        """By a person who opens the application on alfa, by ONAPPINSTALL on beta."""
        base = f"{self.hub}/b24/{SLUG}/"
        addresses = {"install_url": f"{base}install/", "main_url": base, "redirect_url": f"{base}oauth/"}
        secret = os.environ["DEMO_CLIENT_SECRET"]
        self._post("apps", client_id=CLIENT_ID, client_secret=secret, name="Demo", **addresses)
        for name, settings in PORTALS.items():
            way = "frame" if name == "alfa" else "event"
            with _step(f"Installed on {name} ({settings['edition']}, {settings['generation']}) by {way}"):
                self._post("portals", name=name, server="west", **settings)
                told = self._post(f"portals/{name}/install", client_id=CLIENT_ID, way=way)
                if told["status"] != 200:
                    raise Stopped(f"The hub answered {told['status']} to the installation on {name}.")
                if way == "frame":
                    # What the page's script does in a browser.
                    self._post(f"portals/{name}/finish", client_id=CLIENT_ID)
                self.processes.until(partial(self._installed, name), f"The installation on {name}")

    def _installed(self, name: str) -> bool:
        from portals.models import Portal

        member = self._get(f"portals/{name}")["member_id"]
        working = Portal.objects.filter(token_state=Portal.Token.WORKING, state=Portal.State.INSTALLED)
        return working.filter(member_id=member).exists()

    def push(self) -> None:
        """What an earlier demo pushed is brought back by the installation as it was wanted there; nothing newer,
        since what is pushed is the person's by then."""
        from portals.models import Portal
        from robots.models import Registration

        pushed = Registration.objects.filter(portal__application__slug=SLUG, wanted_version__isnull=False)
        members = {name: self._get(f"portals/{name}")["member_id"] for name in PORTALS}
        there = Portal.objects.filter(application__slug=SLUG, member_id__in=members.values())
        new = {portal.member_id for portal in there.exclude(pk__in=pushed.values("portal"))}
        named = [word for member in sorted(new) for word in ("--portal", member)]
        with _step(
            "Robots pushed to both portals" if named else "Robots on both portals as they were wanted"
        ):
            if named:
                _manage("push_robots", "--application", SLUG, *named)
            due = pushed.filter(portal__in=there, due_at__isnull=False, error_code="")
            self.processes.until(lambda: not due.exists(), "What the portals are owed")
        for name in PORTALS:
            held = {robot["code"] for robot in self._get(f"portals/{name}/robots").get(CLIENT_ID, [])}
            lacking = [code for code, _inputs in RUNS if code not in held]
            if lacking and members[name] in new:
                raise Stopped(f"{name} does not hold {', '.join(lacking)} after the push.")
            self._lacking[name] = set(lacking)

    def run(self) -> bool:
        """Runs every robot on both portals at once; whether each came to its end. Prints what arrived."""
        started: list[tuple[str, str, dict[str, Any], str]] = []
        with _step(f"{len(RUNS)} robots run on each portal"):
            for code, inputs in RUNS:
                for name in PORTALS:
                    if code in self._lacking[name]:
                        continue
                    values = inputs.get(name, inputs.get("", {}))
                    process = self._post(
                        f"portals/{name}/run",
                        client_id=CLIENT_ID,
                        code=code,
                        properties=values,
                        document=DEAL,
                    )
                    started.append((name, code, values, process["id"]))
            ended = self._ends(started)
        rows: list[tuple[str, ...]] = [
            (
                name,
                code,
                _shown(values),
                self._outcome(ended[process]),
                "✓" if self._well(ended[process]) else "✗",
            )
            for name, code, values, process in started
        ]
        _table(("Portal", "Robot", "Called with", "What the portal received", ""), rows)
        for name, codes in self._lacking.items():
            if codes:
                print(f"\n{name} does not hold {', '.join(sorted(codes))}: not run there.", flush=True)
        well = sum(row[-1] == "✓" for row in rows)
        print(f"\n{well} of {len(rows)} results arrived.", flush=True)
        return well == len(rows)

    def _ends(self, started: list[tuple[str, str, dict[str, Any], str]]) -> dict[str, dict[str, Any]]:
        """Each process by id, once it waits no longer and the hub has ended its call; a minute at most."""
        deadline = time.monotonic() + 60
        ended: dict[str, dict[str, Any]] = {}
        while len(ended) < len(started):
            self.processes.check()
            for name, _code, _values, process in started:
                told = self._get(f"portals/{name}/processes/{process}")
                late = time.monotonic() > deadline
                if process not in ended and (late or self._over(told)):
                    ended[process] = told
            time.sleep(0.1)
        return ended

    def _over(self, told: dict[str, Any]) -> bool:
        return told["state"] not in ("waiting", "running") and self._call_state(told["id"]) not in (
            "",
            "received",
            "computing",
            "ready",
            "sending",
        )

    def _call_state(self, process: str) -> str:
        from handlers.models import Invocation

        return Invocation.objects.filter(workflow_id=process).values_list("state", flat=True).first() or ""

    def _well(self, told: dict[str, Any]) -> bool:
        state = self._call_state(told["id"])
        if told["steps"][0]["waits"]:
            return told["state"] == "finished" and state == "delivered" and bool(told["steps"][0]["results"])
        return told["state"] == "finished" and state == "not_awaited"

    def _outcome(self, told: dict[str, Any]) -> str:
        step, call = told["steps"][0], self._call_state(told["id"]) or "unknown"
        if not step["waits"]:
            return "nothing: it does not wait" if self._well(told) else f"nothing; the call is {call}"
        if not step["results"]:
            return f"nothing; the process is {told['state']}, the call {call}"
        return _shown(step["values"])

    def _get(self, path: str) -> Any:
        return self._told(self._http.get(f"{self.sandbox}/control/{path}", timeout=30))

    def _post(self, path: str, **body: Any) -> Any:
        return self._told(self._http.post(f"{self.sandbox}/control/{path}", json=body, timeout=60))

    def _told(self, answer: requests.Response) -> Any:
        if not answer.ok:
            raise Stopped(f"The sandbox refused {answer.request.path_url}: {answer.text[:300]}")
        return answer.json()


def _manage(*words: str, **options: Any) -> None:
    """A command in this process; its output is shown only where it fails."""
    from django.core.management import CommandError, call_command

    output = io.StringIO()
    try:
        call_command(*words, stdout=output, stderr=output, **options)
    except (CommandError, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code in (0, None):
            return
        raise Stopped(f"{output.getvalue()}\nmanage.py {words[0]} failed: {error}") from None


@contextmanager
def _step(what: str) -> Iterator[None]:
    started = time.monotonic()
    if sys.stdout.isatty():
        print(f"  … {what}", end="", flush=True)
    yield
    start = "\r\033[K" if sys.stdout.isatty() else ""
    print(f"{start}  ✓ {what} ({time.monotonic() - started:.1f} s)", flush=True)


def _shown(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}={'; '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in values.items()
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    wide = [min(46, max(len(row[place]) for row in [head, *rows])) for place in range(len(head))]
    print()
    for row in [head, tuple("─" * width for width in wide), *rows]:
        cells = (
            text if len(text) <= width else text[: width - 1] + "…"
            for text, width in zip(row, wide, strict=True)
        )
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, wide, strict=True)).rstrip())
