"""What a push writes on registrations, each time under the fence of its lease (design §2 rule 6)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import transaction

from portals import errors, lease
from portals.clock import db_now
from portals.failpoint import failpoint
from portals.models import Portal
from robots.models import Registration
from robots.payload import dump
from robots.plan import Action, Step, Wish
from robots.push_result import error_code_of
from robots.push_send import Answer, End

# A trouble is asked again once a minute; what a portal refuses as it stands, ever more seldom.
SOON = dt.timedelta(seconds=5)
EVERY = dt.timedelta(minutes=1)
SELDOM = dt.timedelta(hours=1)

_PUSHED = [
    "pushed_version",
    "pushed_text",
    "pushed_kind",
    "pushed_at",
    "installation",
    "tried_kind",
    "tried_at",
    "observed",
    "observed_at",
    "adopted_by",
    "error_code",
    "error_text",
    "error_at",
]


class Overtaken(Exception):
    """The lease went to another push, which knows better; nothing more is written."""


class Settler:
    """Writes for one push of one portal. `started` is when it looked first, by the database's clock: a wish
    that came later than that stays due."""

    def __init__(self, portal: Portal, held: lease.Held, started: dt.datetime) -> None:
        self.portal, self.held, self.started = portal, held, started

    def want(self, wishes: Iterable[Wish]) -> None:
        """Makes the wishes durable, due from now: what dies midway is taken up by the next push."""
        new, rows = [], []
        for wish in wishes:
            if wish.registration is None:
                wish.registration = Registration(robot=wish.robot, portal=self.portal)
                new.append(wish.registration)
            else:
                rows.append(wish.registration)
            wish.registration.wanted_version, wish.registration.due_at = wish.version, self.started
        with self._fenced():
            Registration.objects.bulk_create(new, batch_size=50)
            Registration.objects.bulk_update(rows, ["wanted_version", "due_at"], batch_size=50)
        failpoint("push.wanted")

    def note_tries(self, steps: Iterable[Step], adopt: Iterable[str], by: str) -> None:
        """Before anything is sent: what is tried, so that a code found after an unknown answer is known to be
        ours, and what the portal then holds is known not to be certain."""
        now = db_now()
        rows = []
        for step in steps:
            row = _row(step)
            step.former_try = (row.tried_kind, row.tried_at)
            row.tried_at = now
            if step.action is not Action.DELETE:
                row.tried_kind = step.kind
            # A code that is free is nobody's: another's that comes in between is not taken over unseen.
            if step.code in adopt and step.there and not step.owned:
                row.adopted_by = (by or "push_robots")[:150]
            self._renew_installation(row)
            rows.append(row)
        self._save(rows)
        failpoint("push.noted")

    def settle(self, answered: Iterable[tuple[Step, Answer]]) -> None:
        """Each step's own end, but for its error (`failed`). What is to be tried again keeps its try."""
        now = db_now()
        rows = []
        for step, answer in answered:
            row = _row(step)
            self._renew_installation(row)
            if answer.end is End.DONE:
                self._done(row, step, now)
            else:
                if answer.deleted:
                    _forget(row)
                if answer.end is not End.AGAIN:
                    row.tried_kind, row.tried_at = step.former_try
                if answer.end is End.FOREIGN:
                    row.observed, row.observed_at = Registration.Observed.FOREIGN, now
                    _clear_error(row)
            rows.append(row)
        failpoint("push.answered")
        self._save(rows)
        failpoint("push.settled")

    def _done(self, row: Registration, step: Step, now: dt.datetime) -> None:
        _clear_error(row)
        row.tried_kind, row.tried_at = "", None
        row.observed_at = now
        if step.wish.version is None:
            _forget(row)
            row.adopted_by = ""
            row.observed = Registration.Observed.MISSING
            return
        assert step.new is not None  # noqa: S101  (a step of a version has a payload)
        row.pushed_version, row.pushed_kind = step.wish.version, step.wish.version.kind
        row.pushed_text, row.pushed_at = dump(step.new), now
        row.observed = Registration.Observed.PRESENT

    def unsent(self, steps: Iterable[Step]) -> None:
        """Steps that need no request: nothing to do, refused by the plan, foreign."""
        now = db_now()
        rows = []
        for step in steps:
            row = step.wish.registration
            if row is None:
                continue
            self._renew_installation(row)
            _clear_error(row)
            if step.action is Action.REFUSED:
                row.error_code, row.error_text = "ERROR_METHOD_NOT_FOUND", step.why[:500]
                row.error_at = now
            elif step.wish.version is None and not step.there and not step.wish.why:
                _forget(row)
                row.tried_kind, row.tried_at, row.adopted_by = "", None, ""
            rows.append(row)
        self._save(rows)

    def no_longer_due(self, rows: Iterable[Registration]) -> None:
        """These match, or no repeat would change it; one wanted again since the push began stays due."""
        self._due(rows, None)

    def due_seldom(self, rows: Iterable[Registration]) -> None:
        """What is owed to these, nothing tells when it can be given: it is tried once an hour."""
        self._due(rows, db_now() + SELDOM)

    def _due(self, rows: Iterable[Registration], moment: dt.datetime | None) -> None:
        keys = [row.pk for row in rows]
        with self._fenced():
            Registration.objects.filter(pk__in=keys, due_at__lte=self.started).update(due_at=moment)

    def failed(self, rows: Iterable[Registration], error: errors.RestError) -> None:
        """These stay due: when is told by the error."""
        now = db_now()
        with self._fenced():
            for row in rows:
                row.due_at = now + self._pause(row, error)
                row.error_code, row.error_text, row.error_at = error_code_of(error), text_of(error), now
                row.save(update_fields=["error_code", "error_text", "error_at", "due_at"])

    def _pause(self, row: Registration, error: errors.RestError) -> dt.timedelta:
        """What a portal refuses is repeated after twice the last pause, up to an hour; the rest sooner."""
        by_person = row.due_at is None or row.due_at == self.started
        if isinstance(error, errors.Passes):
            # Asking a portal that is silent costs a child more than a minute each time.
            least = EVERY if isinstance(error, errors.UnknownAnswer) and not by_person else SOON
            return max(dt.timedelta(seconds=error.retry_after), least)
        if isinstance(error, errors.PortalTrouble) or by_person or row.error_at is None or row.due_at is None:
            return EVERY
        return min(max((row.due_at - row.error_at) * 2, EVERY), SELDOM)

    def _renew_installation(self, row: Registration) -> None:
        """What was pushed under a former installation is not known to be there (it stays known as ours)."""
        if row.installation != self.portal.installation:
            row.installation = self.portal.installation
            row.pushed_version, row.pushed_text, row.pushed_at = None, "", None

    def _save(self, rows: list[Registration]) -> None:
        with self._fenced():
            Registration.objects.bulk_update(rows, _PUSHED, batch_size=50)

    @contextmanager
    def _fenced(self) -> Iterator[None]:
        """A transaction that writes only while the lease is held. Raises Overtaken."""
        with transaction.atomic():
            if not lease.holds(self.held):
                raise Overtaken
            yield


def _row(step: Step) -> Registration:
    row = step.wish.registration
    assert row is not None  # noqa: S101  (`want` made one for every step that changes something)
    return row


def text_of(error: errors.RestError) -> str:
    """What the portal said; with its code where that is not stored as such."""
    said = f"{error.code} {error.text}".strip() if error_code_of(error) == errors.NOT_NOW else error.text
    return said[:500]


def _forget(row: Registration) -> None:
    row.pushed_version, row.pushed_text, row.pushed_kind, row.pushed_at = None, "", "", None


def _clear_error(row: Registration) -> None:
    row.error_code, row.error_text, row.error_at = "", "", None
