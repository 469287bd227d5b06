"""Audit API: what is told of a call. A line of the list, and the whole story of one."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from handlers import timeline, values_shown
from handlers.api_values import InputSerializer, call_facts, inputs_of
from handlers.attempt_words import title_of
from handlers.models import Attempt, Invocation, Sending
from portals.api import TONES, RemarkSerializer

ATTEMPTS_SHOWN = 500
RUNS_SHOWN = 100

_HELP = {
    "run": "1, 2 … at replay; a run's facts are never overwritten.",
    "waits": "Whether the process waits for a result.",
    "cause": "Why it ended as it did; empty: nothing went wrong.",
    "confirmation": "How far it is known that a delivered result arrived; empty: nothing to confirm.",
    "called_at": "When the portal made the call.",
    "deadline": "When the process stops waiting; null: never.",
    "due_at": "When its next step is due, while it is on its way.",
    "followed_at": "When a later run began to go on with the call; null: this is its latest.",
    "acknowledged_at": "When a person took it off the list of those that need one.",
    "tries": "Times it was computed.",
    "sends": "Times its result was sent.",
    "repeats": "Times the same call came again.",
    "sending": "Id of the request that carried its result last.",
    "revision": "Revision of the robot's code that computed it.",
}


class CallSerializer(serializers.ModelSerializer[Invocation]):
    application = serializers.SlugField(source="portal.application.slug", read_only=True)
    portal_domain = serializers.CharField(source="portal.domain", read_only=True)
    robot = serializers.CharField(source="robot_code", help_text="The robot's code, as it was called.")
    version_number = serializers.IntegerField(source="version.number", allow_null=True, read_only=True)
    process = serializers.CharField(source="workflow_id", help_text="The process (workflow_id).")
    document = serializers.CharField(source="document_id", help_text="As the portal writes it: DEAL_42.")
    summary = serializers.SerializerMethodField(
        help_text="How it stands, in a sentence, in the language of the request."
    )

    class Meta:
        model = Invocation
        fields = [
            "id",
            "application",
            "portal",
            "portal_domain",
            "robot",
            "version",
            "version_number",
            "run",
            "process",
            "document",
            "document_type",
            "waits",
            "state",
            "cause",
            "confirmation",
            "summary",
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
            "sending",
            "revision",
        ]
        extra_kwargs = {name: {"help_text": text} for name, text in _HELP.items()}

    def get_summary(self, call: Invocation) -> str:
        return timeline.headline(call)


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    words = serializers.SerializerMethodField(help_text="What happened, in words.")
    detail = serializers.JSONField(help_text="Where a robot's code failed: type, message, file, line.")

    class Meta:
        model = Attempt
        fields = ["id", "step", "at", "code", "words", "text", "detail", "sending", "actor"]

    def get_words(self, attempt: Attempt) -> str:
        return title_of(attempt)


class SendingSerializer(serializers.ModelSerializer[Sending]):
    application = serializers.SlugField(source="portal.application.slug", read_only=True)
    portal_domain = serializers.CharField(source="portal.domain", read_only=True)

    class Meta:
        model = Sending
        fields = [
            "id",
            "application",
            "portal",
            "portal_domain",
            "started_at",
            "answered_at",
            "portal_time",
            "seconds",
            "results",
            "lines",
            "looks",
            "outcome",
            "code",
            "text",
        ]
        extra_kwargs = {
            "portal_time": {"help_text": "The portal's own clock, as its answer told."},
            "results": {"help_text": "Results in it."},
            "lines": {"help_text": "Lines for process logs in it."},
            "looks": {"help_text": "Questions in it whether results arrived."},
        }


class ResultSerializer(serializers.Serializer[Any]):
    """The call's one result, as it goes over the wire."""

    values = serializers.DictField(child=serializers.JSONField())
    log = serializers.CharField(allow_null=True)


class FactsSerializer(serializers.Serializer[Any]):
    """What else the portal's form said."""

    document_id = serializers.ListField(child=serializers.CharField())
    document_type = serializers.ListField(child=serializers.CharField())
    timeout_duration = serializers.IntegerField(help_text="Seconds; 0: waits for ever.")
    auth = serializers.DictField(
        child=serializers.CharField(), help_text="member_id, user_id, domain, scope; never a token."
    )


