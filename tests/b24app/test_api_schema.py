"""The schema says what the answers are; the page made from it fetches nothing from elsewhere."""

from __future__ import annotations

import re
from functools import cache

import jsonschema
import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from b24app import api_docs
from tests.b24app.api_rows import API, LISTS, rows
from tests.b24app.people import signed_in
from tests.factories import InvocationFactory, PortalFactory, RobotFactory

pytestmark = pytest.mark.django_db

FAR = {"REMOTE_ADDR": "203.0.113.9"}
NEAR = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1"}


@cache
def schema():
    return SchemaGenerator().get_schema(request=None, public=True)


def check(answer, path):
    """The answer against what the schema says of this address."""
    shape = schema()["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator({**shape, "components": schema()["components"]}).validate(answer)
    ref = shape["$ref"].rsplit("/", 1)[1]
    declared = set(schema()["components"]["schemas"][ref]["properties"])
    assert set(answer) == declared, path


@pytest.mark.parametrize("name", LISTS)
def test_every_answer_is_as_the_schema_says(name):
    made = rows()
    # Rows of which little is known: what may be null is null.
    InvocationFactory(call="", waits=False)
    RobotFactory(name="One text", properties=False)
    PortalFactory(time_zone="", token_state="none", domain="")
    client = signed_in("auditors")
    check(client.get(f"{API}{name}/").json(), f"{API}{name}/")
    for row in {made[name].pk, *(row["id"] for row in client.get(f"{API}{name}/").json()["results"])}:
        check(client.get(f"{API}{name}/{row}/").json(), f"{API}{name}/{{id}}/")


def test_the_schema_is_valid_and_only_reads():
    validate_schema(schema())
    assert {method for path in schema()["paths"].values() for method in path} == {"get"}
    assert all(path.startswith(API) for path in schema()["paths"])
    assert set(schema()["components"]["securitySchemes"]) == {"token", "cookieAuth"}


def test_every_filter_is_in_the_schema():
    parameters = {each["name"] for each in schema()["paths"][f"{API}calls/"]["get"]["parameters"]}
    assert parameters == {
        "application",
        "portal",
        "robot",
        "state",
        "cause",
        "confirmation",
        "process",
        "document",
        "received_after",
        "received_before",
        "cursor",
        "page_size",
    }
    export = {each["name"] for each in schema()["paths"][f"{API}calls/export/"]["get"]["parameters"]}
    assert export == parameters - {"cursor", "page_size"}


@pytest.mark.parametrize("path", ["/api/docs/", "/api/schema/"])
def test_schema_and_docs_are_for_operators(client, settings, path):
    settings.METRICS_TOKEN = "token-of-metrics"
    bearer = {"HTTP_AUTHORIZATION": "Bearer token-of-metrics"}
    assert client.get(path, **FAR).status_code in (401, 403)
    assert client.get(path, **FAR, HTTP_AUTHORIZATION="Bearer wrong").status_code in (401, 403)
    assert client.get(path, **FAR, **bearer).status_code == 200
    assert client.get(path, **NEAR).status_code == 200
    assert signed_in("stranger").get(path, **FAR).status_code == 200
    # What opens the documentation opens nothing that it tells of.
    assert client.get(f"{API}calls/", **FAR, **bearer).status_code == 401


def test_the_schema_is_json(client):
    answer = client.get("/api/schema/", **NEAR)
    assert "json" in answer["Content-Type"]
    assert answer.json()["openapi"].startswith("3.1")


def test_the_page_fetches_nothing_from_elsewhere(client):
    text = client.get("/api/docs/", **NEAR).content.decode()
    fetched = re.findall(r'(?:src|href|action)="([^"]*)"', text) + re.findall(r"url\(([^)]*)\)", text)
    assert fetched
    assert [each for each in fetched if not each.startswith(("/", "#"))] == []
    assert not [each for each in fetched if each.startswith("//")]


def test_the_page_tells_every_parameter_and_field(client):
    text = client.get("/api/docs/", **NEAR).content.decode()
    assert [group.name for group in api_docs.groups()] == sorted(LISTS)
    for path, methods in schema()["paths"].items():
        assert path in text
        for parameter in methods["get"].get("parameters", []):
            assert f"<code>{parameter['name']}</code>" in text
    for each in schema()["components"]["schemas"].values():
        for name in each.get("properties", {}):
            assert f"<code>{name}</code>" in text or name in ("next", "results"), name
    # An enumeration's values stand with their words, not as a list of stars.
    assert "* `" not in text
    assert "the robot ran too long" in text


def test_the_written_page_names_every_filter(settings):
    written = (settings.BASE_DIR / "docs" / "audit-api.md").read_text()
    table = written.split("| list | filters |")[1].split("\n\n")[0]
    told = {}
    for line in table.splitlines()[2:]:
        lists, filters = (re.sub(r"\([^)]*\)", "", cell) for cell in line.strip("| ").split(" | "))
        for name in re.findall(r"`([^`]+)`", lists):
            told[f"{API}{name}"] = set(re.findall(r"`([^`]+)`", filters))
    for path, methods in schema()["paths"].items():
        parameters = {each["name"] for each in methods["get"].get("parameters", [])}
        if "id" not in parameters:
            assert told[path] == parameters - {"cursor", "page_size"}, path
