"""What people and portals hand in as text: catalogs, expressions, values, answers. Each is read or refused with
its own kind of error, never with another, and stays small (issue 12)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from portals import batch, errors, oauth, operating
from portals.client import PortalClient
from portals.errors import RestError
from portals.models import Portal
from robots.catalog_read import CatalogRefused, read_catalog
from robots.expression import ExpressionError, parse
from robots.text_template import parse_template
from robots.types import InputError, OutputError, typed_inputs, wire_outputs
from tests.factories import PortalFactory
from tests.fuzz.budget import largest_mb, tried
from tests.fuzz.forms import ODD
from tests.portals.lab import Server

MOST_MB = 150


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    started = largest_mb()
    yield
    assert largest_mb() - started < MOST_MB


# Catalogs -----------------------------------------------------------------------------------------------------

KEYS = [
    "application",
    "robots",
    "code",
    "kind",
    "name",
    "description",
    "subscription",
    "auth_user_id",
    "document_type",
    "filter",
    "include",
    "exclude",
    "properties",
    "return_properties",
    "compute",
    "type",
    "returns",
    "log",
    "function",
    "id",
    "options",
    "multiple",
    "required",
    "default",
    "on_failure",
    "en",
    "ru",
    "no",
]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["robot", "wait", "double", "expression", "a", "no", "01", "~", "!!python/object", *ODD]),
    st.text(max_size=12),
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=25,
)
GOOD = """application: main
robots:
  - code: discount
    kind: robot
    name: {en: Discount, no: Rabatt}
    subscription: wait
    properties:
      - {id: amount, type: double, name: {en: Amount}, required: true}
      - {id: sort, type: select, name: {en: Sort}, options: {a: A, b: B}, default: a}
    return_properties:
      - {id: total, type: double, name: {en: Total}}
    compute:
      type: expression
      returns: {total: "round(amount * 2, 2)"}
