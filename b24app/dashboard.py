"""The first page: open alarms, then what else needs a person, each line a link to the list behind it; then the
last day.

An alarm says more than a line (since when, what to do), so a line that alarms tell wholly is left out.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.cache import cache
from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Func, IntegerField, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.safestring import SafeString
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from b24app import alarms, figures
from b24app.alarm import Kind
from b24app.alarm_places import place
from b24app.svg import Bar, bars
from handlers import attention, spool
from handlers.models import Invocation, State
from portals.models import Portal
from portals.panels import BAD, INFO, WARN
from portals.standing import STANDINGS
from robots.lost import lost
from robots.models import PushItem, Registration, Robot
from robots.push_queue import OPEN as PUSHING
from robots.refused import refused
from robots.unpushed import unpushed

HOURS = 24
# A call due for longer than this waits for a worker that is not there.
QUEUE_LATE = 60.0
SPOOL_FULL = 0.5
_CHART_SECONDS = 30
# More are behind a link, and lines sum up what they tell.
MOST_ALARMS = 8

log = structlog.get_logger(__name__)

# Bottom of a bar first; the classes are the stylesheet's.
PARTS = (
    ("ok", (State.DELIVERED, State.NOT_AWAITED)),
    ("info", (State.RECEIVED, State.COMPUTING, State.READY, State.SENDING)),
    ("off", (State.EXPIRED, State.REFUSED)),
    ("bad", (State.FAILED,)),
)


@dataclass(frozen=True)
class Need:
    """One line: how grave, what, and where to look ('' where no list shows it).

    It says nothing new where at least `alarms` alarms of `kinds` are shown (none where no alarm tells the like).
    """

    tone: str
    words: str
    href: str
    kinds: tuple[Kind, ...] = ()
    alarms: int = 1


@dataclass(frozen=True)
class Alarms:
    """`shown`: as `alarms.open_alarms` has them, each with its `href`; `more`: how many are not among them."""

    shown: list[dict[str, Any]]
    more: int = 0


@dataclass(frozen=True)
class Day:
    """The chart, its legend as (css class, words, number) and the same to be read, (hour, numbers) a row."""

    chart: SafeString
    legend: list[tuple[str, str, int]]
    rows: list[tuple[str, list[int]]]
    total: int


class EpochHour(Func):
    """Whole hours since 1970 of a moment: grouping by it needs no function of Python in the database."""

    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        # Doubled twice: once for this template, once for the parameters.
        template = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER) / 3600"
        return super().as_sql(compiler, connection, template=template, **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s) / 3600)::integer"
        return super().as_sql(compiler, connection, template=template, **extra)


def open_alarms(user: AbstractBaseUser | AnonymousUser) -> Alarms:
    """Those that this person may see; none where they can't be read now, which breaks no page."""
    if not getattr(user, "has_perm", lambda name: False)("b24app.view_alarm"):
        return Alarms([])
    try:
        found = alarms.open_alarms()
    except (DatabaseError, InterfaceError) as error:
        log.warning("open alarms can't be shown", error=type(error).__name__)
        return Alarms([])
    shown = [{**alarm, "href": place(alarm["kind"], alarm["subject"])} for alarm in found[:MOST_ALARMS]]
    return Alarms(shown, len(found) - len(shown))


def untold(found: list[Need], told: Alarms) -> list[Need]:
    """The lines that say something beside these alarms."""
    counted = Counter(alarm["kind"] for alarm in told.shown)
    return [
        need for need in found if not need.kinds or sum(counted[kind] for kind in need.kinds) < need.alarms
    ]


