"""Plan, push, progress: what would change on which portal, the order to do it, and how it goes."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portals.models import Portal
from portals.panels import BAD, INFO, OFF, OK, WARN, badge
from robots.models import Registration, Robot
from robots.plan import CHANGING, Action, PortalPlan, Step
from robots.push_order import order, planned
from robots.registration_words import state_of, what_to_do

PUSH = "robots.change_registration"
# Above this a portal's steps are told as numbers; each is still pushed.
STEPS_SHOWN = 400
CHANGES_SHOWN = 30

_TONES = {
    Action.ADD: INFO,
    Action.UPDATE: INFO,
    Action.REPLACE: WARN,
    Action.DELETE: WARN,
    Action.NOTHING: OK,
    Action.REFUSED: BAD,
    Action.FOREIGN: OFF,
}


def plan_view(request: HttpRequest) -> HttpResponse:
    """GET shows the plan for `robot` and `portal` (ids, repeated; without portals all installed ones);
    POST orders it for the portals ticked."""
    if not request.user.has_perm(PUSH):
        raise PermissionDenied
    robots, portals = _chosen(request)
    plans = planned(portals, robots)
    if request.method == "POST":
        return _order(request, robots, plans)
    shown = [_told(plan) for plan in plans]
    if sum(len(each["steps"]) for each in shown) > STEPS_SHOWN:
        for each in shown:
            each["steps"] = []
    return _page(
        request,
        "admin/robots/robot/plan.html",
        {
            "title": _("What a push would do"),
            "robots": robots,
            "plans": shown,
            "changing": sum(len(plan.changing()) for plan in plans),
        },
    )


def _order(request: HttpRequest, robots: list[Robot], plans: list[PortalPlan]) -> HttpResponse:
    ordered = order(plans)
    by_robot: dict[int, int] = {}
    for plan in plans:
        for step in plan.changing():
            by_robot[step.wish.robot.pk] = by_robot.get(step.wish.robot.pk, 0) + 1
    LogEntry.objects.log_actions(
        cast("int", request.user.pk),
        [robot for robot in robots if robot.pk in by_robot],
        CHANGE,
        change_message=_("pushed"),
    )
    if not ordered:
        messages.info(request, _("There was nothing to push."))
    else:
        words = ngettext("%(n)d change is on its way.", "%(n)d changes are on their way.", ordered)
        messages.success(request, words % {"n": ordered})
    query = urlencode(
        [("robot", robot.pk) for robot in robots] + [("portal", plan.portal.pk) for plan in plans]
    )
    return HttpResponseRedirect(f"{reverse('admin:robots_push_progress')}?{query}")


def progress_view(request: HttpRequest) -> HttpResponse:
    """How the pushes of these robots to these portals stand; asks again by itself while one is on its way."""
    if not request.user.has_perm("robots.view_registration"):
        raise PermissionDenied
    robots, portals = _chosen(request)
    rows = list(
        Registration.objects.filter(robot__in=robots, portal__in=portals)
        .select_related("robot", "portal", "wanted_version", "pushed_version")
        .order_by("portal__domain", "robot__code")
    )
    told = [_standing(row) for row in rows]
    waiting = [each for each in told if each["waits"]]
    return _page(
        request,
        "admin/robots/robot/progress.html",
        {
            "title": _("How the push goes"),
            "rows": sorted(told, key=lambda each: (not each["error"], not each["waits"]))[:STEPS_SHOWN],
            "all": len(told),
            "waiting": len(waiting),
            "failed": sum(bool(each["error"]) for each in told),
            "held": sum(each["held"] and not each["error"] for each in told),
            "done": sum(not (each["waits"] or each["held"] or each["error"]) for each in told),
            "again": f"{reverse('admin:robots_push')}?{request.GET.urlencode()}",
            "may_push": request.user.has_perm(PUSH),
        },
    )


def _standing(row: Registration) -> dict[str, Any]:
    waits = row.due_at is not None and not row.error_code
    shown = badge(INFO, _("on its way")) if waits else badge(*state_of(row))
    if waits and row.portal.trouble:
        shown = badge(WARN, _("waits: %(why)s") % {"why": row.portal.get_trouble_display()})
    return {
        "row": row,
        "badge": shown,
        "waits": waits and not row.portal.trouble,
        "held": waits and bool(row.portal.trouble),
        "error": row.error_code,
        "said": row.error_text,
        "to_do": what_to_do(row),
    }


def _chosen(request: HttpRequest) -> tuple[list[Robot], list[Portal]]:
    """Robots and portals of the query (or of the form); without robots all of the portals' applications."""
    given = request.POST if request.method == "POST" else request.GET
    robot_ids, portal_ids = _ids(given.getlist("robot")), _ids(given.getlist("portal"))
    portals = Portal.objects.select_related("application").filter(state=Portal.State.INSTALLED)
    robots = Robot.objects.select_related("application").prefetch_related("properties")
    if robot_ids:
        robots = robots.filter(pk__in=robot_ids)
    if portal_ids:
        portals = portals.filter(pk__in=portal_ids)
    elif request.method == "POST":
        portals = portals.none()
    found = list(robots)
    portals = portals.filter(application__in={robot.application_id for robot in found})
    there = list(portals.order_by("application__slug", "domain", "pk"))
    if not robot_ids:
        applications = {portal.application_id for portal in there}
        found = [robot for robot in found if robot.application_id in applications]
    return found, there


def _ids(texts: list[str]) -> list[int]:
    return [int(text) for text in texts if text.isdecimal() and len(text) < 19]


def _told(plan: PortalPlan) -> dict[str, Any]:
    steps = [_step(step) for step in plan.steps if step.action is not Action.NOTHING or step.why]
    return {
        "portal": plan.portal,
        "changing": len(plan.changing()),
        "same": sum(step.action is Action.NOTHING and not step.why for step in plan.steps),
        "steps": steps,
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "robot": step.wish.robot,
        "version": step.wish.version,
        "badge": badge(_TONES[step.action], _action_words(step.action)),
        "changes": step.changes[:CHANGES_SHOWN] if step.action in CHANGING else [],
        "more": max(0, len(step.changes) - CHANGES_SHOWN),
        "why": step.why,
        "changes_something": step.action in CHANGING,
    }


def _action_words(action: Action) -> str:
    return {
        Action.ADD: _("add"),
        Action.UPDATE: _("update"),
        Action.DELETE: _("delete"),
        Action.REPLACE: _("delete and add"),
        Action.NOTHING: _("nothing"),
        Action.REFUSED: _("not possible there"),
        Action.FOREIGN: _("foreign, left alone"),
    }[action]


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> TemplateResponse:
    return TemplateResponse(
        request, template, {**admin.site.each_context(request), "opts": Robot._meta, **context}
    )
