"""The plan of a push: what would change on which portal, field by field; then it is ordered."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portals.models import Portal, PortalGroup
from portals.panels import BAD, INFO, OFF, OK, WARN, badge
from portals.row_number import is_row_number
from robots.models import Push, Robot, RobotVersion
from robots.plan import CHANGING, Action, PortalPlan, Step
from robots.publish import Verdict, verdict
from robots.push_order import order, planned, repairs

PUSH = "robots.change_registration"
# Above this a portal's steps are told as numbers; each is still pushed.
STEPS_SHOWN = 400
CHANGES_SHOWN = 30

TONES = {
    Action.ADD: INFO,
    Action.UPDATE: INFO,
    Action.REPLACE: WARN,
    Action.DELETE: WARN,
    Action.NOTHING: OK,
    Action.REFUSED: BAD,
    Action.FOREIGN: OFF,
}


class Choice:
    """What the query (or the form) names: robots, portals, a version each in place of the latest, codes to
    adopt; or a check, whose differences are to be repaired. Without portals all where the applications are
    installed, or those of `group`; of the steps shown those that were left ticked."""

    def __init__(self, request: HttpRequest) -> None:
        posted = request.method == "POST"
        given = request.POST if posted else request.GET
        self.versions = {
            version.robot_id: version
            for version in RobotVersion.objects.filter(pk__in=_ids(given.getlist("version")))
        }
        robot_ids = [*_ids(given.getlist("robot")), *self.versions]
        portal_ids = _ids(given.getlist("portal"))
        self.steps = set(given.getlist("step")) if "steps" in given else None
        self.check = Push.objects.filter(kind=Push.Kind.CHECK, pk__in=_ids([given.get("repair", "")])).first()
        group = _ids([given.get("group", "")])
        self.group = group[0] if group else None
        portals = Portal.objects.select_related("application").filter(state=Portal.State.INSTALLED)
        robots = Robot.objects.select_related("application").prefetch_related("properties")
        if self.check:
            items = list(self.check.items.all())
            differing = {each["code"] for item in items for each in item.outcomes}
            portals = portals.filter(pk__in=[item.portal_id for item in items if item.outcomes])
            robots = robots.filter(
                code__in=differing, registrations__portal__in=[item.portal_id for item in items]
            ).distinct()
        if robot_ids:
            robots = robots.filter(pk__in=robot_ids)
        if portal_ids:
            portals = portals.filter(pk__in=portal_ids)
        elif posted:
            portals = portals.none()
        if self.group and not posted:
            portals = portals.filter(groups=self.group)
        found = list(robots)
        portals = portals.filter(application__in={robot.application_id for robot in found})
        self.portals = list(portals.order_by("application__slug", "domain", "pk"))
        if not robot_ids:
            applications = {portal.application_id for portal in self.portals}
            found = [robot for robot in found if robot.application_id in applications]
        self.robots = found
        self.adopt = [robot.code for robot in found if robot.pk in _ids(given.getlist("adopt"))]
        # A chosen version goes to chosen portals: nothing is ticked that the person did not choose.
        self.ticked = bool(portal_ids or self.group or not self.versions)

    def plans(self) -> list[PortalPlan]:
        if self.check:
            plans = repairs(self.check, self.portals)
        else:
            plans = planned(self.portals, self.robots, self.versions, self.adopt)
        if self.steps is not None:
            for plan in plans:
                plan.steps = [step for step in plan.steps if _tick(plan, step) in self.steps]
        return plans


def plan_view(request: HttpRequest) -> HttpResponse:
    """GET shows the plan; POST orders it for the portals ticked."""
    if not request.user.has_perm(PUSH):
        raise PermissionDenied
    choice = Choice(request)
    plans = choice.plans()
    if request.method == "POST":
        return _order(request, choice, plans)
    judged: dict[tuple[int, int], Verdict] = {}
    shown = [_told(plan, judged) for plan in plans]
    told = sum(len(each["steps"]) for each in shown) <= STEPS_SHOWN
    if not told:
        for each in shown:
            each["steps"] = []
    context = {
        **admin.site.each_context(request),
        "opts": Robot._meta,
        "title": _("What a push would do"),
        "choice": choice,
        "robots": choice.robots,
        "versions": choice.versions.values(),
        "groups": PortalGroup.objects.all(),
        "plans": shown,
        # Where steps are told as numbers, portals are ticked alone.
        "steps_told": told,
        "changing": sum(len(plan.changing()) for plan in plans),
    }
    return TemplateResponse(request, "admin/robots/robot/plan.html", context)


def _order(request: HttpRequest, choice: Choice, plans: list[PortalPlan]) -> HttpResponse:
    push = order(plans, request.user.get_username(), adopt=choice.adopt)
    if push is None:
        words = _("There was nothing to push.") if plans else _("No portal was ticked: nothing is pushed.")
        messages.info(request, words)
        return HttpResponseRedirect(request.get_full_path())
    changed = {step.wish.robot.pk for plan in plans for step in plan.changing()}
    LogEntry.objects.log_actions(
        cast("int", request.user.pk),
        [robot for robot in choice.robots if robot.pk in changed],
        CHANGE,
        change_message=_("pushed: push #%(n)d") % {"n": push.pk},
    )
    n = sum(len(plan.changing()) for plan in plans)
    words = ngettext("%(n)d change is on its way.", "%(n)d changes are on their way.", n)
    messages.success(request, words % {"n": n})
    return HttpResponseRedirect(reverse("admin:robots_push_change", args=[push.pk]))


def _ids(texts: list[str]) -> list[int]:
    return [int(text) for text in texts if is_row_number(text)]


def _tick(plan: PortalPlan, step: Step) -> str:
    """What a step's box on the page says where it is ticked."""
    return f"{plan.portal.pk}-{step.wish.robot.pk}"


