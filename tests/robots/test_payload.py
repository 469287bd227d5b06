"""A definition in Bitrix24's spelling, and what an update sets and clears (contract §5)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from robots.definition import normal
from robots.payload import (
    add_fields,
    diff,
    dump,
    for_portal,
    load,
    loses_subscription,
    payload_of,
    update_fields,
)
from tests.factories import PortalFactory, RobotVersionFactory

FULL: dict[str, Any] = {
    "code": "discount",
    "name": {"ru": "Скидка", "en": "Discount"},
    "description": "Takes off",
    "auth_user_id": 1,
    "document_type": ["crm", "CCrmDocumentDeal", "DEAL"],
    "filter": {"include": [["crm"]], "exclude": []},
    "properties": [
        {
            "id": "kind",
            "type": "select",
            "name": "Kind",
            "options": {"b": {"en": "Second", "ru": "Второй"}, "01": "A"},
        },
        {"id": "flag", "type": "bool", "name": "Flag", "default": "true", "required": True},
    ],
    "return_properties": [{"id": "total", "type": "double", "name": "Total", "multiple": True}],
}


def payload(**changes: Any) -> dict[str, Any]:
    return payload_of(normal({**FULL, **changes}))


def test_the_whole_payload_in_its_order() -> None:
    made = payload()
    assert made == {
        "CODE": "discount",
        "AUTH_USER_ID": 1,
        "USE_SUBSCRIPTION": "Y",
        "NAME": {"en": "Discount", "ru": "Скидка"},
        "DESCRIPTION": "Takes off",
        "PROPERTIES": {
            "kind": {
                "Name": "Kind",
                "Type": "select",
                "Options": {"b": {"en": "Second", "ru": "Второй"}, "01": "A"},
                "Required": "N",
                "Multiple": "N",
            },
            "flag": {"Name": "Flag", "Type": "bool", "Required": "Y", "Multiple": "N", "Default": "Y"},
        },
        "RETURN_PROPERTIES": {"total": {"Name": "Total", "Type": "double", "Required": "N", "Multiple": "Y"}},
        "DOCUMENT_TYPE": ["crm", "CCrmDocumentDeal", "DEAL"],
        "FILTER": {"INCLUDE": [["crm"]]},
    }
    assert list(made["PROPERTIES"]) == ["kind", "flag"]
    assert list(load(dump(made))["PROPERTIES"]["kind"]["Options"]) == ["b", "01"]


@pytest.mark.contract("5.6")
def test_s5_what_is_absent_is_left_out() -> None:
    bare = payload_of(normal({"code": "a", "name": "A", "subscription": "choice"}))
    assert bare == {"CODE": "a", "NAME": "A"}
    assert (
        payload_of(normal({"code": "a", "name": "A", "subscription": "no_wait"}))["USE_SUBSCRIPTION"] == "N"
    )


@pytest.mark.contract("5.5")
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "title"), [("ru", "Второй"), ("de", "Second"), ("", "Second"), ("ru-kz", "Второй")]
)
def test_s5_for_a_portal_the_handler_names_the_version_and_options_are_in_its_language(
    language: str, title: str
) -> None:
    version = RobotVersionFactory(payload=payload())
    portal = PortalFactory(application=version.robot.application, language=language)
    with override_settings(PUBLIC_URL="https://hub.example.com"):
        made = load(for_portal(version, portal))
    slug = portal.application.slug
    assert made["HANDLER"] == f"https://hub.example.com/b24/{slug}/handler/?v={version.pk}"
    assert list(made)[:2] == ["CODE", "HANDLER"]
    assert made["PROPERTIES"]["kind"]["Options"] == {"b": title, "01": "A"}
    assert made["NAME"] == {"en": "Discount", "ru": "Скидка"}


@pytest.mark.contract("5.16")
def test_s5_an_update_sets_what_is_set_and_clears_what_went() -> None:
    new = payload(
        description="",
        auth_user_id=None,
        document_type=None,
        filter=None,
        properties=[],
        return_properties=[],
    )
    assert update_fields(payload(), new) == {
        "USE_SUBSCRIPTION": "Y",
        "NAME": {"en": "Discount", "ru": "Скидка"},
        "DESCRIPTION": "",
        "DOCUMENT_TYPE": "",
        "FILTER": "",
        "PROPERTIES": {},
        "RETURN_PROPERTIES": {},
        "AUTH_USER_ID": 0,
    }


def test_an_update_clears_nothing_that_was_not_there() -> None:
    new = payload(description="")
    fields = update_fields(new, new)
    assert "DESCRIPTION" not in fields
    assert "CODE" not in fields
    assert fields["NAME"] == new["NAME"]


@pytest.mark.contract("5.20")
def test_s5_of_an_unknown_payload_every_field_is_set_or_cleared() -> None:
    fields = update_fields(None, {"CODE": "a", "HANDLER": "https://h.example.com/", "NAME": "A"})
    assert set(fields) == {
        "HANDLER",
        "NAME",
        "DESCRIPTION",
        "DOCUMENT_TYPE",
        "FILTER",
        "PROPERTIES",
        "RETURN_PROPERTIES",
        "AUTH_USER_ID",
        "USE_PLACEMENT",
    }


def test_subscription_can_be_set_later_but_not_taken_back() -> None:
    assert loses_subscription(payload(), payload(subscription="choice"))
    assert not loses_subscription(payload(subscription="choice"), payload())


@pytest.mark.contract("4.13")
def test_s4_add_leaves_empty_maps_out() -> None:
    assert add_fields({"CODE": "a", "PROPERTIES": {}, "NAME": "A"}) == {"CODE": "a", "NAME": "A"}


def test_differences_are_told_field_by_field() -> None:
    new = payload(
        name={"en": "Rebate", "ru": "Скидка"},
        description="",
        properties=[
            {"id": "flag", "type": "string", "name": "Flag"},
            {"id": "kind", "type": "select", "name": "Kind", "options": {"01": "A", "b": "Second"}},
            {"id": "extra", "type": "int", "name": "Extra"},
        ],
        return_properties=[],
    )
    changes = {change.field: (change.before, change.after) for change in diff(dump(payload()), dump(new))}
    assert changes["NAME.en"] == ("Discount", "Rebate")
    assert changes["DESCRIPTION"] == ("Takes off", None)
    assert changes["PROPERTIES.flag.Type"] == ("bool", "string")
    assert changes["PROPERTIES.flag.Default"] == ("Y", None)
    assert changes["PROPERTIES.kind.Options.b"] == ({"en": "Second", "ru": "Второй"}, "Second")
    assert changes["PROPERTIES.kind.Options (order)"] == (["b", "01"], ["01", "b"])
    assert changes["PROPERTIES.extra"][0] is None
    assert changes["PROPERTIES (order)"] == (["kind", "flag"], ["flag", "kind"])
    assert changes["RETURN_PROPERTIES.total"][1] is None
    assert "NAME.ru" not in changes
    assert diff(dump(payload()), dump(payload())) == ()
    assert "DESCRIPTION: Takes off → —" in [str(change) for change in diff(dump(payload()), dump(new))]


def test_an_order_alone_is_a_difference() -> None:
    other = payload(properties=list(reversed(FULL["properties"])))
    assert [change.field for change in diff(dump(payload()), dump(other))] == ["PROPERTIES (order)"]
