"""How a portal stands, in words, and what a person does about it.

Read from the row alone: no request is made and no query either, so a list of a hundred portals may ask.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db.models import F
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portals import panels
from portals.models import Portal
from portals.panels import BAD, INFO, OFF, OK, WARN

# A refresh token dies unused on day 180 (contract §2).
REFRESH_TOKEN_DAYS = 180

_WHAT_TO_DO: dict[str, Any] = {
    Portal.Trouble.PLAN_LAPSED: gettext_lazy(
        "Ask the client to renew the plan. Results are kept; they are sent by themselves once it is back."
    ),
    Portal.Trouble.NO_ROBOTS: gettext_lazy(
        "The plan has to include automation rules. Results are kept; they are sent by themselves once it does."
    ),
    Portal.Trouble.UNPAID: gettext_lazy(
        "The application has to be paid for on the portal. Results are kept and sent afterwards."
    ),
    Portal.Trouble.LICENCE: gettext_lazy(
        "The portal's licence has reached its limit of processes. Results are kept and sent when it passes."
    ),
    Portal.Trouble.PORTAL_GONE: gettext_lazy(
        "The account was deleted: have the portal forgotten in the list of portals, or its calls wait for ever."
        " If it was not, install the application there."
    ),
    Portal.Trouble.APPLICATION_GONE: gettext_lazy(
        "Install the application on the portal again, or have the portal forgotten in the list of portals."
    ),
    Portal.Trouble.TOKEN_LOST: gettext_lazy("Open the application on the portal as an administrator, once."),
    Portal.Trouble.USER_DISMISSED: gettext_lazy(
        "Let another administrator open the application on the portal, once."
    ),
    Portal.Trouble.NO_RIGHTS: gettext_lazy("Open the application on the portal as an administrator, once."),
    Portal.Trouble.WRONG_CLIENT: gettext_lazy(
        "Set the client id and secret on the application's page as Bitrix24 shows them."
    ),
    Portal.Trouble.KEY_MISSING: gettext_lazy(
        "Add the key that encrypted it back to ENCRYPTION_KEYS and restart. If it is lost, enter the application's"
        " client secret anew and open the application on the portal as an administrator, once. Results are kept."
    ),
    Portal.Trouble.SCOPE: gettext_lazy("Give the application the scope “bizproc” and install it again."),
    Portal.Trouble.MOVED: gettext_lazy(
        "Nothing, if the portal was renamed: its new address is asked of the token server."
        " Otherwise open the application on the portal."
    ),
    Portal.Trouble.UNREACHABLE: gettext_lazy(
        "See whether the portal opens in a browser. It is tried every minute."
    ),
    Portal.Trouble.LIMITED: gettext_lazy("Nothing: sending goes on when the portal allows it."),
}

PLAN_TROUBLES = [
    Portal.Trouble.PLAN_LAPSED,
    Portal.Trouble.NO_ROBOTS,
    Portal.Trouble.UNPAID,
    Portal.Trouble.LICENCE,
]
# Names of the list's filter and of the first page's lines -> the portals they mean.
STANDINGS: dict[str | None, dict[str, Any]] = {
    "no_token": {"state": Portal.State.INSTALLED, "token_state__in": [Portal.Token.NONE, Portal.Token.LOST]},
    "no_admin": {"state": Portal.State.INSTALLED, "token_is_admin": False},
    "trouble": {
        "state": Portal.State.INSTALLED,
        "trouble__in": [each.value for each in Portal.Trouble if each not in PLAN_TROUBLES],
    },
    "plan": {
        "state": Portal.State.INSTALLED,
        "trouble__in": PLAN_TROUBLES,
    },
    "paused": {"paused_at__isnull": False},
    "gone": {"state": Portal.State.UNINSTALLED},
    "forgotten": {"state": Portal.State.UNINSTALLED, "forgotten_at__gte": F("uninstalled_at")},
}

# Troubles that pass without anybody's doing.
_PASSING = {Portal.Trouble.LIMITED, Portal.Trouble.MOVED, Portal.Trouble.UNREACHABLE}


@dataclass(frozen=True)
class Remark:
    """One thing to say of a portal: `tone` as in panels, `words`, and what a person does ('' is nothing)."""

    tone: str
    words: str
    to_do: str = ""


def what_to_do(trouble: str) -> str:
    """What a person does about a portal's trouble; '' for none."""
    return str(_WHAT_TO_DO.get(trouble, ""))


def standing(portal: Portal) -> list[Remark]:
    """Everything to say of it, the gravest first; never empty."""
    if portal.state == Portal.State.UNINSTALLED:
        if is_forgotten(portal):
            return [
                Remark(
                    OFF,
                    _("forgotten %(when)s") % {"when": _when(portal.forgotten_at)},
                    _("Its calls can be read until they are purged. Installed again, it is back."),
                )
            ]
        return [
            Remark(
                OFF,
                _("uninstalled %(when)s") % {"when": _when(portal.uninstalled_at)},
                _("Install the application on the portal again; its robots come back by themselves."),
            )
        ]
    remarks = [
        *_token(portal),
        *_trouble(portal),
        *_administrator(portal),
        *_application_token(portal),
        *_plan(portal),
    ]
    if portal.paused_at is not None:
        remarks.append(
            Remark(
                WARN,
                _("paused since %(when)s") % {"when": _when(portal.paused_at)},
                _("Calls are taken in and held. Resume it to send what waits."),
            )
        )
    if portal.install_finished is False:
        remarks.append(
            Remark(
                WARN,
                _("installation not finished"),
                _("Open the application on the portal once, so that its page can finish the installation."),
            )
        )
    return _by_gravity(remarks)