"""
BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """The good file with up to four lines changed, moved, cut or sown with what YAML has tricks for."""
    lines = GOOD.splitlines()
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(lines) - 1))
        what = draw(st.sampled_from(["value", "gone", "twice", "indent", "trick", "cut"]))
        if what == "value":
            lines[place] = (
                lines[place].partition(":")[0]
                + ": "
                + draw(st.one_of(st.sampled_from(ODD), st.text(max_size=9)))
            )
        elif what == "gone":
            del lines[place]
            lines = lines or [""]
        elif what == "twice":
            lines.insert(place, lines[place])
        elif what == "indent":
            lines[place] = " " * draw(st.integers(0, 9)) + lines[place].lstrip()
        elif what == "trick":
            tricks = [
                "&a x",
                "*a",
                "!!python/name:os.system",
                "---",
                "...",
                "<<: *a",
                "? [a]: b",
                "|",
                "%TAG ! x",
            ]
            lines.insert(place, draw(st.sampled_from(tricks)))
        else:
            lines[place] = lines[place][: draw(st.integers(0, 30))]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


@tried(300)
@given(
    data=st.one_of(
        spoilt(),
        trees.map(lambda tree: yaml.safe_dump(tree).encode("utf-8", "replace")),
        st.binary(max_size=80),
    )
)
@example(data=GOOD.encode())
@example(data=BOMB.encode())
@example(data=b"[" * 100_000)
@example(data=b"{a: " * 50_000)
@example(data=b"- " * 100_000)
@example(data=b"robots: !!python/object/apply:os.system ['true']")
@example(data="robots: [{code: ё}]".encode("utf-16"))
@example(data=b"x" * 3_000_000)
def test_a_catalog_is_read_or_refused_with_lines(data: bytes) -> None:
    try:
        read_catalog(data)
    except CatalogRefused as refused:
        assert refused.problems
        assert len(str(refused)) < 200_000


# Expressions --------------------------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "amount": Decimal("1000.50"),
    "title": "Straße",
    "nothing": None,
    "tags": ["a", "b"],
    "yes": True,
}
atoms = st.sampled_from(
    [
        "amount",
        "title",
        "nothing",
        "tags",
        "yes",
        "1",
        "0",
        "0.1",
        "9e30",
        "1e-30",
        "'x'",
        "''",
        "True",
        "None",
        "99999999999999999999",
        "os",
        "__import__",
        "('a'*99)",
    ]
)
operators = st.sampled_from(
    [
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        ">",
        "<=",
        ">=",
        "and",
        "or",
        "in",
        "not",
        "**",
        "//",
        "|",
        "@",
        ".",
        ",",
    ]
)
functions = st.sampled_from(
    [
        "round",
        "min",
        "max",
        "abs",
        "len",
        "upper",
        "lower",
        "text",
        "number",
        "int",
        "sum",
        "join",
        "concat",
        "contains",
        "replace",
        "left",
        "right",
        "first",
        "floor",
        "ceil",
        "add_days",
        "days_between",
        "eval",
        "open",
    ]
)
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(lambda a, sign, b: f"({a} {sign} {b})", inner, operators, inner),
        st.builds(lambda name, parts: f"{name}({', '.join(parts)})", functions, st.lists(inner, max_size=3)),
        st.builds(lambda a, b, c: f"({a} if {b} else {c})", inner, inner, inner),
        st.builds(lambda a: f"{a}.__class__", inner),
        st.builds(lambda a, b: f"{a}[{b}]", inner, inner),
        st.builds(lambda a: f"-{a}", inner),
    ),
    max_leaves=20,
)


@tried(600)
@given(source=st.one_of(expressions, st.text(max_size=60)))
@example(source="replace(replace(title, '', title), '', title)")
@example(source="(" * 900 + "1")
@example(source="-" * 900 + "1")
@example(source="amount" + "*amount" * 140)
@example(source="'x'*2000000000")
@example(source="title.ljust(2000000000)")
@example(source="().__class__.__bases__[0].__subclasses__()")
def test_an_expression_is_a_value_or_an_expression_error(source: str) -> None:
    try:
        value = parse(source, VALUES.keys()).value(VALUES)
    except ExpressionError as error:
        assert str(error)
        return
    assert value is None or isinstance(value, (bool, int, Decimal, str, list)), type(value)
    assert len(str(value)) <= 70_000


@tried(200)
@given(
    source=st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from(["{", "}", "{{", "}}", "amount", "!r", ":>999", "."]), max_size=9).map(
            "".join
        ),
    )
)
def test_a_template_is_filled_or_refused(source: str) -> None:
    try:
        text = parse_template(source, VALUES.keys()).filled(VALUES, 4_000)
    except ExpressionError:
        return
    assert len(text) <= 4_000


# Values -------------------------------------------------------------------------------------------------------

TYPES = [
    "bool",
    "date",
    "datetime",
    "double",
    "file",
    "int",
    "select",
    "string",
    "text",
    "user",
    "time",
    "UF:address",
]
raws = st.recursive(
    st.one_of(
        st.sampled_from(
            [*ODD, "24.11.2026", "11/24/2026 01:02:03 pm", "user_5", "[group_g1]", "1.5", "23:59"]
        ),
        st.text(max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@tried(600)
@given(
    kind=st.sampled_from(TYPES),
    multiple=st.sampled_from(["Y", "N"]),
    raw=raws,
    zone=st.sampled_from(["UTC", "Europe/Berlin", "+05:30", "America/New_York", "No/Where", ""]),
    order=st.sampled_from(["DMY", "MDY", "YMD", ""]),
)
def test_s6_a_value_is_typed_or_an_input_error(
    kind: str, multiple: str, raw: Any, zone: str, order: str
) -> None:
    properties = {"x": {"Type": kind, "Multiple": multiple, "Options": {"a": "A"}}}
    try:
        values = typed_inputs(properties, {"x": raw}, zone, order)
    except InputError as error:
        assert error.id == "x" and len(str(error)) < 2000
        return
    assert isinstance(values["x"], list) == (multiple == "Y")


results = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.decimals(),
        st.text(max_size=9),
        st.dates(),
        st.datetimes(),
        st.times(),
        st.binary(max_size=3),
        st.integers().map(lambda n: n * 10**400),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=6,
)


@tried(600)
@given(kind=st.sampled_from(TYPES), multiple=st.sampled_from(["Y", "N"]), value=results)
def test_s7_a_result_is_sendable_text_or_an_output_error(kind: str, multiple: str, value: Any) -> None:
    try:
        wired = wire_outputs(
            {"x": {"Type": kind, "Multiple": multiple, "Options": {"a": "A"}}}, {"x": value}, "Europe/Berlin"
        )
    except OutputError as error:
        assert error.id == "x"
        return
    for part in wired.get("x") or []:
        assert isinstance(part, str)
        part.encode()


# Answers ------------------------------------------------------------------------------------------------------

jsons = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=9),
        st.sampled_from(
            [
                "a\0b",
                "\ud800",
                10**400,
                1e308,
                float("inf"),
                float("nan"),
                "expired_token",
                404,
                "402",
                "0",
                "ACCESS_DENIED",
                "",
            ]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "result",
                    "result_error",
                    "result_time",
                    "result_total",
                    "result_next",
                    "time",
                    "start",
                    "finish",
                    "duration",
                    "operating",
                    "operating_reset_at",
                    "error",
                    "error_description",
                    "code",
                    "message",
                    "a",
                    "b",
                    "ID",
                    "MODIFIED",
                    "OWNED_UNTIL",
                    "access_token",
                    "refresh_token",
                    "member_id",
                    "client_endpoint",
                    "expires_in",
                    "user_id",
                    "scope",
                    "status",
                ]
            ),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=25,
)
HTML = b"<!DOCTYPE html><html><body><h1>500</h1></body></html>"


def _spelled(tree: Any) -> bytes:
    return json.dumps(tree).encode()


bodies = st.one_of(
    jsons.map(_spelled),
    jsons.map(_spelled).flatmap(lambda whole: st.integers(0, len(whole)).map(lambda end: whole[:end])),
    st.binary(max_size=40),
    st.sampled_from(
        [
            HTML,
            b"",
            b"[" * 100_000,
            b'{"result":' * 50_000,
            b"\xef\xbb\xbf{}",
            b"null",
            b"1e999",
            b'{"error":"", "result": 1}',
        ]
    ),
)
statuses = st.sampled_from(
    [200, 200, 200, 201, 204, 301, 302, 400, 401, 403, 404, 410, 423, 429, 499, 500, 502, 503, 504, 999]
)
methods = st.sampled_from(["bizproc.event.send", "bizproc.robot.add", "batch", "app.info", ""])
COMMANDS: batch.Commands = {"a": ("bizproc.event.send", {}), "b": ("bizproc.workflow.instances", {})}


@pytest.mark.contract("4.2")
@tried(800)
@given(status=statuses, body=bodies, method=methods)
@example(
    status=200,
    body=b'{"result": {"result": [], "result_time": {"a": {"operating": 1e999}}}, "time": {"start": 1e999}}',
    method="batch",
)
def test_s4_an_answer_is_read_or_a_rest_error(status: int, body: bytes, method: str) -> None:
    try:
        answer = errors.read(status, body, method)
    except RestError as error:
        assert len(error.text) <= 500
        return
    if isinstance(answer, dict) and "result" in answer:
        try:
            read = batch.read(answer, COMMANDS, 0.1)
        except RestError:
            return
        assert set(read.results) | set(read.errors) == set(COMMANDS)


@pytest.mark.contract("2.4")
@tried(400)
@given(told=jsons)
@example(
    told={
        "access_token": "a",
        "refresh_token": "r",
        "member_id": "m",
        "user_id": float("inf"),
        "expires_in": 1e400,
    }
)
@example(told={"access_token": "a", "refresh_token": "r", "member_id": "m", "expires_in": 2**60})
def test_s2_a_token_servers_answer_is_read_or_a_rest_error(told: Any) -> None:
    try:
        tokens = oauth._read(told, "https://oauth.bitrix.info")
    except RestError:
        return
    assert 0 < tokens.expires_in <= 30 * 86_400


@pytest.mark.django_db(transaction=True)
def test_s4_a_portal_that_answers_anything_at_all(settings: Any) -> None:
    """Through the client and into the database: what is noted of a portal can be stored whatever it says."""
    settings.B24_ALLOW_HTTP, settings.BUCKET_RATE, settings.BUCKET_BURST = True, 50, 1_000
    server = Server()
    portal = PortalFactory(client_endpoint=f"{server.base}/rest/")
    settings.B24_OAUTH_URLS = [server.base]

    @tried(250)
    @given(status=statuses, body=bodies)
    @example(status=200, body=b'{"result": 1, "time": {"operating": NaN, "operating_reset_at": 1e999}}')
    @example(status=200, body=b'{"result": 1, "time": {"operating": 1e400, "operating_reset_at": NaN}}')
    @example(
        status=200,
        body=_spelled({"result": 1, "time": {"operating": 10**400, "operating_reset_at": 10**300}}),
    )
    def ask(status: int, body: bytes) -> None:
        server.reply = lambda path, params: (min(status, 599), body, {"Connection": "close"})
        Portal.objects.filter(pk=portal.pk).update(token_state="working", trouble="", ask_again_at=None)
        client = PortalClient(portal, person=True, patience=0)
        for asked in (lambda: client.call("app.info"), lambda: client.batch(COMMANDS)):
            try:
                asked()
            except RestError:
                pass
        operating.blocked(portal.member_id, portal.application_id)

    try:
        ask()
    finally:
        server.stop()
