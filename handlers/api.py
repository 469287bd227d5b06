"""Audit API: calls, the requests that carried their results, and calls that proved nothing."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import F, QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from handlers import api_export, attention, log_order
from handlers.api_calls import CallDetailSerializer, CallSerializer, SendingSerializer
from handlers.models import OPEN_STATES, Cause, Confirmation, Invocation, RefusedCall, Sending, State
from portals.api import without_secrets
from portals.api_filters import Choice, Filters, Moment, Word, among_portals, of_application, of_portal
from portals.api_reading import Resource
from portals.models import Application

CALLS_SHOWN = 60
# All that a line tells; the rest of a portal's or a version's row stays in the database.
_LINE = [
    "portal__application__slug",
    *(f"portal__{name}" for name in ("application_id", "domain", "state", "trouble", "paused_at")),
    "version__number",
    "robot_code",
    "run",
    "workflow_id",
    "document_id",
    "document_type",
    "waits",
    "state",
    "cause",
    "confirmation",
    "confirm_at",
    "called_at",
    "received_at",
    "deadline",
    "due_at",
    "started_at",
    "computed_at",
    "sent_at",
    "ended_at",
    "released_at",
    "followed_at",
    "acknowledged_at",
    "confirmed_at",
    "tries",
    "sends",
    "repeats",
    "sending_id",
    "revision",
]


class CallFilters(Filters):
    application = of_application(help_text="The application's slug.")
    portal = of_portal(help_text="A portal's id.")
    robot = Word(source="robot_code", max_length=128, help_text="A robot's code.")
    state = Choice([("open", "received, computing, ready or sending"), *State.choices])
    cause = Choice([("", ""), *Cause.choices], help_text="`none`: nothing went wrong.")
    confirmation = Choice(Confirmation.choices, help_text="`none`: nothing to confirm.")
    process = Word(source="workflow_id", max_length=128, help_text="The process (workflow_id).")
    document = Word(source="document_id", help_text="As the portal writes it: DEAL_42.")
    received_after = Moment(source="received_at__gte", help_text="Received then or later.")
    received_before = Moment(source="received_at__lt", help_text="Received earlier than that.")

    def narrow_application(self, queryset: QuerySet[Any], value: Application) -> QuerySet[Any]:
        return among_portals(queryset, value)

    def narrow_state(self, queryset: QuerySet[Invocation], value: str) -> QuerySet[Invocation]:
        if value == "open":
            return queryset.filter(state__in=OPEN_STATES)
        return attention.narrowed(queryset, value)


class SendingFilters(Filters):
    application = of_application(help_text="The application's slug.")
    portal = of_portal(help_text="A portal's id.")
    outcome = Choice(Sending.Outcome.choices)
    started_after = Moment(source="started_at__gte", help_text="Sent then or later.")
    started_before = Moment(source="started_at__lt")

    def narrow_application(self, queryset: QuerySet[Any], value: Application) -> QuerySet[Any]:
        return among_portals(queryset, value)


class RefusedCallFilters(Filters):
    application = Word(max_length=50, help_text="A slug, as the call named it.")
    member_id = Word(max_length=64, help_text="The portal that the call claimed.")
    domain = Word()
    robot = Word(source="robot_code", max_length=128)
    reason = Word(max_length=40)
    address = Word(max_length=45, help_text="Where the call came from.")
    after = Moment(source="at__gte", help_text="Refused then or later.")
    before = Moment(source="at__lt")


class SentCallSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    robot = serializers.CharField()


class SendingDetailSerializer(SendingSerializer):
    calls = serializers.SerializerMethodField(
        help_text=f"Calls of the day before whose last sending it is, at most {CALLS_SHOWN}."
    )

    class Meta(SendingSerializer.Meta):
        fields = [*SendingSerializer.Meta.fields, "calls"]

    @extend_schema_field(SentCallSerializer(many=True))
    def get_calls(self, sending: Sending) -> list[dict[str, Any]]:
        # Found by the time they came: `sending` has no index, and older ones are rare.
        day_before = sending.started_at - dt.timedelta(days=1)
        rows = (
            Invocation.objects.filter(received_at__range=(day_before, sending.started_at), sending=sending)
            .order_by("-id")
            .values_list("pk", "robot_code")[:CALLS_SHOWN]
        )
        return [{"id": pk, "robot": code} for pk, code in rows]


class RefusedCallSerializer(serializers.ModelSerializer[RefusedCall]):
    robot = serializers.CharField(source="robot_code")

    class Meta:
        model = RefusedCall
        fields = ["id", "at", "reason", "sentence", "application", "member_id", "domain", "robot", "address"]


@extend_schema_view(
    list=extend_schema(parameters=[CallFilters], summary="Calls"),
    retrieve=extend_schema(summary="One call, with its story"),
)
class Calls(Resource):
    """Calls: each run of each call that a portal made, and what became of it."""

    # Compared as the number that it is: of a key that is another row's, too large a one is no number to SQLite.
    lookup_field = "id"
    lookup_url_kwarg = "pk"
    queryset = Invocation.objects.select_related("portal__application", "version").only(*_LINE)
    one_queryset = without_secrets(
        Invocation.whole.select_related("portal__application", "version", "sending", "stored").defer(
            "event_token"
        ),
        "portal",
    )
    serializer_class = CallSerializer
    detail_serializer_class = CallDetailSerializer
    filters = CallFilters

    def number_of(self, filters: Filters) -> F:
        return log_order.number(filters.validated_data)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        # Whoever accepts text/csv alone gets it, and a wrong filter is told in JSON all the same.
        return super().perform_content_negotiation(request, force or self.action == "export")

    @extend_schema(
        summary="Calls as CSV",
        parameters=[CallFilters],
        responses={(200, "text/csv"): OpenApiTypes.STR},
        filters=False,
    )
    @action(detail=False, pagination_class=None)
    def export(self, request: Request) -> StreamingHttpResponse:
        """The whole list by the same filters, streamed: the fields of the list as columns, newest first.

        A text that a spreadsheet would run as a formula has an apostrophe before it. An answer that broke off
        ends without its last chunk.
        """
        filters = self.filters.of(request)
        calls = filters.narrowed(self.get_queryset())
        # Nothing is read for a HEAD.
        answer = StreamingHttpResponse(
            iter(())
            if request.method == "HEAD"
            else api_export.lines(calls, log_order.number(filters.validated_data)),
            content_type="text/csv; charset=utf-8",
        )
        name = f"calls-{timezone.localtime():%Y-%m-%d-%H%M}.csv"
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer


@extend_schema_view(
    list=extend_schema(parameters=[SendingFilters], summary="Sendings"),
    retrieve=extend_schema(summary="One sending, with its calls"),
)
class Sendings(Resource):
    """Requests that carried results to portals: one row a batch."""

    queryset = without_secrets(Sending.objects.select_related("portal__application"), "portal")
    serializer_class = SendingSerializer
    detail_serializer_class = SendingDetailSerializer
    filters = SendingFilters


@extend_schema_view(
    list=extend_schema(parameters=[RefusedCallFilters], summary="Refused calls"),
    retrieve=extend_schema(summary="One refused call"),
)
class RefusedCalls(Resource):
    """Calls that proved nothing: when, from where, which portal they claimed, why.

    The newest 10,000 are kept.
    """

    queryset = RefusedCall.objects.all()
    serializer_class = RefusedCallSerializer
    filters = RefusedCallFilters