def needs(user: AbstractBaseUser | AnonymousUser) -> list[Need]:
    """What waits for a person, the gravest first; only of what this person may see."""
    may = getattr(user, "has_perm", lambda name: False)
    found: list[Need] = []
    pending = reverse("admin:portals_pendinginstallation_changelist")
    if may("handlers.view_invocation"):
        found += _of_calls()
    if may("portals.view_portal"):
        found += _of_portals()
    if may("portals.view_pendinginstallation") and (n := figures.pending_installations()):
        words = ngettext(
            "%(n)s installation is not verified yet", "%(n)s installations are not verified yet", n
        )
        found.append(Need(WARN, words % {"n": n}, f"{pending}?state__exact=waiting"))
    if may("portals.view_pendinginstallation"):
        n, promised = figures.ended_installations()
        words = ngettext(
            "%(n)s installation was refused or given up", "%(n)s installations were refused or given up", n
        )
        # Anybody can send a form that is refused at once; the others were told that there is nothing to do.
        if n:
            href = f"{pending}?state__in=refused,given_up"
            found.append(Need(WARN if promised else INFO, words % {"n": n}, href))
    if may("robots.view_registration") and (n := Registration.objects.filter(refused()).count()):
        words = ngettext(
            "%(n)s robot was refused by its portal", "%(n)s robots were refused by their portals", n
        )
        found.append(
            Need(BAD, words % {"n": n}, reverse("admin:robots_registration_changelist") + "?error=yes")
        )
    if may("robots.view_registration") and (n := Registration.objects.filter(lost()).count()):
        words = ngettext(
            "%(n)s robot is missing on its portal: processes that reach it fail there",
            "%(n)s robots are missing on their portals: processes that reach them fail there",
            n,
        )
        found.append(
            Need(BAD, words % {"n": n}, reverse("admin:robots_registration_changelist") + "?lost=yes")
        )
    if may("robots.view_robot") and (n := Robot.objects.filter(unpushed()).count()):
        words = ngettext(
            "%(n)s robot is published or removed, and not pushed to every portal",
            "%(n)s robots are published or removed, and not pushed to every portal",
            n,
        )
        found.append(Need(WARN, words % {"n": n}, reverse("admin:robots_robot_changelist") + "?pushed=no"))
    if may("robots.view_push") and (
        n := PushItem.objects.filter(state__in=PUSHING).values("push").distinct().count()
    ):
        words = ngettext("%(n)s push is under way", "%(n)s pushes are under way", n)
        found.append(Need(INFO, words % {"n": n}, reverse("admin:robots_push_changelist")))
    if may("handlers.view_refusedcall") and (n := figures.refused_calls()):
        words = ngettext(
            "%(n)s call of the last hour proved nothing", "%(n)s calls of the last hour proved nothing", n
        )
        found.append(Need(INFO, words % {"n": n}, reverse("admin:handlers_refusedcall_changelist")))
    order = (BAD, WARN, INFO)
    return sorted(found, key=lambda need: order.index(need.tone))


def _of_calls() -> list[Need]:
    calls = reverse("admin:handlers_invocation_changelist")
    found = []
    if n := attention.bounded_count(attention.failed()):
        words = ngettext("%(n)s failed call needs a person", "%(n)s failed calls need a person", n) % {
            "n": _many(n)
        }
        found.append(Need(BAD, words, calls + "?state=attention"))
    if n := attention.bounded_count(attention.stuck()):
        words = ngettext(
            "%(n)s result was taken, but its process still waits",
            "%(n)s results were taken, but their processes still wait",
            n,
        )
        portals = attention.stuck().order_by().values("portal_id").distinct().count()
        found.append(Need(BAD, words % {"n": _many(n)}, calls + "?state=stuck", (Kind.STUCK,), portals))
    found += _of_queue(calls + "?state=open")
    try:
        held = spool.held()
    except (OSError, sqlite3.Error) as error:
        words = _("This machine's spool can't be read: %(error)s") % {"error": error}
        found.append(Need(BAD, words, "", (Kind.SPOOL_BROKEN,)))
        return found
    if held.calls:
        words = ngettext(
            "%(n)s call waits in this machine's spool", "%(n)s calls wait in this machine's spool", held.calls
        )
        full = held.bytes > SPOOL_FULL * settings.SPOOL_MAX_MB * 1024 * 1024
        tone = BAD if full or held.bad else WARN
        of_spool = (Kind.SPOOL_USED, Kind.SPOOL_FULL, Kind.DEAD_LETTERS)
        found.append(Need(tone, words % {"n": _many(held.calls)}, "", of_spool))
    return found


def _of_queue(href: str) -> list[Need]:
    """What nobody works on, or what goes round and round."""
    queue = figures.queue()
    kinds = (Kind.CALLS_LATE, Kind.RESULTS_LATE)
    if queue.oldest_seconds > QUEUE_LATE:
        words = _("The oldest call has been due for %(minutes)s min: see whether the workers run")
        minutes = number_format(queue.oldest_seconds / 60, decimal_pos=0)
        return [Need(BAD, words % {"minutes": minutes}, href, kinds)]
    if queue.late:
        words = ngettext(
            "%(n)s call has been tried for too long; the oldest came in %(minutes)s min ago",
            "%(n)s calls have been tried for too long; the oldest came in %(minutes)s min ago",
            queue.late,
        )
        minutes = number_format(queue.late_minutes)
        return [Need(BAD, words % {"n": _many(queue.late), "minutes": minutes}, href, kinds)]
    return []


