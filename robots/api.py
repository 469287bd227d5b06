"""Audit API: robots as they are edited, versions as published, registrations as portals hold them."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers

from portals.api import RemarkSerializer, without_secrets
from portals.api_filters import Choice, Filters, Flag, Moment, Word, of_application, of_portal
from portals.api_reading import Resource
from robots.definition import definition_of
from robots.models import Kind, Registration, Robot, RobotVersion
from robots.refused import refused
from robots.registration_words import state_of, what_to_do

LATEST = RobotVersion.objects.filter(robot=OuterRef("pk")).order_by("-number")
# Kept out of lists: a payload may be 130 kB long.
LONG = ("payload_text", "compute")


class RobotSerializer(serializers.ModelSerializer[Robot]):
    application = serializers.SlugField(source="application.slug", read_only=True)
    name = serializers.JSONField(help_text="A text, or texts by language.")
    latest_version = serializers.IntegerField(
        allow_null=True, help_text="Id of the version published last; null: none was."
    )
    latest_number = serializers.IntegerField(allow_null=True)

    class Meta:
        model = Robot
        fields = [
            "id",
            "application",
            "code",
            "kind",
            "name",
            "subscription",
            "on_failure",
            "latest_version",
            "latest_number",
            "removed_at",
            "created_at",
            "updated_at",
        ]
        extra_kwargs = {"removed_at": {"help_text": "Set: the next push deletes it on the portals."}}


class RobotDetailSerializer(RobotSerializer):
    definition = serializers.SerializerMethodField(
        help_text="The draft, shaped as an entry of a catalog file, every key there."
    )

    class Meta(RobotSerializer.Meta):
        fields = [*RobotSerializer.Meta.fields, "definition"]

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_definition(self, robot: Robot) -> dict[str, Any]:
        return definition_of(robot)


class VersionSerializer(serializers.ModelSerializer[RobotVersion]):
    application = serializers.SlugField(source="robot.application.slug", read_only=True)
    robot = serializers.CharField(source="code", help_text="The robot's code, as published.")
    robot_id = serializers.IntegerField()

    class Meta:
        model = RobotVersion
        fields = [
            "id",
            "application",
            "robot",
            "robot_id",
            "number",
            "kind",
            "on_failure",
            "digest",
            "note",
            "published_by",
            "published_at",
        ]
        extra_kwargs = {"digest": {"help_text": "sha256 of the payload and how it computes."}}


class VersionDetailSerializer(VersionSerializer):
    payload = serializers.SerializerMethodField(
        help_text="As a portal is sent it, but for HANDLER, which each portal has of its own."
    )
    compute = serializers.JSONField(help_text="How it computes: a function's name, or expressions.")

    class Meta(VersionSerializer.Meta):
        fields = [*VersionSerializer.Meta.fields, "payload", "compute"]

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_payload(self, version: RobotVersion) -> Any:
        return json.loads(version.payload_text)


class RegistrationSerializer(serializers.ModelSerializer[Registration]):
    application = serializers.SlugField(source="portal.application.slug", read_only=True)
    portal_domain = serializers.CharField(source="portal.domain", read_only=True)
    robot = serializers.CharField(source="robot.code", help_text="The robot's code.", read_only=True)
    robot_id = serializers.IntegerField()
    wanted_number = serializers.IntegerField(source="wanted_version.number", allow_null=True)
    pushed_number = serializers.IntegerField(source="pushed_version.number", allow_null=True)
    standing = serializers.SerializerMethodField()

    class Meta:
        model = Registration
        fields = [
            "id",
            "application",
            "portal",
            "portal_domain",
            "robot",
            "robot_id",
            "standing",
            "wanted_version",
            "wanted_number",
            "pushed_version",
            "pushed_number",
            "pushed_kind",
            "pushed_at",
            "installation",
            "observed",
            "observed_at",
            "adopted_by",
            "due_at",
            "error_code",
            "error_text",
            "error_at",
        ]
        extra_kwargs = {
            "wanted_version": {"help_text": "null: wanted gone."},
            "installation": {"help_text": "Number of the portal's installation it was pushed under."},
        }

    @extend_schema_field(RemarkSerializer)
    def get_standing(self, registration: Registration) -> dict[str, str]:
        tone, words = state_of(registration)
        return {"tone": tone, "words": str(words), "to_do": what_to_do(registration)}


class RegistrationDetailSerializer(RegistrationSerializer):
    pushed = serializers.SerializerMethodField(
        help_text="The whole payload as the portal took it, HANDLER included; null: nothing was pushed."
    )

    class Meta(RegistrationSerializer.Meta):
        fields = [*RegistrationSerializer.Meta.fields, "pushed"]

    @extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
    def get_pushed(self, registration: Registration) -> Any:
        return json.loads(registration.pushed_text) if registration.pushed_text else None


class RobotFilters(Filters):
    application = of_application(help_text="The application's slug.")
    code = Word(max_length=128)
    kind = Choice(Kind.choices)
    removed = Flag()
    published = Flag(help_text="Whether a version was ever published.")

    def narrow_removed(self, queryset: QuerySet[Robot], value: bool) -> QuerySet[Robot]:
        return queryset.filter(removed_at__isnull=not value)

    def narrow_published(self, queryset: QuerySet[Robot], value: bool) -> QuerySet[Robot]:
        there = Exists(LATEST)
        return queryset.filter(there if value else ~there)


class VersionFilters(Filters):
    application = of_application(source="robot__application", help_text="The application's slug.")
    robot = Word(source="code", max_length=128, help_text="A robot's code.")
    kind = Choice(Kind.choices)
    published_after = Moment(source="published_at__gte", help_text="Published then or later.")
    published_before = Moment(source="published_at__lt")


class RegistrationFilters(Filters):
    application = of_application(source="portal__application", help_text="The application's slug.")
    portal = of_portal(help_text="A portal's id.")
    robot = Word(source="robot__code", max_length=128, help_text="A robot's code.")
    observed = Choice(Registration.Observed.choices)
    error = Flag(help_text="Whether the portal refused the last push.")

    def narrow_error(self, queryset: QuerySet[Registration], value: bool) -> QuerySet[Registration]:
        return queryset.filter(refused() if value else ~refused())


@extend_schema_view(
    list=extend_schema(parameters=[RobotFilters], summary="Robots"),
    retrieve=extend_schema(summary="One robot, with its draft"),
)
class Robots(Resource):
    """Robots and activities as they are edited: editing changes nothing on any portal."""

    queryset = (
        Robot.objects.select_related("application")
        .defer("application__client_secret")
        .annotate(
            latest_version=Subquery(LATEST.values("pk")[:1]),
            latest_number=Subquery(LATEST.values("number")[:1]),
        )
        .order_by("-id")
    )
    one_queryset = queryset.prefetch_related("properties")
    serializer_class = RobotSerializer
    detail_serializer_class = RobotDetailSerializer
    filters = RobotFilters


@extend_schema_view(
    list=extend_schema(parameters=[VersionFilters], summary="Versions"),
    retrieve=extend_schema(summary="One version, with its payload"),
)
class Versions(Resource):
    """What was published, frozen: no version ever changes."""

    one_queryset = RobotVersion.objects.select_related("robot__application").defer(
        "robot__application__client_secret"
    )
    queryset = one_queryset.defer(*LONG)
    serializer_class = VersionSerializer
    detail_serializer_class = VersionDetailSerializer
    filters = VersionFilters


@extend_schema_view(
    list=extend_schema(parameters=[RegistrationFilters], summary="Registrations"),
    retrieve=extend_schema(summary="One registration, with what was pushed"),
)
class Registrations(Resource):
    """One robot on one portal: what is wanted there, what was pushed, what the portal was seen to hold."""

    one_queryset = without_secrets(
        Registration.objects.select_related(
            "portal__application", "robot", "wanted_version", "pushed_version"
        ).defer(
            *(f"{version}__{column}" for version in ("wanted_version", "pushed_version") for column in LONG)
        ),
        "portal",
    )
    queryset = one_queryset.defer("pushed_text")
    serializer_class = RegistrationSerializer
    detail_serializer_class = RegistrationDetailSerializer
    filters = RegistrationFilters