class RunSerializer(serializers.ModelSerializer[Invocation]):
    class Meta:
        model = Invocation
        fields = ["id", "run", "state", "cause", "received_at", "ended_at"]


class MomentSerializer(serializers.Serializer[Any]):
    """One thing that happened, or that is still to come."""

    at = serializers.DateTimeField(allow_null=True, help_text="null: not known exactly.")
    tone = serializers.ChoiceField(choices=TONES)
    title = serializers.CharField()
    details = serializers.ListField(child=serializers.CharField())
    sending = serializers.IntegerField(source="sending.pk", allow_null=True)
    ahead = serializers.BooleanField(help_text="Whether it is still to come.")


class CallDetailSerializer(CallSerializer):
    """Wants what `api.one_call` reads; each method after it makes at most one query."""

    standing = serializers.SerializerMethodField()
    inputs = serializers.SerializerMethodField(help_text="What the robot declares, then what came besides.")
    call = serializers.SerializerMethodField()
    result = serializers.SerializerMethodField(help_text="null: none was computed.")
    lines = serializers.SerializerMethodField(help_text="Lines that the robot wrote by call.log.")
    attempts = serializers.SerializerMethodField(
        help_text=f"What went wrong and what people did, at most {ATTEMPTS_SHOWN}."
    )
    last_sending = SendingSerializer(source="sending", allow_null=True)
    timeline = serializers.SerializerMethodField(
        help_text="The whole story in words, the earliest first, what is still to come last."
    )
    other_runs = serializers.SerializerMethodField(help_text="Runs of the same call, the latest first.")

    class Meta(CallSerializer.Meta):
        fields = [
            *CallSerializer.Meta.fields,
            "standing",
            "inputs",
            "call",
            "result",
            "lines",
            "attempts",
            "last_sending",
            "timeline",
            "other_runs",
        ]

    def to_representation(self, instance: Invocation) -> Any:
        if instance.sending is not None:
            # The same portal: read once.
            instance.sending.portal = instance.portal
        self.read_attempts = list(instance.attempts.select_related("sending").order_by("id")[:ATTEMPTS_SHOWN])
        return super().to_representation(instance)

    @extend_schema_field(RemarkSerializer)
    def get_standing(self, call: Invocation) -> dict[str, str]:
        return {
            "tone": timeline.tone_of(call),
            "words": timeline.headline(call),
            "to_do": timeline.what_to_do(call),
        }

    @extend_schema_field(InputSerializer(many=True))
    def get_inputs(self, call: Invocation) -> list[dict[str, Any]]:
        return inputs_of(call)

    @extend_schema_field(FactsSerializer)
    def get_call(self, call: Invocation) -> dict[str, Any]:
        return call_facts(call)

    @extend_schema_field(ResultSerializer(allow_null=True))
    def get_result(self, call: Invocation) -> dict[str, Any] | None:
        result = values_shown.result_of(call)
        return {"values": result.get("values") or {}, "log": result.get("log")} if result else None

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_lines(self, call: Invocation) -> list[str]:
        return values_shown.lines_of(call)

    @extend_schema_field(AttemptSerializer(many=True))
    def get_attempts(self, call: Invocation) -> Any:
        return AttemptSerializer(self.read_attempts, many=True).data

    @extend_schema_field(MomentSerializer(many=True))
    def get_timeline(self, call: Invocation) -> Any:
        return MomentSerializer(timeline.story(call, self.read_attempts), many=True).data

    @extend_schema_field(RunSerializer(many=True))
    def get_other_runs(self, call: Invocation) -> Any:
        runs = Invocation.objects.filter(portal=call.portal_id, token_hash=call.token_hash).exclude(
            pk=call.pk
        )
        return RunSerializer(
            runs.only(*RunSerializer.Meta.fields).order_by("-run")[:RUNS_SHOWN], many=True
        ).data
