"""`manage.py push_robots`"""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portals import errors
from portals.client import PortalClient
from portals.clock import db_now
from portals.models import Portal
from portals.standing import what_to_do
from robots import plan as planning
from robots.chosen import COULD_NOT, PENDING, check_codes, portals_named
from robots.look import look, record
from robots.models import Push
from robots.plan import CHANGING, Action, PortalPlan, Step
from robots.push import push_portal
from robots.push_order import begin
from robots.push_queue import end_push, note_others, save
from robots.push_queue import record as record_end
from robots.push_result import (
    ItemResult,
    PortalResult,
    as_portal_trouble,
    means_no_administrator,
    trouble_sentence,
)

# So many codes are named in a line.
NAMED = 10


class Command(BaseCommand):
    help = (
        "Makes portals match: adds, updates and deletes robots so that each holds the latest published "
        "version of every robot (removed ones are deleted). Needs no worker and no broker; pushes to one "
        "portal take turns. Safe to repeat. Exit codes: 0 done or nothing to do, 1 something was not done "
        "(after all else was), 2 wrong use, 3 changes pending (--dry-run). Each push is kept and can be read "
        "in the admin."
    )

    by = ""
    push: Push | None = None
    # Of a dry run, by application: a hundred portals are shown what is published at one moment.
    published: dict[int, planning.Published]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--application", metavar="SLUG", help="portals of this application only")
        parser.add_argument(
            "--portal",
            metavar="MEMBER_ID",
            nargs="+",
            action="extend",
            default=[],
            help="these portals only; without it all where the application is installed",
        )
        parser.add_argument(
            "--robot", metavar="CODE", nargs="+", action="extend", default=[], help="these robots only"
        )
        parser.add_argument(
            "--adopt",
            metavar="CODE",
            nargs="+",
            action="extend",
            default=[],
            help="take over codes that other software registered under the application: what is there "
            "can't be read, so every field is set or cleared, and the handler moves here",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="show the plan field by field; change nothing on any portal",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        portals = portals_named(options["application"], options["portal"])
        adopt = check_codes(options["adopt"], options["application"])
        codes = check_codes(options["robot"], options["application"])
        if codes:
            # What is adopted is pushed, also where --robot names others.
            codes = list(dict.fromkeys([*codes, *adopt]))
        if not portals:
            self.stdout.write("No portal has the application installed: nothing to do.")
            return
        self.by, self.published = person(), {}
        ends = []
        for number, portal in enumerate(portals, 1):
            self.stdout.write(
                f"[{number}/{len(portals)}] {portal.application.slug} on {portal} ({portal.member_id})"
            )
            one = self._show_plan if options["dry_run"] else self._push
            ends.append(one(portal, codes or None, adopt))
            self.stdout.flush()
        if self.push is not None:
            end_push(self.push.pk)
        for end in (COULD_NOT, PENDING):
            if end in ends:
                sys.exit(end)

    def _push(self, portal: Portal, codes: list[str] | None, adopt: list[str]) -> int:
        stored = begin(portal, self.push, self.by, codes, adopt)
        self.push = stored.push
        result = push_portal(
            portal,
            codes,
            adopt=adopt,
            by=self.by,
            progress=lambda text: self.stdout.write(f"  … {text}"),
        )
        record_end(stored, result)
        stored.ended_at = db_now()
        save(stored)
        note_others(portal, result, self.push.pk)
        # What the portal as a whole keeps from being done is told once, not robot by robot.
        left = [item for item in result.items if not item.done and item.why == result.trouble]
        for item in result.items:
            if item not in left:
                self.stdout.write(f"  {_item(item)}")
        self._show_foreign(result)
        if result.trouble:
            self.stdout.write(f"  not done: {_whole(portal, result.trouble, left)}")
        return 0 if result.ok else COULD_NOT

    def _show_foreign(self, shown: PortalResult | PortalPlan) -> None:
        for kind, code in shown.foreign:
            self.stdout.write(
                f"  foreign {kind} {code}: never pushed by us, left alone (--adopt {code} takes it over)"
            )

    def _show_plan(self, portal: Portal, codes: list[str] | None, adopt: list[str]) -> int:
        application = portal.application_id
        if application not in self.published:
            self.published[application] = planning.published(application)
        catalog = self.published[application]
        rows = planning.registrations_of(portal, catalog.robots)
        wishes = planning.wishes_of_person(portal, codes, rows=rows, catalog=catalog)
        try:
            holding = look(PortalClient(portal, person=True))
        except errors.RestError as error:
            told = as_portal_trouble(error) if means_no_administrator(error) else error
            self.stdout.write(f"  can't be asked: {_whole(portal, trouble_sentence(told), [])}")
            return COULD_NOT
        foreign = record(portal, holding, rows)
        plan = planning.make_plan(portal, wishes, holding, foreign, adopt)
        for step in plan.steps:
            self._show_step(step)
        self._show_foreign(plan)
        if plan.changing():
            return PENDING
        named = codes or adopt
        undone = [
            s for s in plan.steps if s.action in (Action.REFUSED, Action.FOREIGN) or (named and s.wish.why)
        ]
        return COULD_NOT if undone else 0

    def _show_step(self, step: Step) -> None:
        version = f" version {step.wish.version.number}" if step.wish.version else ""
        why = f": {step.why}" if step.why else ""
        self.stdout.write(f"  {step.action} {step.code}{version}{why}")
        if step.action in CHANGING:
            for change in step.changes:
                self.stdout.write(f"    {change}")


def person() -> str:
    """Who runs the command, as the machine knows them."""
    try:
        return getpass.getuser()[:150]
    except (KeyError, OSError):
        return "push_robots"


def _whole(portal: Portal, trouble: str, left: list[ItemResult]) -> str:
    """What is wrong with the portal, what to do, and the robots that wait for it."""
    portal.refresh_from_db(fields=["trouble"])
    sentences = [trouble, what_to_do(portal.trouble)]
    if left:
        codes = ", ".join(item.robot_code for item in left[:NAMED])
        more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
        sentences.append(f"Left for later: {codes}{more}.")
    return " ".join(each if each.endswith(".") else f"{each}." for each in sentences if each)


def _item(item: ItemResult) -> str:
    end = "" if item.done else " NOT DONE"
    return f"{item.action} {item.robot_code}{end}{': ' + item.why if item.why else ''}"
