"""The portals of one Bitrix24 account beside each other: an application each, sharing limits and a bucket."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from portals import panels
from portals.models import Portal
from portals.panels import badge
from portals.standing import standing


def account_panel(portal: Portal, request: HttpRequest) -> str:
    """A row an application with the columns of the list; '' where this one is alone."""
    rows = list(
        Portal.objects.filter(member_id=portal.member_id)
        .select_related("application")
        .order_by("application__slug")
    )
    if len(rows) < 2:
        return ""
    ids = [row.pk for row in rows]
    columns = [(column.title, column.values(ids)) for column in panels.columns]
    head = format_html_join("", '<th scope="col">{}</th>', ((title,) for title, _values in columns))
    lines = format_html_join(
        "",
        '<tr><th scope="row">{}</th><td>{}</td><td>{}</td>{}</tr>',
        (
            (
                _name(row, portal),
                row.domain,
                _state(row),
                format_html_join(
                    "", "<td>{}</td>", ((values.get(row.pk, "–"),) for _title, values in columns)
                ),
            )
            for row in rows
        ),
    )
    return format_html(
        '<p class="hub-pad">{}</p><div class="hub-scroll" tabindex="0" role="region" aria-label="{}"><table><thead>'
        '<tr><th scope="col">{}</th><th scope="col">{}</th><th scope="col">{}</th>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>",
        _("They share the account's request limit; each has its own token and robots."),
        _("Applications of this account"),
        _("Application"),
        _("Portal"),
        _("State"),
        head,
        lines,
    )


def _name(row: Portal, portal: Portal) -> SafeString:
    if row.pk == portal.pk:
        return format_html("{} ({})", row.application, _("this one"))
    return format_html(
        '<a href="{}">{}</a>', reverse("admin:portals_portal_change", args=[row.pk]), row.application
    )


def _state(row: Portal) -> SafeString:
    remark = standing(row)[0]
    return badge(remark.tone, remark.words)
