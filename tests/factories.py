"""Rows for tests, by factory-boy. Each is valid by itself; give what the test is about."""

from __future__ import annotations

import datetime as dt
import hashlib

import factory
from factory.django import DjangoModelFactory

from handlers.models import Invocation, InvocationResult, State
from portals.models import Application, Portal
from robots.models import Property, Registration, Robot, RobotVersion
from robots.payload import dump

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)


class ApplicationFactory(DjangoModelFactory):
    class Meta:
        model = Application

    slug = factory.Sequence(lambda n: f"app{n}")
    name = factory.LazyAttribute(lambda made: made.slug)
    client_id = factory.LazyAttribute(lambda made: f"local.{made.slug}")
    client_secret = "client-secret"


class PortalFactory(DjangoModelFactory):
    class Meta:
        model = Portal

    application = factory.SubFactory(ApplicationFactory)
    member_id = factory.Sequence(lambda n: f"{n:032x}")
    domain = factory.Sequence(lambda n: f"p{n}.bitrix24.com")
    client_endpoint = factory.LazyAttribute(lambda made: f"https://{made.domain}/rest/")
    token_server = "https://oauth.bitrix.info"
    token_state = Portal.Token.WORKING
    token_is_admin = True
    access_token = "access"
    refresh_token = "refresh"
    access_expires_at = factory.LazyFunction(lambda: dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    application_token = "application-token"


class RobotFactory(DjangoModelFactory):
    """A robot with an input `amount` and an output `total`; `properties=False` for neither."""

    class Meta:
        model = Robot
        skip_postgeneration_save = True

    application = factory.SubFactory(ApplicationFactory)
    code = factory.Sequence(lambda n: f"robot{n}")
    name = factory.LazyAttribute(lambda made: {"en": made.code.title()})
    compute = factory.LazyFunction(lambda: {"type": "expression", "returns": {"total": "amount * 2"}})

    @factory.post_generation
    def properties(self, create: bool, extracted: object, **kwargs: object) -> None:
        if create and extracted is not False:
            PropertyFactory(robot=self, identifier="amount")
            PropertyFactory(robot=self, identifier="total", direction=Property.Direction.OUTPUT)


class PropertyFactory(DjangoModelFactory):
    class Meta:
        model = Property

    robot = factory.SubFactory(RobotFactory, properties=False)
    direction = Property.Direction.INPUT
    position = 0
    identifier = factory.Sequence(lambda n: f"field{n}")
    type = "double"
    name = factory.LazyAttribute(lambda made: {"en": made.identifier.title()})


class RobotVersionFactory(DjangoModelFactory):
    """A version as publish would make it, of a payload given as `payload` (without HANDLER)."""

    class Meta:
        model = RobotVersion

    class Params:
        payload = factory.LazyAttribute(
            lambda made: {
                "CODE": made.code,
                "USE_SUBSCRIPTION": "Y",
                "NAME": {"en": made.code.title()},
                "PROPERTIES": {"amount": _spelled("Amount")},
                "RETURN_PROPERTIES": {"total": _spelled("Total")},
            }
        )

    robot = factory.SubFactory(RobotFactory)
    number = factory.LazyAttribute(lambda made: made.robot.versions.count() + 1)
    kind = factory.LazyAttribute(lambda made: made.robot.kind)
    code = factory.LazyAttribute(lambda made: made.robot.code)
    payload_text = factory.LazyAttribute(lambda made: dump(made.payload))
    compute = factory.LazyAttribute(lambda made: made.robot.compute)
    on_failure = factory.LazyAttribute(lambda made: made.robot.on_failure)
    digest = factory.LazyAttribute(lambda made: hashlib.sha256(made.payload_text.encode()).hexdigest())
    published_at = NOW


def _spelled(name: str) -> dict[str, object]:
    return {"Name": {"en": name}, "Type": "double", "Required": "N", "Multiple": "N"}


class RegistrationFactory(DjangoModelFactory):
    """Wanted and not pushed yet."""

    class Meta:
        model = Registration

    wanted_version = factory.SubFactory(RobotVersionFactory)
    robot = factory.LazyAttribute(lambda made: made.wanted_version.robot)
    portal = factory.SubFactory(
        PortalFactory, application=factory.LazyAttribute(lambda made: made.factory_parent.robot.application)
    )


class InvocationFactory(DjangoModelFactory):
    """A call just taken in; `stored__result` and `stored__lines` for what was computed."""

    class Meta:
        model = Invocation
        skip_postgeneration_save = True

    portal = factory.SubFactory(PortalFactory)
    token_hash = factory.Sequence(lambda n: hashlib.sha256(b"%d" % n).digest())
    robot_code = "robot"
    waits = True
    state = State.RECEIVED
    due_at = called_at = received_at = NOW
    event_token = b"token"
    call = "{}"
    lane_portal = factory.SelfAttribute("portal")
    lane_robot = factory.SelfAttribute("robot_code")

    @factory.post_generation
    def stored(self, create: bool, extracted: object, **kwargs: object) -> None:
        if create and kwargs:
            InvocationResult.objects.create(invocation=self, **kwargs)
