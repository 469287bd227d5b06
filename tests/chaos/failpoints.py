"""Drill 4: a kill at every line of the way.

`python -m tests.chaos.failpoints --seed 7` starts a hub for each named failpoint (portals/failpoint.py), lets it
die there, starts it again 25 seconds later by the database's clock (so that its leases are over), and counts what
became of the calls. Robots answer otherwise at each computation: a result that is computed twice and sent twice
would show as doubled.
"""

from __future__ import annotations

import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import report
from tests.chaos.report import Found
from tests.system import servers
from tests.system.processes import ROOT, until
from tests.system.servers import Stack

# Longer than any lease of a row or a sender; than that of a renewal; than that of a push.
LATER, LATER_STILL, MUCH_LATER = 25, 65, 190
STEP_SECONDS = 60.0


def names() -> list[str]:
    """Every failpoint in the source."""
    found: set[str] = set()
    for room in ("portals", "robots", "handlers"):
        for path in (ROOT / room).glob("*.py"):
            found.update(re.findall(r'failpoint\("([a-z_.]+)"\)', path.read_text()))
    return sorted(found)


def scenario(name: str) -> str:
    """What has to happen for a failpoint to be passed."""
    room = name.partition(".")[0]
    if room in ("spool", "drain"):
        return "away"
    if room in ("oauth", "refresh"):
        return "refresh"
    if room in ("verify", "push", "sweep"):
        return room
    return {"waits.claimed": "waits", "delivery.one_alone": "alone"}.get(name, "calls")


@dataclass
class Case:
    """One failpoint and what came of it."""

    name: str
    nth: int
    died: bool = False
    remarks: list[str] = field(default_factory=list)


def main() -> int:
    parser = report.options(__doc__)
    parser.add_argument("--only", default="", help="only failpoints whose name holds this")
    chosen = parser.parse_args()
    return report.close(_all(chosen), chosen)


def _all(chosen: Any) -> Iterator[Found]:
    stacks = [Stack("PostgreSQL", "Redis"), Stack("SQLite", "filesystem")]
    for stack in stacks:
        if chosen.stack and str(stack) != chosen.stack:
            continue
        if reason := servers.missing(stack.database):
            print(f"{stack}: left out, {reason}")
            continue
        # Django knows one database a process.
        pid = os.fork()
        if pid == 0:
            with ExitStack() as whole:
                folder = Path(whole.enter_context(tempfile.TemporaryDirectory()))
                status = 1
                try:
                    status = report.close([drill(stack, chosen, whole, folder)], chosen)
                except BaseException as error:
                    print(f"failpoints on {stack}: {type(error).__name__}: {error}", flush=True)
            sys.stdout.flush()
            os._exit(status)
        if os.waitpid(pid, 0)[1]:
            yield Found("failpoints", str(stack), chosen.seed, wrong=["see above"])
        if chosen.short:
            return


def drill(stack: Stack, chosen: Any, whole: ExitStack, folder: Path) -> Found:
    found = Found("failpoints", stack.database, chosen.seed)
    with servers._database(stack, folder) as url:
        os.environ.update(
            DJANGO_SETTINGS_MODULE="tests.settings", DATABASE_URL=url, SPOOL_DIR=str(folder / "spool")
        )
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        return report.timed(found, lambda found: _Drill(found, chosen, folder).run())


