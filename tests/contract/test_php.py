"""Forms by PHP's own hand: what `http_build_query` writes is taken in, and our reading is `parse_str`'s (§6)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from django.test import Client
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.models import Invocation
from portals import php_form
from portals.models import Portal
from robots.models import RobotVersion
from tests.contract.php import Php, there
from tests.fuzz.budget import tried
from tests.handlers.calls import FORM

pytestmark = pytest.mark.skipif(not there(), reason="php does not answer: Debian's php-cli is not installed")


@pytest.fixture(scope="module")
def php() -> Iterator[Php]:
    found = Php()
    yield found
    found.end()


_WORDS = [
    "a",
    "b",
    "ab",
    "a.b",
    "a b",
    " a",
    "0",
    "1",
    "01",
    "-1",
    "7",
    "9" * 19,
    "9" * 25,
    "é",
    "a]b",
    "x_y",
]
_KEYS = [*_WORDS, "", "", "2", "1e1", "+3", "-0", "a[b", "\t a", "\n", " "]
_VALUES = [
    b"",
    b"x",
    b"21.5",
    b"a+b",
    b"%41",
    b"%4",
    b"%zz",
    b"%C3%A9",
    b"%ff",
    b"=",
    b"a=b",
    b"+",
    b"%00x",
    "é".encode(),
]


@st.composite
def names(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(_WORDS))
    for key in draw(st.lists(st.sampled_from(_KEYS), max_size=4)):
        name += f"[{key}]"
    name += draw(st.sampled_from(["", "", "", "", "[", "]", "[x", "x", "[]y"]))
    escape = draw(st.sampled_from(["none", "all", "brackets kept"]))
    if escape == "none":
        return name.replace("%", "%25").replace("&", "%26").replace("+", "%2B").encode()
    return (quote_plus(name) if escape == "all" else quote(name, safe="[]")).encode()


forms = st.lists(st.tuples(names(), st.sampled_from(_VALUES)), max_size=8)


def as_read(tree: Any) -> Any:
    """Our reading in PHP's shape: a list is a map of the keys 0…n."""
    if isinstance(tree, list):
        return {str(place): as_read(part) for place, part in enumerate(tree)}
    if isinstance(tree, dict):
        return {key: as_read(part) for key, part in tree.items()}
    return tree


def as_told(tree: Any) -> Any:
    """PHP's reading with its leaves as the hub keeps text: U+FFFD for no UTF-8, no NUL."""
    if isinstance(tree, dict):
        return {key: as_told(part) for key, part in tree.items()}
    return tree.decode("utf-8", "replace").replace("\0", "")


@pytest.mark.contract("6.17")
@tried(3000)
@given(pairs=forms)
@example(pairs=[(b"properties[x][]", b"1"), (b"properties[x][5]", b"2"), (b"properties[x][]", b"3")])
def test_s6_our_parser_reads_what_parse_str_reads(php: Php, pairs: list[tuple[bytes, bytes]]) -> None:
    body = b"&".join(name + b"=" + value for name, value in pairs)
    assert as_read(php_form.parse(body)) == as_told(php.parse_str(body))


PROPERTIES: dict[str, Any] = {
    "amount": "1000.50",
    "tags": ["a", "b & c", "d=e", "ё"],
    "gaps": {"3": "x", "7": "y"},
    "none": [],
    "unset": None,
    "yes": True,
    "empty": "",
    "text": "line\r\nline + 100% [x] $result[y] \\ \" ' < > &amp;",
    "nested": {"0": {"ID": "5", "TYPE": "user"}},
    "number": 12.5,
}
# `http_build_query` leaves out nulls and empty arrays, writes true as 1.
READ = {
    **{name: value for name, value in PROPERTIES.items() if name not in ("none", "unset")},
    "yes": "1",
    "number": "12.5",
    "nested": [{"ID": "5", "TYPE": "user"}],
}


@pytest.mark.contract("6.17")
def test_s6_a_form_written_by_http_build_query_is_taken_whole(
    php: Php, portal: Portal, version: RobotVersion
) -> None:
    body = php.http_build_query(
        {
            "workflow_id": "5f0000000000",
            "code": "double",
            "ts": int(time.time()),
            "document_id": ["crm", "CCrmDocumentDeal", "DEAL_42"],
            "document_type": ["crm", "CCrmDocumentDeal", "DEAL"],
            "event_token": "5f|A51601_82584|hsyU.sig",
            "use_subscription": "Y",
            "timeout_duration": 86400,
            "properties": PROPERTIES,
            "auth": {
                "access_token": None,
                "domain": portal.domain,
                "member_id": portal.member_id,
                "user_id": 1,
                "application_token": "application-token",
            },
        }
    )
    path = f"/b24/{portal.application.slug}/handler/?v={version.pk}"
    assert Client().post(path, body.decode(), content_type=FORM).status_code == 200
    row = Invocation.objects.get()
    assert json.loads(row.call)["properties"] == READ
    assert (row.document_id, row.workflow_id, row.waits) == (
        "DEAL_42",
        "5f0000000000",
        True,
    )
    assert row.deadline is not None