def standing_with_rooms(portal: Portal) -> list[Remark]:
    """And what other rooms say of it, for a page of one portal: they may ask the database."""
    told = [remark for room in panels.remarks for remark in room(portal)]
    return (
        _by_gravity([*(each for each in standing(portal) if each.tone != OK), *told])
        if told
        else standing(portal)
    )


def _by_gravity(remarks: list[Remark]) -> list[Remark]:
    order = (BAD, WARN, INFO, OFF, OK)
    remarks.sort(key=lambda remark: order.index(remark.tone))
    if not remarks or remarks[0].tone == INFO:
        remarks.insert(0, Remark(OK, _("installed and working")))
    return remarks


def is_forgotten(portal: Portal) -> bool:
    """Whether a person had it forgotten and it was not installed since."""
    if portal.forgotten_at is None or portal.state != Portal.State.UNINSTALLED:
        return False
    return portal.uninstalled_at is None or portal.uninstalled_at <= portal.forgotten_at


def plan_words(portal: Portal) -> str:
    """The portal's plan as far as it is known."""
    place = {True: _("cloud"), False: _("on premise"), None: ""}[portal.is_cloud]
    if portal.has_robots is False:
        plan = _("no robots in the plan")
    elif portal.has_workflows is None:
        plan = _("not known yet")
    elif portal.has_workflows:
        plan = _("robots and workflows")
    else:
        plan = _("robots, no workflows")
    return ", ".join(part for part in (place, plan) if part)


def token_dies_at(portal: Portal) -> dt.datetime | None:
    """When the stored refresh token dies, if it is not used before; None where there is none."""
    if portal.token_state == Portal.Token.NONE or portal.refreshed_at is None:
        return None
    return portal.refreshed_at + dt.timedelta(days=REFRESH_TOKEN_DAYS)


def _token(portal: Portal) -> list[Remark]:
    open_it = _("Open the application on the portal as an administrator, once.")
    if portal.token_state == Portal.Token.NONE:
        return [Remark(BAD, _("no token"), open_it)]
    if portal.token_state == Portal.Token.LOST:
        # The trouble of the same meaning is not said twice.
        return [] if portal.trouble == Portal.Trouble.TOKEN_LOST else [Remark(BAD, _("token lost"), open_it)]
    if portal.token_state == Portal.Token.UNVERIFIED:
        return [
            Remark(
                WARN,
                _("token unverified since a backup was restored"),
                _(
                    "Its refresh token may be spent and is not used. The access token serves while it lives; the"
                    " next call that brings tokens, or whoever opens the application on the portal, brings new ones."
                ),
            )
        ]
    dies = token_dies_at(portal)
    if dies is not None and dies <= timezone.now():
        return [Remark(BAD, _("token unused for 180 days: probably dead"), open_it)]
    return []


def _trouble(portal: Portal) -> list[Remark]:
    if not portal.trouble:
        return []
    tone = WARN if portal.trouble in _PASSING else BAD
    return [Remark(tone, str(portal.get_trouble_display()), what_to_do(portal.trouble))]


def _administrator(portal: Portal) -> list[Remark]:
    if portal.token_is_admin is False and portal.trouble != Portal.Trouble.NO_RIGHTS:
        return [
            Remark(
                WARN,
                _("the token is not an administrator's"),
                _("Results are sent; pushes wait until an administrator opens the application."),
            )
        ]
    return []


def _application_token(portal: Portal) -> list[Remark]:
    if portal.untaken_token_at is None:
        return []
    return [
        Remark(
            WARN,
            _("another application token was told on %(when)s, not by an administrator")
            % {"when": _when(portal.untaken_token_at)},
            _(
                "Let an administrator open the application on the portal, once. If it was updated there, its robots"
                " are brought back by themselves, but its calls are refused until then, unless they bring tokens"
                " of an administrator."
            ),
        )
    ]


def _plan(portal: Portal) -> list[Remark]:
    if portal.trouble == Portal.Trouble.NO_ROBOTS:
        return []
    if portal.has_robots is False:
        return [
            Remark(
                BAD,
                _("no robots in this portal's plan"),
                _("The plan has to include automation rules."),
            )
        ]
    if portal.has_workflows is False:
        return [
            Remark(
                INFO,
                _("plan without workflows"),
                _("Activities can't be registered here, and arrival of results can't be looked up."),
            )
        ]
    return []


def _when(moment: dt.datetime | None) -> str:
    return date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT") if moment else ""