class _Drill:
    def __init__(self, found: Found, chosen: Any, folder: Path) -> None:
        self.found, self.chosen, self.folder = found, chosen, folder
        self.chance = random.Random(chosen.seed)
        self.offset = 0
        self.portals = 0

    def run(self) -> None:
        from tests.chaos import inside
        from tests.handlers.rig import sandbox

        self.inside = inside
        # Only SQLite's acceptance is two statements.
        left_out = {"accept.between"} if self.found.stack == "PostgreSQL" else set()
        cases = [Case(name, 1) for name in names() if self.chosen.only in name and name not in left_out]
        if not self.chosen.short:
            # The second and third passing of what is passed for each row.
            cases += [
                Case(case.name, self.chance.choice([2, 3]))
                for case in list(cases)
                if case.name.partition(".")[0] in ("accept", "compute", "delivery", "settle", "drain")
                and case.name not in ("delivery.claimed", "drain.removed")
            ]
        self.chance.shuffle(cases)
        if self.chosen.short and not self.chosen.only:
            # Another dozen at each run; the long form goes through all of them.
            del cases[12:]
        self.door = inside.listening()
        self.url = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        with sandbox(self.folder) as self.control:
            from django.conf import settings

            settings.PUBLIC_URL = self.url
            settings.B24_OAUTH_URLS = [
                server["url"] for server in self.control.get("info")["servers"].values()
            ]
            for case in cases:
                self._case(case)
        died = sum(case.died for case in cases)
        self.found.more.update(failpoints=len({case.name for case in cases}), kills=died)
        for case in cases:
            self.found.must(case.died or case.nth > 1, f"{case.name} was never passed")
            for remark in case.remarks:
                self.found.wrong.append(f"{case.name}:{case.nth} {remark}")

    def _case(self, case: Case) -> None:
        """One portal a case, so that each tells its own figures."""
        from tests.handlers.rig import Rig

        began = time.monotonic()
        self.portals += 1
        generation = self.chance.choice(["background", "at_once"])
        rig = Rig(
            self.control,
            self.url,
            f"p{self.portals}",
            generation=generation,
            users=[{"id": 1, "name": "Ann", "admin": True}],
        )
        marks = self.folder / f"marks-{self.portals}"
        marks.mkdir()
        self.case, self.rig, self.armed, self.marks = case, rig, f"{case.name}:{case.nth}", str(marks)
        try:
            getattr(self, f"_{scenario(case.name)}")()
            self._confirm()
            self._judge(case, rig, generation)
        except AssertionError as error:
            case.remarks.append(str(error)[:300])
        died = "died and went on" if case.died else "not passed"
        took = time.monotonic() - began
        print(f"  {generation:10} {self.armed}: {'; '.join(case.remarks) or died}, {took:.1f} s", flush=True)

    # What happens in each scenario. A hub is started, meant to die, and started again later.

    def _calls(self) -> None:
        self._robot()
        with self._dying():
            self._run(3)
        self._recover()

    def _alone(self) -> None:
        self._robot("alone")
        with self._dying():
            self._run(2, code="alone")
        self._recover()

    def _away(self) -> None:
        self._robot()
        with self._dying(away=True):
            self._run(4)
        self._recover()

    def _refresh(self) -> None:
        self._robot()
        self.control.post(f"portals/{self.rig.name}/expire")
        with self._dying():
            self._run(2)
        self._later(LATER_STILL)
        with self._living():
            until(lambda: self._over() or self._lost_token(), "sent, or the token is known to be lost")
            # Where the token server's answer was lost, a later call's own tokens bring the portal back.
            asked = time.monotonic()
            while self._lost_token():
                if time.monotonic() - asked > 1.0:
                    self._run(1)
                    asked = time.monotonic()
                time.sleep(0.05)
            self._finish()

    def _verify(self) -> None:
        self._robot()
        with self._dying():
            self._install()
        with self._living():
            self._install()
            self._run(2)
            self._finish()

    def _push(self) -> None:
        version = self._version("pushed")
        from robots.models import Registration

        self._robot()
        from portals.clock import db_now

        due = None if self.case.name == "push.wanted" else db_now()
        Registration.objects.create(
            robot=version.robot, portal=self.rig.portal, wanted_version=version, due_at=due
        )
        from robots.push import push_portal

        # As a person pushes, so that what is wanted is written first.
        extra = (
            (lambda: push_portal(self.rig.portal, ["pushed"])) if self.case.name == "push.wanted" else None
        )
        with self._dying(extra=extra):
            pass
        self._later(MUCH_LATER)
        with self._living():
            until(
                lambda: (
                    "pushed" in self.control.robots(self.rig.name, self.rig.client_id)
                    and not Registration.objects.filter(portal=self.rig.portal, due_at__isnull=False).exists()
                ),
                "the robot is on the portal and nothing is due",
                STEP_SECONDS,
            )
            self._run(1)
            self._finish()

    def _sweep(self) -> None:
        self._robot()
        first = self.chance.choice(["compute.claimed", "compute.run", "delivery.before_send"])
        with self._dying(first):
            self._run(3)
        self._later(LATER)
        with self._dying():
            pass
        self._recover()

    def _waits(self) -> None:
        self._robot()
        from portals.clock import db_now
        from portals.models import Portal

        Portal.objects.filter(pk=self.rig.portal.pk).update(paused_at=db_now())
        with self._living():
            self._run(2, timeout=20)
            ready = self._rows().filter(state="ready")
            until(lambda: ready.count() == 2, "both results are ready", STEP_SECONDS)
        self._later(LATER)
        with self._dying():
            pass
        Portal.objects.filter(pk=self.rig.portal.pk).update(paused_at=None)
        self._recover()

    # The pieces.

    @contextmanager
    def _dying(
        self, armed: str = "", away: bool = False, extra: Callable[[], object] | None = None
    ) -> Iterator[None]:
        """A hub that is meant to die: goes on once it did, or once everything ended all the same."""
        pid = self.inside.start(self.door, self.offset, armed or self.armed, self.marks, away, extra)
        dead = False
        try:
            yield
            end = time.monotonic() + STEP_SECONDS
            done_since = 0.0
            while time.monotonic() < end:
                if self.inside.ended(pid):
                    dead = True
                    break
                if self._over():
                    done_since = done_since or time.monotonic()
                    if time.monotonic() - done_since > 3.0:
                        break
                time.sleep(0.02)
            if dead and not armed:
                self.case.died = True
        finally:
            if not dead:
                self.inside.kill(pid)

    @contextmanager
    def _living(self) -> Iterator[None]:
        pid = self.inside.start(self.door, self.offset, "", self.marks)
        try:
            yield
        finally:
            self.inside.kill(pid)

    def _recover(self) -> None:
        self._later(LATER)
        with self._living():
            self._finish()

    def _lost_token(self) -> bool:
        self.rig.portal.refresh_from_db()
        return bool(self.rig.portal.token_state == "lost")

    def _later(self, seconds: int) -> None:
        self.offset += seconds
        self.control.post("clock", advance=seconds)
        from django.conf import settings

        settings.CLOCK_OFFSET_SECONDS = self.offset

    def _finish(self) -> None:
        until(self._over, "every call has ended", STEP_SECONDS)

    def _confirm(self) -> None:
        """The time of looks comes; where no look was ever proved to be understood, that of quiet repeats."""
        for seconds in (40, 330, 100, 330):
            self._later(seconds)
            with self._living():
                end = time.monotonic() + 2.0
                while time.monotonic() < end:
                    if self._confirmed():
                        return
                    time.sleep(0.05)
        until(self._confirmed, "every result is confirmed", 1.0)

    def _version(self, code: str) -> Any:
        from robots.payload import dump  # noqa: F401  (loads the room)
        from tests.factories import RobotFactory, RobotVersionFactory

        robot = RobotFactory(application=self.rig.application, code=code)
        payload = {
            "CODE": code,
            "USE_SUBSCRIPTION": "Y",
            "AUTH_USER_ID": 1,
            "NAME": {"en": code},
            "PROPERTIES": {"amount": {"Name": {"en": "Amount"}, "Type": "string"}},
            "RETURN_PROPERTIES": {"total": {"Name": {"en": "Total"}, "Type": "string"}},
        }
        return RobotVersionFactory(robot=robot, payload=payload)

    def _robot(self, code: str = "double") -> None:
        from portals.client import PortalClient

        version = self._version(code)
        handler = f"{self.url}/b24/{self.rig.application.slug}/handler/?v={version.pk}"
        import json

        PortalClient(self.rig.portal).call(
            "bizproc.robot.add", {**json.loads(version.payload_text), "HANDLER": handler}
        )

    def _run(self, number: int, code: str = "double", **more: Any) -> None:
        for _ in range(number):
            self.control.run(self.rig.name, self.rig.client_id, code, properties={"amount": "1"}, **more)

    def _install(self) -> None:
        base = f"{self.url}/b24/{self.rig.application.slug}/"
        self.control.post("apps", client_id=self.rig.client_id, event_url=f"{base}install/", main_url=base)
        from portals.models import Portal

        # As after an uninstallation: what comes now is a first installation.
        Portal.objects.filter(pk=self.rig.portal.pk).update(state="uninstalled", token_state="none")
        self.control.post(f"portals/{self.rig.name}/install", client_id=self.rig.client_id, way="event")

    def _rows(self) -> Any:
        from handlers.models import Invocation

        return Invocation.objects.filter(portal=self.rig.portal)

    def _open(self) -> int:
        from handlers.models import OPEN_STATES

        return int(self._rows().filter(state__in=OPEN_STATES).count())

    def _waiting(self) -> list[str]:
        told = self.control.get(f"portals/{self.rig.name}/processes", state="waiting", limit=1000)
        return [process["id"] for process in told["items"] if process["handler_status"] == 200]

    def _over(self) -> bool:
        from handlers import spool

        stats = self.control.stats(self.rig.name)
        answered = stats["handler_ok"] + stats["handler_failed"]
        return (
            answered >= stats["processes"]
            and self._open() == 0
            and spool.held().calls == 0
            and not self._waiting()
        )

    def _confirmed(self) -> bool:
        return not self._rows().filter(confirm_at__isnull=False).exists()

    def _judge(self, case: Case, rig: Any, generation: str) -> None:
        found, stats = self.found, self.control.stats(rig.name)
        lost = self._waiting()
        found.sent += stats["processes"]
        found.accepted += stats["handler_ok"]
        found.lost += len(lost)
        found.doubled += stats["doubled"]
        for state in self._rows().values_list("state", flat=True):
            found.ended[state] = found.ended.get(state, 0) + 1
        found.confirmed += self._rows().filter(confirmed_at__isnull=False).count()
        if lost or stats["doubled"]:
            case.remarks.append(f"lost {len(lost)}, doubled {stats['doubled']}")
        # Where an answer was lost and the process went on by it, an older portal says no more than 404.
        usual = {"delivered", "expired"} | ({"refused"} if generation == "at_once" else set())
        strange = set(self._rows().values_list("state", flat=True)) - usual
        if strange:
            case.remarks.append(f"ended {sorted(strange)}")


Work = Callable[[], None]

if __name__ == "__main__":
    sys.exit(main())
