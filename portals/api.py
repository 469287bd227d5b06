"""Audit API: applications and portals. What is secret of them is not read from the database at all."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers

from portals.api_filters import Choice, Filters, Flag, Moment, Word, of_application
from portals.api_reading import Resource
from portals.models import Application, Portal
from portals.standing import plan_words, standing, token_dies_at

# Columns that leave the database for no reader.
SECRET = ("access_token", "refresh_token", "application_token", "former_application_token")
TONES = ["ok", "info", "warn", "bad", "off"]


def without_secrets(queryset: QuerySet[Any], portal: str = "") -> QuerySet[Any]:
    """Leaves the secret columns of portals out; `portal` is the way to them, as in `select_related`."""
    way = f"{portal}__" if portal else ""
    return queryset.defer(*(f"{way}{column}" for column in SECRET), f"{way}application__client_secret")


class RemarkSerializer(serializers.Serializer[Any]):
    """One thing to say of something, and what a person does about it."""

    tone = serializers.ChoiceField(choices=TONES)
    words = serializers.CharField(help_text="In the language of the request.")
    to_do = serializers.CharField(help_text="What a person does about it; empty: nothing.")


class ApplicationSerializer(serializers.ModelSerializer[Application]):
    class Meta:
        model = Application
        fields = ["id", "slug", "name", "client_id", "created_at"]


class PortalSerializer(serializers.ModelSerializer[Portal]):
    application = serializers.SlugField(source="application.slug", read_only=True)
    groups: Any = serializers.SlugRelatedField(slug_field="name", many=True, read_only=True)
    standing = serializers.SerializerMethodField(help_text="How it stands, the gravest first; never empty.")
    plan = serializers.SerializerMethodField(help_text="The plan in words, as far as it is known.")
    token_dies_at = serializers.SerializerMethodField(
        help_text="When the stored refresh token dies, if it is not used before; null: there is none."
    )

    class Meta:
        model = Portal
        fields = [
            "id",
            "application",
            "member_id",
            "domain",
            "client_endpoint",
            "token_server",
            "state",
            "installation",
            "installed_at",
            "uninstalled_at",
            "answered_at",
            "standing",
            "trouble",
            "trouble_text",
            "trouble_since",
            "ask_again_at",
            "paused_at",
            "token_state",
            "token_dies_at",
            "access_expires_at",
            "refreshed_at",
            "token_user_id",
            "token_is_admin",
            "scope",
            "app_status",
            "plan",
            "has_robots",
            "has_workflows",
            "is_cloud",
            "install_finished",
            "instances",
            "send_delay",
            "clock_ahead",
            "batch_size",
            "events_bound_to",
            "language",
            "time_zone",
            "time_zone_source",
            "date_format",
            "date_format_source",
            "groups",
            "note",
        ]
        extra_kwargs = {
            "installation": {"help_text": "Raised at each install, uninstall and change of its token."},
            "clock_ahead": {"help_text": "Seconds by which the portal's clock is ahead of the hub's."},
            "send_delay": {"help_text": "Seconds between a call and the first sending, as learned."},
            "trouble": {"help_text": "Why the whole portal takes nothing now; empty: it does."},
        }

    @extend_schema_field(RemarkSerializer(many=True))
    def get_standing(self, portal: Portal) -> list[dict[str, str]]:
        return [
            {"tone": remark.tone, "words": str(remark.words), "to_do": str(remark.to_do)}
            for remark in standing(portal)
        ]

    def get_plan(self, portal: Portal) -> str:
        return plan_words(portal)

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_token_dies_at(self, portal: Portal) -> Any:
        moment: dt.datetime | None = token_dies_at(portal)
        return serializers.DateTimeField().to_representation(moment) if moment else None


class ApplicationFilters(Filters):
    slug = Word(max_length=50)


class PortalFilters(Filters):
    application = of_application(help_text="The application's slug.")
    member_id = Word(max_length=64)
    domain = Word()
    state = Choice(Portal.State.choices)
    token_state = Choice(Portal.Token.choices)
    trouble = Choice([("", ""), *Portal.Trouble.choices], help_text="`none`: portals without any.")
    paused = Flag(help_text="Whether a person paused it.")
    group = Word(source="groups__name", max_length=100, help_text="A portal group's name.")
    installed_after = Moment(source="installed_at__gte", help_text="Installed then or later.")
    installed_before = Moment(source="installed_at__lt")

    def narrow_paused(self, queryset: QuerySet[Portal], value: bool) -> QuerySet[Portal]:
        return queryset.filter(paused_at__isnull=not value)


@extend_schema_view(
    list=extend_schema(parameters=[ApplicationFilters], summary="Applications"),
    retrieve=extend_schema(summary="One application"),
)
class Applications(Resource):
    """Applications: what portals install. The client secret is shown to nobody."""

    queryset = Application.objects.defer("client_secret").order_by("-id")
    serializer_class = ApplicationSerializer
    filters = ApplicationFilters


@extend_schema_view(
    list=extend_schema(parameters=[PortalFilters], summary="Portals"),
    retrieve=extend_schema(summary="One portal"),
)
class Portals(Resource):
    """Portals: one application's installation on one Bitrix24 account, and how it stands.

    Of tokens it is told whose they are and how long they live; the tokens and the settings that robots read
    are shown to nobody.
    """

    queryset = without_secrets(Portal.objects.select_related("application").prefetch_related("groups"))
    serializer_class = PortalSerializer
    filters = PortalFilters
