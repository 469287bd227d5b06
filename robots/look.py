"""What a portal holds: codes by kind, all that `list` tells (§5), and whose they are by our own record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from portals import errors
from portals.client import PortalClient
from portals.clock import db_now
from portals.models import Portal
from robots.models import ForeignCode, Kind, Registration

METHODS: dict[str, str] = {Kind.ROBOT: "bizproc.robot", Kind.ACTIVITY: "bizproc.activity"}
LISTS: dict[str, tuple[str, dict[str, object]]] = {
    f"list_{kind}": (f"{method}.list", {}) for kind, method in METHODS.items()
}


@dataclass(frozen=True, slots=True)
class Holding:
    """Codes on a portal under our application; None where its plan has no such thing (§5)."""

    robots: frozenset[str] | None
    activities: frozenset[str] | None

    def kind_of(self, code: str) -> str:
        """ "robot", "activity" or "" where the code is free; both kinds share one namespace."""
        if code in (self.robots or ()):
            return Kind.ROBOT
        return Kind.ACTIVITY if code in (self.activities or ()) else ""

    def allows(self, kind: str) -> bool:
        """Whether the portal's plan has this kind at all."""
        return (self.robots if kind == Kind.ROBOT else self.activities) is not None

    def codes(self) -> list[tuple[str, str]]:
        """(kind, code), in a stable order."""
        robots = [(str(Kind.ROBOT), code) for code in sorted(self.robots or ())]
        return robots + [(str(Kind.ACTIVITY), code) for code in sorted(self.activities or ())]


def look(client: PortalClient) -> Holding:
    """One request for both lists. Raises RestError; without the right to ask, PortalTrouble no_rights."""
    answer = client.batch(LISTS)
    return holding_of(answer.results, answer.errors)


def holding_of(results: dict[str, object], refused: dict[str, errors.RestError]) -> Holding:
    """Reads the answers to `LISTS`, which may have come with other commands in one batch."""
    lists = {kind: _codes(results.get(f"list_{kind}"), refused.get(f"list_{kind}")) for kind in METHODS}
    return Holding(lists[Kind.ROBOT], lists[Kind.ACTIVITY])


def _codes(result: object, error: errors.RestError | None) -> frozenset[str] | None:
    if isinstance(error, errors.CommandRefused):
        if error.meaning == errors.NOT_IN_PLAN:
            return None
        if error.meaning in (errors.NO_RIGHT, errors.NEEDS_APPLICATION):
            raise errors.PortalTrouble(Portal.Trouble.NO_RIGHTS, error.code, error.text, error.status)
    if error is not None:
        raise error
    if isinstance(result, dict):
        result = list(result.values())
    if not isinstance(result, list):
        raise errors.UnknownAnswer("no_list", "The portal's list of robots can't be read.")
    # As our own record can hold them: a code that no database stores is nobody's, and stops nothing.
    return frozenset(errors.storable(str(code).replace("\0", "?"))[:255] for code in result)


def owns(registration: Registration | None, kind: str) -> bool:
    """Whether our own record shows that we pushed, tried to add or adopted this code and kind there.

    A record of a former installation still tells whose a code is, though not what it holds: a repeated
    installation drops nothing, and after one that did, nobody else registers under our application unseen.
    """
    if registration is None or not kind:
        return False
    return kind in (registration.pushed_kind, registration.tried_kind) or bool(registration.adopted_by)


def record(portal: Portal, holding: Holding, registrations: Iterable[Registration]) -> list[tuple[str, str]]:
    """Stores what was seen: `observed` of the portal's registrations (all of them), its foreign codes.
    The answer is the foreign codes as (kind, code)."""
    now = db_now()
    by_code = {row.robot.code: row for row in registrations}
    seen: dict[str, list[int]] = {}
    for code, row in by_code.items():
        row.observed, row.observed_at = _observed(row, holding.kind_of(code)), now
        seen.setdefault(row.observed, []).append(row.pk)
    for observed, keys in seen.items():
        Registration.objects.filter(pk__in=keys).update(observed=observed, observed_at=now)
    foreign = [(kind, code) for kind, code in holding.codes() if not owns(by_code.get(code), kind)]
    _record_foreign(portal, foreign)
    return foreign


def _observed(row: Registration, kind: str) -> Registration.Observed:
    if not kind:
        return Registration.Observed.MISSING
    return Registration.Observed.PRESENT if owns(row, kind) else Registration.Observed.FOREIGN


def _record_foreign(portal: Portal, foreign: list[tuple[str, str]]) -> None:
    held = {(row.kind, row.code): row.pk for row in ForeignCode.objects.filter(portal=portal)}
    gone = [key for place, key in held.items() if place not in set(foreign)]
    if gone:
        ForeignCode.objects.filter(pk__in=gone).delete()
    now = db_now()
    ForeignCode.objects.filter(pk__in=[held[place] for place in foreign if place in held]).update(seen_at=now)
    ForeignCode.objects.bulk_create(
        [
            ForeignCode(portal=portal, kind=kind, code=code, seen_at=now)
            for kind, code in foreign
            if (kind, code) not in held
        ],
        ignore_conflicts=True,
    )
