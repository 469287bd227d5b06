"""Django on a database of the drill's own, a sandbox beside it, and hubs that are forks (inside.py)."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.chaos import report
from tests.chaos.report import Found
from tests.system import servers
from tests.system.processes import until
from tests.system.servers import Stack

STACKS = [Stack("PostgreSQL", "Redis"), Stack("SQLite", "filesystem")]
END_SECONDS = 120.0


def on_each_database(
    drill: str, chosen: Any, work: Callable[[Found, Path], None], stacks: list[Stack] | None = None
) -> Iterator[Found]:
    """The drill in a process of its own for each database (Django knows one); in the short form the first."""
    for stack in stacks or STACKS:
        if chosen.stack and str(stack) != chosen.stack:
            continue
        if reason := servers.missing(stack.database):
            print(f"{stack}: left out, {reason}")
            if servers.in_ci():
                yield Found(drill, stack.database, chosen.seed, wrong=[reason])
            continue
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = _in_django(drill, stack, chosen, work)
            except BaseException as error:
                print(f"{drill} on {stack}: {type(error).__name__}: {error}", flush=True)
            sys.stdout.flush()
            os._exit(status)
        if os.waitpid(pid, 0)[1]:
            yield Found(drill, stack.database, chosen.seed, wrong=["it failed, see above"])
        if chosen.short:
            return


def _in_django(drill: str, stack: Stack, chosen: Any, work: Callable[[Found, Path], None]) -> int:
    found = Found(drill, stack.database, chosen.seed)
    with ExitStack() as whole:
        folder = Path(whole.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        url = whole.enter_context(servers._database(stack, folder))
        os.environ.update(
            DJANGO_SETTINGS_MODULE="tests.settings", DATABASE_URL=url, SPOOL_DIR=str(folder / "spool")
        )
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        return report.close([report.timed(found, lambda found: work(found, folder))], chosen)


class Lab:
    """A sandbox and a door; portals of it by `rig`. The clocks of hub and sandbox go together."""

    def __init__(self, folder: Path, control: Any) -> None:
        from django.conf import settings

        from tests.chaos import inside

        self.inside, self.folder, self.control = inside, folder, control
        self.door = inside.listening()
        self.url = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        settings.PUBLIC_URL = self.url
        settings.B24_OAUTH_URLS = [server["url"] for server in control.get("info")["servers"].values()]

    def rig(self, name: str, **settings: Any) -> Any:
        """A portal with a working token, and a waiting robot `double` on it."""
        from portals.client import PortalClient
        from tests.handlers.rig import Rig

        rig = Rig(self.control, self.url, name, users=[{"id": 1, "name": "Ann", "admin": True}], **settings)
        version = self.version(rig, "double")
        handler = f"{self.url}/b24/{rig.application.slug}/handler/?v={version.pk}"
        PortalClient(rig.portal).call(
            "bizproc.robot.add", {**json.loads(version.payload_text), "HANDLER": handler}
        )
        return rig

    def version(self, rig: Any, code: str) -> Any:
        from tests.factories import RobotFactory, RobotVersionFactory

        payload = {
            "CODE": code,
            "USE_SUBSCRIPTION": "Y",
            "AUTH_USER_ID": 1,
            "NAME": {"en": code},
            "PROPERTIES": {"amount": {"Name": {"en": "Amount"}, "Type": "string"}},
            "RETURN_PROPERTIES": {"total": {"Name": {"en": "Total"}, "Type": "string"}},
        }
        robot = RobotFactory(application=rig.application, code=code)
        return RobotVersionFactory(robot=robot, payload=payload)

    def later(self, seconds: int) -> None:
        """All clocks go ahead, those of hubs that live too."""
        from django.conf import settings

        self.control.post("clock", advance=seconds)
        self.inside.ahead.value += seconds
        settings.CLOCK_OFFSET_SECONDS = self.inside.ahead.value

    def waiting(self, rig: Any) -> list[str]:
        """Processes that wait although their call was answered 200."""
        told = self.control.get(f"portals/{rig.name}/processes", state="waiting", limit=1000)
        return [process["id"] for process in told["items"] if process["handler_status"] == 200]

    def standing(self) -> str:
        """What the hub knows of each call that a process may still wait for, for a drill that failed."""
        from handlers.models import Invocation
        from portals.clock import db_now
        from portals.models import Bucket, Portal

        now = db_now()

        def seconds(moment: Any) -> str:
            return "-" if moment is None else f"{(moment - now).total_seconds():.1f}"

        rows = Invocation.objects.filter(confirmed_at=None).order_by("id")[:10]
        told = [
            f"#{row.pk} {row.state}/{row.cause or '-'} due {seconds(row.due_at)} lease {seconds(row.lease_until)}"
            f" sends {row.sends} {row.confirmation or '-'} {seconds(row.confirm_at)}"
            for row in rows
        ]
        told += [
            f"{portal} {portal.trouble or 'well'}, delay {portal.send_delay}"
            for portal in Portal.objects.all()
        ]
        told += [f"bucket {seconds(bucket.blocked_until)}" for bucket in Bucket.objects.all()]
        return "; ".join(told)

    def until_over(self, rigs: list[Any], found: Found) -> None:
        """Until no process waits, then until of each result is known whether it arrived, as far as can be."""
        from handlers.models import OPEN_STATES, Invocation
        from portals.clock import db_now

        # What killed processes held is free.
        self.later(25)
        opened = Invocation.objects.filter(state__in=OPEN_STATES)
        try:
            until(
                lambda: not any(self.waiting(rig) for rig in rigs) and not opened.exists(),
                "no accepted process waits and every call has ended",
                END_SECONDS,
            )
        except AssertionError as error:
            found.wrong.append(f"{str(error)[:300]}: {self.standing()}")
        owed = Invocation.objects.filter(confirm_at__isnull=False)
        end = time.monotonic() + END_SECONDS / 2
        while owed.exists():
            if time.monotonic() > end:
                found.wrong.append(f"looks and quiet repeats are still owed: {self.standing()}")
                return
            self.later(60)
            step = time.monotonic() + 4.0
            while time.monotonic() < step and owed.filter(confirm_at__lte=db_now()).exists():
                time.sleep(0.05)

    def count(self, rigs: list[Any], found: Found) -> None:
        from handlers.models import Invocation

        for rig in rigs:
            stats = rig.stats()
            found.sent += stats["handler_calls"]
            found.accepted += stats["handler_ok"]
            found.lost += len(self.waiting(rig))
            found.doubled += stats["doubled"]
        rows = Invocation.objects.filter(portal__in=[rig.portal.pk for rig in rigs])
        for state in rows.values_list("state", flat=True):
            found.ended[state] = found.ended.get(state, 0) + 1
        found.confirmed = rows.filter(confirmed_at__isnull=False).count()
        told = Counter(
            rows.filter(confirmed_at=None, state="delivered").values_list("confirmation", flat=True)
        )
        if told:
            found.more["arrival"] = {name or "not asked": number for name, number in told.items()}
