"""Making a portal match what is wanted: look, plan, send, settle each by its own answer, look again.

One push at a time for each portal, by a lease; every write is fenced by it. Nothing is trusted to memory:
what is about to be tried is on disk before it is sent, so a push that dies midway is taken up with the same
end (design §4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext as _

from portals import errors, finish, wake
from portals.client import PortalClient
from portals.clock import db_now
from portals.models import Portal
from robots import newcomer
from robots import plan as planning
from robots.look import Holding, look, record
from robots.models import Registration, Robot, RobotVersion
from robots.plan import CHANGING, Action, PortalPlan, Step, Wish
from robots.push_result import (
    ItemResult,
    PortalResult,
    as_portal_trouble,
    error_code_of,
    means_no_administrator,
    result_of,
    trouble_sentence,
)
from robots.push_send import Answer, End, groups, lists_fit, send
from robots.push_settle import Overtaken, Settler
from robots.push_turn import Progress, Turn, take_turn

Versions = Mapping[int, RobotVersion]


def want_all(portal: Portal) -> None:
    """After an installation or an update: all that was wanted there is due at once, since placed robots are
    blocked until then (contract §3). A portal never pushed to is given what the others have. Makes no request."""
    registrations = Registration.objects.filter(portal=portal)
    if registrations.exists():
        due = registrations.filter(wanted_version__isnull=False).update(due_at=db_now())
    else:
        due = newcomer.greet(portal)
    Portal.objects.filter(pk=portal.pk, robots_owed=True).update(robots_owed=False)
    if due:
        wake.wake("push")


def push_portal(
    portal: Portal,
    robots: Iterable[Robot | str] | None = None,
    *,
    versions: Versions | None = None,
    adopt: Iterable[str] = (),
    by: str = "",
    person: bool = True,
    progress: Progress = lambda text: None,
) -> PortalResult:
    """Pushes to one portal; never raises for what the portal says: PortalResult tells it.

    A person's push wants the latest published version of every robot of the application (or of `robots`; or
    the versions given by robot id), and the absence of removed ones. A push in the background
    (`person=False`) does what is due there, as recorded. A person waits for another push to the same portal,
    the background leaves it. Must not be called in a transaction.
    """
    turn = take_turn(portal.pk, person, progress)
    if turn is None:
        return PortalResult(portal, trouble=_("Another push to this portal is running."))
    codes = None if robots is None else {robot if isinstance(robot, str) else robot.code for robot in robots}
    try:
        portal = Portal.objects.select_related("application").get(pk=portal.pk)
        push = _Push(portal, turn, frozenset(adopt), by)
        wishes = push.wishes_of_person(codes, versions) if person else push.wishes_due()
        return push.run(wishes)
    finally:
        turn.held.release()


class _Push:
    def __init__(self, portal: Portal, turn: Turn, adopt: frozenset[str], by: str) -> None:
        self.portal, self.turn, self.adopt, self.by = portal, turn, adopt, by
        self.client = PortalClient(portal, person=turn.person)
        self.started = db_now()
        self.settler = Settler(portal, turn.held, self.started)
        self.result = PortalResult(portal)
        self.items: dict[str, ItemResult] = {}
        self.rows: dict[int, Registration] = {}
        # What is not settled yet, by code.
        self.open: dict[str, Wish] = {}
        # The batch sent last had no room for the lists.
        self.full = False

    def wishes_due(self) -> list[Wish]:
        rows = planning.registrations_of(self.portal)
        return planning.wishes_recorded(row for row in rows if row.due_at and row.due_at <= self.started)

    def wishes_of_person(self, codes: set[str] | None, versions: Versions | None) -> list[Wish]:
        """Drafts never published are told only: an error where they were asked for by code."""
        wishes = planning.wishes_of_person(self.portal, codes, versions)
        for wish in wishes:
            if wish.why:
                code = wish.robot.code
                named = code in self.adopt or code in (codes or ())
                action = Action.REFUSED if named else Action.NOTHING
                self.items[code] = ItemResult(
                    code, action, not named, wish.why, "not_published" if named else ""
                )
        return [wish for wish in wishes if not wish.why]

    def run(self, wishes: list[Wish]) -> PortalResult:
        self.open = {wish.robot.code: wish for wish in wishes}
        try:
            if self.turn.person:
                self.settler.want(wishes)
            self.rows = {wish.registration.pk: wish.registration for wish in wishes if wish.registration}
            if wishes:
                self._work(wishes)
        except Overtaken:
            self.result.trouble = _("This push was overtaken by another one; see its result.")
        except errors.RestError as error:
            told = as_portal_trouble(error) if means_no_administrator(error) else error
            self.result.trouble = trouble_sentence(told)
            self._leave_due(told)
        self.result.items = [self.items[code] for code in sorted(self.items)]
        return self.result

    def _work(self, wishes: list[Wish]) -> None:
        holding = self._look()
        plan = planning.make_plan(self.portal, wishes, holding, self._record(holding), self.adopt)
        self.result.plan = plan
        self.turn.progress(_plan_words(plan))
        self._report_unsent([step for step in plan.steps if step.action not in CHANGING])
        changing = plan.changing()
        self.result.foreign = plan.foreign
        if changing:
            after = self._send_all(changing)
            if after is None and not self._taken_whole(changing):
                after = self._look()
            self._verify(changing, after)
            if after is not None:
                self.result.foreign = self._record(after)
        if self.portal.events_bound_to != finish.address(self.portal) and not finish.finish(self.portal):
            self.turn.progress(_("The portal's events are not bound to our address yet; it is tried again."))

    def _taken_whole(self, steps: list[Step]) -> bool:
        """Whether the last batch was too full for the lists and every command answered `true`."""
        return self.full and all(step.code in self.items and self.items[step.code].done for step in steps)

    def _look(self) -> Holding:
        """Asked once more for a person where the answer was lost: looking changes nothing. A silent portal would
        hold a child of the background twice as long, and is asked again by it anyhow."""
        try:
            return self.turn.patiently(lambda: look(self.client))
        except errors.UnknownAnswer:
            if not self.turn.person:
                raise
            return self.turn.patiently(lambda: look(self.client))

    def _record(self, holding: Holding) -> list[tuple[str, str]]:
        """Through the rows in hand where there are some, or a later write of theirs would undo it."""
        return record(
            self.portal,
            holding,
            [self.rows.get(row.pk, row) for row in planning.registrations_of(self.portal)],
        )

    def _report_unsent(self, steps: list[Step]) -> None:
        self.settler.unsent(steps)
        for step in steps:
            self.items[step.code] = result_of(step)
            self.open.pop(step.code, None)
        rows = [(step, step.wish.registration) for step in steps if step.wish.registration]
        # A plan may come back. What a person orders anew he is told of, and orders again.
        lapsed = [
            row
            for step, row in rows
            if step.action is Action.REFUSED and (row.pushed_kind or not self.turn.person)
        ]
        self.settler.due_seldom(lapsed)
        self.settler.no_longer_due(row for _step, row in rows if row not in lapsed)

    def _send_all(self, steps: list[Step]) -> Holding | None:
        """Sends, and sends once more what the portal answered otherwise than planned, or not at all. What the
        portal holds now, where the last batch told."""
        unsettled, after = self._send_round(steps)
        if not unsettled:
            return after
        again = [step for step, _error in unsettled]
        holding = self._look()
        planned = planning.make_plan(self.portal, [step.wish for step in again], holding, (), self.adopt)
        second = []
        for (former, error), step in zip(unsettled, planned.steps, strict=True):
            # What was refused took no effect: a code that is there already holds what it held before.
            if isinstance(error, errors.UnknownAnswer) and _took_effect(former, holding):
                self._settle([(former, Answer(End.DONE))])
            elif step.action in CHANGING:
                second.append(step)
            else:
                self._report_unsent([step])
        left, after = self._send_round(second)
        for step, error in left:
            self._failed(step, error)
        return after if second else holding

    def _send_round(self, steps: list[Step]) -> tuple[list[tuple[Step, errors.RestError]], Holding | None]:
        """The steps to try again, each with what it met, and what the last batch's lists told."""
        again: list[tuple[Step, errors.RestError]] = []
        after: Holding | None = None
        sent = 0
        parts = list(groups(steps))
        for number, (group, as_batch) in enumerate(parts, 1):
            self.settler.note_tries(group, self.adopt, self.by)
            last = number == len(parts)
            self.full = as_batch and not lists_fit(group)
            try:
                answers, after = send(self.client, group, as_batch, self.turn.patiently, looking=last)
            except errors.RestError as error:
                # Surely not taken, so this was no try.
                self.settler.settle([(step, Answer(End.FAILED, error)) for step in group])
                raise
            again += self._settle(list(zip(group, answers, strict=True)))
            sent += len(group)
            if len(steps) > 1:
                self.turn.progress(_("%(sent)d of %(all)d sent.") % {"sent": sent, "all": len(steps)})
        return again, after if not again else None

    def _failed(self, step: Step, error: errors.RestError) -> None:
        if step.wish.registration is not None:
            self.settler.failed([step.wish.registration], error)
        self.open.pop(step.code, None)

    def _settle(self, answered: list[tuple[Step, Answer]]) -> list[tuple[Step, errors.RestError]]:
        """Stores each end; the steps to try again. Raises what concerns the whole portal, after that."""
        self.settler.settle(answered)
        again: list[tuple[Step, errors.RestError]] = []
        whole: errors.RestError | None = None
        for step, answer in answered:
            error = answer.error
            if error is not None and (
                isinstance(error, errors.PortalTrouble) or means_no_administrator(error)
            ):
                whole = error
                continue
            said = f"{error}" if error is not None else ""
            done = answer.end is End.DONE
            action = Action.FOREIGN if answer.end is End.FOREIGN else step.action
            code = error_code_of(error) if error is not None else ""
            self.items[step.code] = ItemResult(step.code, action, done, said or step.why, code)
            if answer.end is End.AGAIN and error is not None:
                again.append((step, error))
            elif answer.end is End.FOREIGN:
                self.settler.no_longer_due([row for row in [step.wish.registration] if row])
                self.open.pop(step.code, None)
            elif answer.end is End.FAILED and error is not None:
                self._failed(step, error)
        if whole is not None:
            raise whole
        return again

    def _verify(self, steps: list[Step], holding: Holding | None) -> None:
        """By `list`: what was done is there, what was deleted is gone; only then it is no longer due. None: see
        `_taken_whole`; a request for the lists alone would make its answers no truer."""
        settled = []
        for step in steps:
            item = self.items.get(step.code)
            row = step.wish.registration
            if item is None or not item.done or row is None:
                continue
            wanted = step.wish.version.kind if step.wish.version else ""
            if holding is None or holding.kind_of(step.code) == wanted:
                settled.append(row)
            else:
                item.done, item.error_code = False, "not_verified"
                item.why = _("The portal said yes, but its list says otherwise; it is tried again.")
                self.settler.failed([row], errors.UnknownAnswer("not_verified", item.why, None, 60.0))
            self.open.pop(step.code, None)
        self.settler.no_longer_due(settled)

    def _leave_due(self, error: errors.RestError) -> None:
        """What was not settled waits on its row with the reason."""
        waiting = {
            code: wish
            for code, wish in self.open.items()
            if code not in self.items or not self.items[code].done
        }
        rows = [wish.registration for wish in waiting.values() if wish.registration]
        try:
            self.settler.failed(rows, error)
        except Overtaken:
            return
        steps = {step.code: step for step in self.result.plan.steps} if self.result.plan else {}
        for code in waiting:
            action = steps[code].action if code in steps else Action.REFUSED
            self.items[code] = ItemResult(code, action, False, self.result.trouble, error_code_of(error))


def _took_effect(step: Step, holding: Holding) -> bool:
    """Whether a step whose answer was lost is seen to be done, where `list` can tell."""
    there = holding.kind_of(step.code)
    if step.action is Action.ADD:
        return there == step.kind and step.former_try == ("", None)
    if step.action is Action.DELETE:
        return not there
    return step.action is Action.REPLACE and step.there != step.kind and there == step.kind


def _plan_words(plan: PortalPlan) -> str:
    found = planning.counts(plan.steps)
    return ", ".join(f"{count} {action}" for action, count in found.items()) or _("nothing to do")
