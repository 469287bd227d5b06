"""`/metrics`: Prometheus text. Every figure is counted when asked, so any web process tells the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from b24app import alarms, figures, probe
from b24app.access import is_operator


class Figures(Collector):
    """Without a database what needs none is told all the same, `b24_database_up 0` first of all."""

    def __init__(self) -> None:
        self.database = probe.database.ask()
        self.broker = probe.broker.ask()

    def collect(self) -> Iterator[Metric]:
        yield from self._around()
        yield from self._alarms()
        if self.database == probe.OK:
            yield from self._calls()
            yield from self._portals()

    def _around(self) -> Iterator[Metric]:
        yield _gauge("b24_database_up", "Whether the database answers.", self.database == probe.OK)
        yield _gauge("b24_broker_up", "Whether the broker answers.", self.broker == probe.OK)
        spool = figures.spool()
        yield _gauge("b24_spool_calls", "Calls in this machine's spool.", spool.calls)
        yield _gauge("b24_spool_set_aside", "Of them those no database takes: a person must look.", spool.bad)
        yield _gauge("b24_spool_bytes", "Bytes in this machine's spool.", spool.bytes)
        yield _gauge("b24_spool_broken", "Whether it can't be asked, or took no call lately.", spool.broken)
        yield _gauge("b24_spool_used_ratio", "Part of SPOOL_MAX_MB in use.", spool.part)

    def _alarms(self) -> Iterator[Metric]:
        yield _by_label(
            "b24_alarms_open",
            "Open alarms by kind; without a database those of this machine.",
            ["kind"],
            (((kind,), number) for kind, number in alarms.counts(self.database == probe.OK).items()),
        )

    def _calls(self) -> Iterator[Metric]:
        queue = figures.queue()
        yield _gauge("b24_queue_due", "Calls due that nothing keeps from going on.", queue.due)
        yield _gauge(
            "b24_queue_oldest_seconds", "How long the oldest of them has been due.", queue.oldest_seconds
        )
        yield _gauge(
            "b24_calls_late", "Calls due for over 5 min, or open for longer than all tries take.", queue.late
        )
        yield _gauge(
            "b24_calls_unseen",
            "Results taken whose arrival should be known by now, and is not.",
            queue.unseen,
        )
        yield _by_label(
            "b24_calls_open",
            "Unfinished calls by state.",
            ["state"],
            (((state,), number) for state, number in figures.open_calls().items()),
        )
        yield _by_label(
            "b24_calls_hour",
            "Calls received within the last hour by state and cause.",
            ["state", "cause"],
            figures.hour_calls().items(),
        )
        taken = CounterMetricFamily("b24_calls", "Calls taken in since ever (an upper bound).")
        taken.add_metric([], figures.last_call_id())
        yield taken
        owed, stuck = figures.unconfirmed()
        yield _gauge("b24_calls_unconfirmed", "Results taken whose arrival is still to be seen.", owed)
        yield _gauge("b24_calls_stuck", "Results that a portal took while its process still waits.", stuck)
        yield _gauge(
            "b24_calls_refused_hour", "Calls of the last hour that proved nothing.", figures.refused_calls()
        )

    def _portals(self) -> Iterator[Metric]:
        yield _by_label(
            "b24_portals",
            "Portals by state, token and trouble.",
            ["state", "token", "trouble"],
            figures.portals().items(),
        )
        yield _by_label(
            "b24_registrations",
            "Registrations: held by portals, due to be pushed, refused (error), missing, foreign.",
            ["kind"],
            (((kind,), number) for kind, number in figures.registrations().items()),
        )
        yield _gauge(
            "b24_installations_pending", "Installations not verified yet.", figures.pending_installations()
        )
        limited = CounterMetricFamily("b24_portal_limits", "Answers 503 and 429 for asking too much.")
        limited.add_metric([], figures.times_limited())
        yield limited


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """403 to those who may not; 503 only where not a single figure could be told."""
    if not is_operator(request):
        return HttpResponse(
            _("Metrics are for this machine, for staff, or with METRICS_TOKEN.") + "\n",
            status=403,
            content_type="text/plain; charset=utf-8",
        )
    registry = CollectorRegistry(auto_describe=False)
    collector = Figures()
    registry.register(collector)
    try:
        text = generate_latest(registry)
    except DatabaseError:
        # Away since it was asked: what is left is what needs none.
        collector.database = probe.NO_ANSWER
        text = generate_latest(registry)
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=float(value))


def _by_label(
    name: str, what: str, labels: list[str], rows: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=labels)
    for values, number in rows:
        family.add_metric(list(values), float(number))
    return family
