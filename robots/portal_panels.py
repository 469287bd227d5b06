"""What a portal's pages show of its robots; appended to `portals.panels` in AppConfig.ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from portals import panels
from portals.models import Portal
from portals.panels import BAD, OK, badge
from portals.standing import Remark
from robots.admin_push_record import item_badge, latest_of, what_words
from robots.lost import lost
from robots.models import ForeignCode, Registration
from robots.push_order import order_check
from robots.refused import refused
from robots.registration_words import state_of, what_to_do

SHOWN = 100
PUSHES_SHOWN = 5


def robots_there(portal_ids: Sequence[int]) -> Mapping[int, Any]:
    """Portal id -> a badge: how many robots are there, or how many the portal refused.

    What waits for a portal in trouble is told by its standing."""
    gone = Q(observed=Registration.Observed.MISSING, wanted_version__isnull=False)
    counted = (
        Registration.objects.filter(portal__in=portal_ids)
        .order_by()
        .values("portal")
        .annotate(
            pushed=Count("id", filter=Q(pushed_version__isnull=False)),
            errors=Count("id", filter=refused()),
            missing=Count("id", filter=gone),
        )
    )
    return {row["portal"]: _counted(row) for row in counted}


def _counted(row: Mapping[str, Any]) -> SafeString:
    address = reverse("admin:robots_registration_changelist") + f"?portal__id__exact={row['portal']}"
    if row["errors"]:
        shown = badge(BAD, _("%(n)d with errors") % {"n": row["errors"]})
    elif row["missing"]:
        shown = badge(BAD, _("%(n)d missing") % {"n": row["missing"]})
    else:
        shown = badge(OK, row["pushed"])
    return format_html('<a href="{}">{}</a>', address, shown)


def registrations_panel(portal: Portal, request: HttpRequest) -> str:
    """The robots of a portal, each with how it stands there."""
    if not request.user.has_perm("robots.view_registration"):
        return ""
    rows = (
        Registration.objects.filter(portal=portal)
        .select_related("robot", "portal", "wanted_version", "pushed_version")
        .order_by("-error_code", "robot__code")[:SHOWN]
    )
    foreign = list(ForeignCode.objects.filter(portal=portal).values_list("code", flat=True)[:SHOWN])
    lines = format_html_join(
        "",
        '<tr><th scope="row"><a href="{}">{}</a></th><td>{}</td><td>{}</td><td>{}</td></tr>',
        (
            (
                reverse("admin:robots_registration_change", args=[row.pk]),
                row.robot.code,
                row.pushed_version.number if row.pushed_version else "–",
                badge(*state_of(row)),
                what_to_do(row),
            )
            for row in rows
        ),
    )
    parts = []
    if lines:
        parts.append(
            format_html(
                '<div class="hub-scroll hub-tall" tabindex="0"><table><thead><tr>'
                '<th scope="col">{}</th><th scope="col">{}</th><th scope="col">{}</th><th scope="col">{}</th>'
                "</tr></thead><tbody>{}</tbody></table></div>",
                _("Robot"),
                _("Version there"),
                _("State"),
                _("What to do"),
                lines,
            )
        )
    else:
        parts.append(format_html('<p class="hub-pad">{}</p>', _("No robot was pushed here yet.")))
    if foreign:
        parts.append(
            format_html(
                '<p class="hub-pad">{} {}</p>',
                _("Codes on the portal that we never pushed there, left alone:"),
                ", ".join(foreign),
            )
        )
    return format_html_join("", "{}", ((part,) for part in parts))


def pushes_panel(portal: Portal, request: HttpRequest) -> str:
    """The latest pushes and checks of a portal, each with how it ended there."""
    if not request.user.has_perm("robots.view_push"):
        return ""
    lines = format_html_join(
        "",
        '<li><a href="{}">#{}</a> {} {} {} {}</li>',
        (
            (
                reverse("admin:robots_push_change", args=[item.push_id]),
                item.push_id,
                date_format(timezone.localtime(item.push.ordered_at), "SHORT_DATETIME_FORMAT"),
                item.push.ordered_by,
                what_words(item.push),
                item_badge(item),
            )
            for item in latest_of(portal, PUSHES_SHOWN)
        ),
    )
    return format_html('<div class="hub-pad"><ul class="hub-calls">{}</ul></div>', lines) if lines else ""


def remarks(portal: Portal) -> list[Remark]:
    """What a check found to be gone there."""
    n = Registration.objects.filter(lost(), portal=portal).count()
    if not n:
        return []
    words = ngettext(
        "%(n)s robot is missing there: processes that reach it fail",
        "%(n)s robots are missing there: processes that reach them fail",
        n,
    )
    return [Remark(BAD, words % {"n": n}, _("Push them again: nothing does so by itself."))]


def check_action(
    page: ModelAdmin, request: HttpRequest, chosen: QuerySet[Portal]
) -> HttpResponseRedirect | None:
    """Orders that the chosen portals be asked what they hold; leads to the answers."""
    check = order_check(chosen.filter(state=Portal.State.INSTALLED), request.user.get_username())
    if check is None:
        messages.info(request, _("The application is not installed on these portals."))
        return None
    return HttpResponseRedirect(reverse("admin:robots_push_change", args=[check.pk]))


def push_action(page: ModelAdmin, request: HttpRequest, chosen: QuerySet[Portal]) -> HttpResponseRedirect:
    """Leads to the plan of all robots for the chosen portals."""
    query = urlencode([("portal", portal.pk) for portal in chosen])
    return HttpResponseRedirect(f"{reverse('admin:robots_push')}?{query}")


def forget(portal: Portal) -> None:
    """Nothing is wanted there any more, and what it held is not looked for; versions and pushes stay."""
    Registration.objects.filter(portal=portal).delete()
    ForeignCode.objects.filter(portal=portal).delete()


def append() -> None:
    """Called once, from AppConfig.ready."""
    permission = "robots.change_registration"
    panels.actions.append(
        panels.Action("check_portals", gettext_lazy("Check: ask what they hold"), permission, check_action)
    )
    panels.actions.append(
        panels.Action("push_portals", gettext_lazy("Push all robots"), permission, push_action)
    )
    panels.columns.append(panels.Column("robots", gettext_lazy("robots"), robots_there))
    panels.remarks.append(remarks)
    panels.panels.append(panels.Panel(gettext_lazy("Robots on this portal"), registrations_panel))
    panels.panels.append(panels.Panel(gettext_lazy("Latest pushes and checks"), pushes_panel))
    panels.forgetters.append(forget)
