"""Ordered pushes and checks, carried out portal by portal on the `push` queue; several children share them.

An item is claimed by compare-and-set on its `tries`. While it is worked on, its portal's own lease (which
`push_portal` renews before each request) tells that somebody still does: an item whose lease ran out is
claimed again, so a push that dies midway is taken up by the sweep with the same end.
"""

from __future__ import annotations

import datetime as dt
import logging

from django.conf import settings
from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat
from django.utils import translation
from django.utils.translation import gettext as _

from portals import lease, stopping, wake
from portals.clock import db_now
from portals.keeper import PLACE_SECONDS, kept
from portals.models import Lease, Portal
from robots.drift import check_portal
from robots.models import Push, PushItem, Registration, RobotVersion
from robots.plan import Action
from robots.push import push_portal
from robots.push_result import PortalResult
from robots.push_turn import take_turn

log = logging.getLogger(__name__)

State = PushItem.State
OPEN = (State.WAITING, State.WORKING)
# Between the claim and the portal's lease, and between the lease's end and the record of it.
GRACE = dt.timedelta(seconds=30)
# What ends its process each time must not do so for ever.
MAX_TRIES = 5


def work() -> int:
    """Carries out what is ordered until nothing can be claimed; the number of portals asked."""
    asked = 0
    if not claimable().exists():
        return asked
    place = take_place()
    if place is None:
        return asked
    with kept(place) as ours:
        while ours() and not stopping.asked() and (item := _claim()) is not None:
            if claimable().exists():
                # There is more than one child's work: another may help.
                wake.wake("push")
            carry_out(item)
            asked += 1
    return asked