def _of_portals() -> list[Need]:
    counted = Portal.objects.aggregate(
        **{f"n_{name}": Count("pk", filter=Q(**query)) for name, query in STANDINGS.items()}
    )
    portals = reverse("admin:portals_portal_changelist")
    lines = {
        "no_token": (
            BAD,
            ngettext("%(n)s portal without a token", "%(n)s portals without a token", counted["n_no_token"]),
        ),
        "plan": (
            BAD,
            ngettext(
                "%(n)s portal whose plan or payment lapsed",
                "%(n)s portals whose plan or payment lapsed",
                counted["n_plan"],
            ),
        ),
        "trouble": (
            BAD,
            ngettext("%(n)s portal in other trouble", "%(n)s portals in other trouble", counted["n_trouble"]),
        ),
        "no_admin": (
            WARN,
            ngettext(
                "%(n)s portal whose token is not an administrator's",
                "%(n)s portals whose tokens are not administrators'",
                counted["n_no_admin"],
            ),
        ),
        "paused": (INFO, ngettext("%(n)s portal is paused", "%(n)s portals are paused", counted["n_paused"])),
    }
    # Alarms tell portals apart, not these three.
    in_trouble = sum(counted[f"n_{name}"] for name in ("no_token", "plan", "trouble"))
    told = dict.fromkeys(("no_token", "plan", "trouble"), ((Kind.PORTAL_TROUBLE,), in_trouble))
    told["no_admin"] = ((Kind.PORTAL_NO_ADMIN,), counted["n_no_admin"])
    return [
        Need(
            tone, words % {"n": counted[f"n_{name}"]}, f"{portals}?standing={name}", *told.get(name, ((), 0))
        )
        for name, (tone, words) in lines.items()
        if counted[f"n_{name}"]
    ]


def day() -> Day:
    """The calls of the last 24 hours by hour and by how they ended, one run again by its latest run; remembered for
    half a minute."""
    key = f"b24-day-{get_language()}-{timezone.get_current_timezone_name()}"
    known = cache.get(key)
    if known is None:
        known = _day()
        cache.set(key, known, _CHART_SECONDS)
    return known


def _day() -> Day:
    this_hour = int(timezone.now().timestamp()) // 3600
    first = this_hour - HOURS + 1
    counted: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    rows = (
        # A call that was run again is counted once, by its latest run.
        Invocation.objects.filter(received_at__gte=_moment(first), followed_at=None)
        .order_by()
        .values_list(EpochHour("received_at"), "state")
        .annotate(n=Count("pk"))
    )
    for hour, state, n in rows:
        counted[hour][state] += n
    words = {"ok": _("done"), "info": _("on their way"), "off": _("expired or refused"), "bad": _("failed")}
    calls = reverse("admin:handlers_invocation_changelist")
    columns, table = [], []
    sums = dict.fromkeys((tone for tone, _states in PARTS), 0)
    for hour in range(first, this_hour + 1):
        parts = [(tone, sum(counted[hour][state] for state in states)) for tone, states in PARTS]
        label = date_format(timezone.localtime(_moment(hour)), "H:i")
        said = ", ".join(f"{words[tone]} {n}" for tone, n in parts if n) or _("no calls")
        span = {
            "received_at__gte": _moment(hour).isoformat(),
            "received_at__lt": _moment(hour + 1).isoformat(),
        }
        columns.append(Bar(label, parts, f"{label}: {said}", f"{calls}?{urlencode(span)}"))
        table.append((label, [n for _tone, n in parts]))
        for tone, n in parts:
            sums[tone] += n
    total = sum(sums.values())
    legend = [(tone, words[tone], sums[tone]) for tone, _states in PARTS]
    return Day(bars(columns, _("Calls of the last 24 hours, by hour")), legend, table, total)


def _moment(hour: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(hour * 3600, dt.UTC)


def _many(n: int) -> str:
    return (
        number_format(n)
        if n <= attention.COUNT_LIMIT
        else _("more than %(n)s") % {"n": attention.COUNT_LIMIT}
    )