def _told(plan: PortalPlan, judged: dict[tuple[int, int], Verdict]) -> dict[str, Any]:
    shown = [step for step in plan.steps if step.action is not Action.NOTHING or step.why]
    steps = [{"tick": _tick(plan, step), **_step(step, judged)} for step in shown]
    return {
        "portal": plan.portal,
        "changing": len(plan.changing()),
        "same": sum(step.action is Action.NOTHING and not step.why for step in plan.steps),
        "steps": steps,
    }


def _step(step: Step, judged: dict[tuple[int, int], Verdict]) -> dict[str, Any]:
    """`judged`: verdicts of the page by the two versions, since many portals go from one to the other."""
    former = step.wish.registration.pushed_version if step.wish.registration else None
    held = former.pk if former else None
    version = step.wish.version
    found = None
    if former and version and former.pk != version.pk and step.action in CHANGING:
        key = (former.pk, version.pk)
        if key not in judged:
            judged[key] = verdict(former, version)
        found = judged[key]
    return {
        "verdict": found,
        "judged": badge(WARN, _("breaking")) if found and found.breaking else badge(OK, _("compatible")),
        "robot": step.wish.robot,
        "version": version,
        "older": bool(version and held and held > version.pk),
        "badge": badge(TONES[step.action], action_words(step.action)),
        "changes": step.changes[:CHANGES_SHOWN] if step.action in CHANGING else [],
        "more": max(0, len(step.changes) - CHANGES_SHOWN),
        "why": step.why,
        "changes_something": step.action in CHANGING,
    }


def action_words(action: str) -> str:
    """What a step does, for a person; of another room's word that word."""
    return {
        str(Action.ADD): _("add"),
        str(Action.UPDATE): _("update"),
        str(Action.DELETE): _("delete"),
        str(Action.REPLACE): _("delete and add"),
        str(Action.NOTHING): _("nothing"),
        str(Action.REFUSED): _("not possible there"),
        str(Action.FOREIGN): _("foreign, left alone"),
    }.get(str(action), str(action))