def take_place(background: bool = False) -> lease.Held | None:
    """A third of the children, so that calls and results find theirs while a hundred portals are pushed to.

    Of several places the background leaves one to what people ordered, silent portals may hold all it has.
    """
    places = max(1, settings.WORKER_CONCURRENCY // 3)
    for place in range(1 if background and places > 1 else 0, places):
        if (held := lease.take(f"pushing:{place}", PLACE_SECONDS)) is not None:
            return held
    return None


def claimable() -> QuerySet[PushItem]:
    """Open items of portals that nobody pushes to just now, the oldest order first."""
    now = db_now()
    name = Concat(Value("push:"), Cast(OuterRef("portal_id"), CharField()))
    busy = Lease.objects.filter(name=name, until__gt=now)
    begun = PushItem.objects.filter(
        portal=OuterRef("portal_id"), state=State.WORKING, started_at__gt=now - GRACE
    )
    left = Q(state=State.WORKING, started_at__lte=now - GRACE)
    # The outer condition is the partial index's own, so that it is used.
    rows = PushItem.objects.filter(state__in=OPEN).filter(Q(state=State.WAITING) | left)
    return rows.exclude(Exists(busy)).exclude(Exists(begun)).order_by("push_id", "id")


def _claim() -> PushItem | None:
    for key, tries in claimable().values_list("pk", "tries")[:20]:
        mine = PushItem.objects.filter(pk=key, tries=tries, state__in=OPEN)
        if mine.update(state=State.WORKING, tries=F("tries") + 1, started_at=db_now()):
            return PushItem.objects.select_related("push", "portal__application").get(pk=key)
    return None


def carry_out(item: PushItem) -> PushItem:
    """Pushes to (or checks) the item's portal and records how it ended. Makes requests; raises nothing."""
    with translation.override(item.push.language or settings.LANGUAGE_CODE):
        try:
            if item.portal.state != Portal.State.INSTALLED:
                item.state, item.trouble = State.FAILED, _("The application is not installed on this portal.")
            elif item.tries > MAX_TRIES:
                item.state = State.FAILED
                item.trouble = _("Given up after %(n)d tries: each ended its process.") % {"n": MAX_TRIES}
            elif item.push.kind == Push.Kind.CHECK:
                _check(item)
            else:
                _push(item)
        except Exception as error:
            log.exception("an ordered push failed", extra={"portal": item.portal_id, "push": item.push_id})
            item.state = State.FAILED
            item.trouble = _("The hub failed here (%(error)s); its log says more.") % {
                "error": type(error).__name__
            }
    item.ended_at = db_now()
    save(item)
    return item


def save(item: PushItem) -> bool:
    """Records an item's end, unless somebody else took it up meanwhile; ends its push after the last one."""
    mine = PushItem.objects.filter(pk=item.pk, tries=item.tries, state=State.WORKING)
    done = mine.update(state=item.state, outcomes=item.outcomes, trouble=item.trouble, ended_at=item.ended_at)
    if done:
        end_push(item.push_id)
    return bool(done)


def end_push(push_id: int) -> None:
    """Sets the push's end where nothing of it is open any more, nor held up by a portal."""
    if not PushItem.objects.filter(push=push_id, state__in=[*OPEN, State.HELD]).exists():
        Push.objects.filter(pk=push_id, ended_at=None).update(ended_at=db_now())


def _push(item: PushItem) -> None:
    versions = RobotVersion.objects.in_bulk([each["version"] for each in item.wanted if each["version"]])
    result = push_portal(
        item.portal,
        [each["code"] for each in item.wanted],
        versions={version.robot_id: version for version in versions.values()},
        adopt=item.push.adopt,
        by=item.push.ordered_by,
    )
    record(item, result)
    note_others(item.portal, result, item.push_id)


def record(item: PushItem, result: PortalResult) -> None:
    """The item's state and outcomes by what the push of its portal came to; not saved."""
    item.outcomes = [
        {
            "code": each.robot_code,
            "action": str(each.action),
            "done": each.done,
            "why": each.why,
            "error_code": each.error_code,
        }
        for each in result.items
    ]
    item.trouble = result.trouble
    if result.ok:
        item.state = State.DONE
    elif result.trouble and _due(item).exists():
        item.state = State.HELD
    else:
        item.state = State.FAILED


def adoptions(portal: Portal) -> tuple[set[str], str]:
    """The codes that people ordered to adopt where this portal holds their push up, and who did last: the background
    pushes in their place."""
    codes: set[str] = set()
    by = ""
    held = PushItem.objects.filter(portal=portal, state=State.HELD, push__kind=Push.Kind.PUSH)
    for item in held.select_related("push").order_by("push_id"):
        if found := {each["code"] for each in item.undone()} & set(item.push.adopt):
            codes |= found
            by = item.push.ordered_by
    return codes, by


def _due(item: PushItem) -> QuerySet[Registration]:
    """What the background still owes this item's portal of its robots."""
    robots = [each["robot"] for each in item.undone()]
    return Registration.objects.filter(portal=item.portal_id, robot__in=robots, due_at__isnull=False)


def _check(item: PushItem) -> None:
    # The turn tells that somebody asks: one look may take longer than GRACE.
    turn = take_turn(item.portal_id, person=True, progress=lambda _text: None)
    if turn is None:
        item.state, item.trouble = State.FAILED, _("Another push to this portal is running.")
        return
    try:
        found = check_portal(item.portal)
    finally:
        turn.held.release()
    item.outcomes = [
        {
            "code": each.code,
            "action": str(each.drift),
            "done": False,
            "why": each.why,
            "error_code": each.reason,
        }
        for each in found.differences
    ]
    item.trouble = found.trouble
    item.state = State.FAILED if found.trouble or found.differences else State.DONE


def note_others(portal: Portal, result: PortalResult, besides: int | None = None) -> None:
    """Tells former pushes what became of what they had to leave: done since, or overtaken by a later order."""
    done = {each.robot_code: each for each in result.items if each.done}
    left = PushItem.objects.filter(
        portal=portal, state__in=[State.HELD, State.FAILED], push__kind=Push.Kind.PUSH
    )
    items = list(left.exclude(push=besides).select_related("push").order_by("-push_id")[:20]) if done else []
    if not items:
        return
    held = Registration.objects.filter(portal=portal).values_list("robot", "wanted_version")
    wanted: dict[int, int | None] = dict(held)
    for item in items:
        with translation.override(item.push.language or settings.LANGUAGE_CODE):
            _note(item, {code: str(each.action) for code, each in done.items()}, wanted)


def _note(item: PushItem, done: dict[str, str], wanted: dict[int, int | None]) -> None:
    """`done`: what was done by code, in place of what this push could not."""
    outcomes = {outcome["code"]: outcome for outcome in item.outcomes}
    fresh = [each for each in item.undone() if each["code"] in done]
    for each in fresh:
        outcome = outcomes.setdefault(each["code"], {"code": each["code"], "action": each["action"]})
        same = wanted.get(each["robot"]) == each["version"]
        why = _("Done later, by itself.") if same else _("A later push took its place.")
        # It may have matched by then; what brought it there was the deed that was ordered.
        action = each["action"] if done[each["code"]] == Action.NOTHING else done[each["code"]]
        outcome.update(done=True, action=action, why=why, error_code="")
    if not fresh:
        return
    item.outcomes = list(outcomes.values())
    left = item.undone()
    state = State.DONE if not left else item.state
    PushItem.objects.filter(pk=item.pk, state=item.state, tries=item.tries).update(
        state=state,
        outcomes=item.outcomes,
        trouble=item.trouble if left else "",
        ended_at=item.ended_at if left else db_now(),
    )
    if not left:
        end_push(item.push_id)
