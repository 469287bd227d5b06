"""Every door that strangers can reach: never an answer of 500 and above, never a row that nothing proved, never
a request to a host that a form named, and memory that stays where it was (issue 12)."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24app import loaded
from handlers.models import Invocation
from portals.models import Portal
from tests.b24app.people import signed_in
from tests.fuzz import wsgi
from tests.fuzz.attacker import Attacker
from tests.fuzz.budget import largest_mb, tried
from tests.fuzz.forms import ODD, escaped, event_fields, frame_fields, handler_fields, posts, send
from tests.handlers.rig import Rig

# What a run of a door may add to the largest size of the process.
MOST_MB = 150


@pytest.fixture
def world(rig: Rig, attacker: Attacker) -> Iterator[tuple[Rig, Attacker]]:
    """A portal that is really installed, with its token servers at hand; what is stored of it stays as it was."""
    # As in a web process: else what tests before this one left would put a full collection off by hundreds of forms.
    loaded.for_good()
    before, started = _portals(), largest_mb()
    yield rig, attacker
    gc.unfreeze()
    assert _portals() == before
    assert largest_mb() - started < MOST_MB


def _portals() -> list[Any]:
    return list(
        Portal.objects.order_by("pk").values_list(
            "member_id", "state", "installation", "client_endpoint", "domain", "token_server", "token_state"
        )
    )


def _fields(door: str, rig: Rig) -> dict[str, str]:
    token = rig.portal.application_token
    if door == "handler/":
        return handler_fields(rig.member_id, token)
    return frame_fields(rig.member_id, token)


@pytest.mark.contract("3.5", "6.18")
@pytest.mark.parametrize("door", ["handler/", "install/", "", "settings/"])
def test_s3_s6_forms_of_strangers(world: tuple[Rig, Attacker], door: str) -> None:
    rig, attacker = world
    rig.robot()
    path = f"/b24/{rig.name}/{door}"
    hostile = [*attacker.urls, rig.member_id, rig.portal.application_token]

    @tried(150)
    @given(post=posts(_fields(door, rig), hostile))
    def knock(post: Any) -> None:
        answer = send(path, post)
        assert answer.status < 500, (answer, post)

    knock()
    # Only what carried the portal's own token became a row, and it is that portal's.
    assert not Invocation.objects.exclude(portal=rig.portal).exists()


@pytest.mark.contract("3.9")
@pytest.mark.parametrize("event", ["ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL"])
def test_s3_events_of_strangers_change_nothing(world: tuple[Rig, Attacker], event: str) -> None:
    rig, attacker = world

    @tried(60)
    @given(post=posts(event_fields(event, rig.member_id, "of-nobody"), attacker.urls))
    def knock(post: Any) -> None:
        assert send(f"/b24/{rig.name}/events/", post).status < 500

    knock()


@pytest.mark.contract("6.18")
def test_s6_without_its_token_no_form_becomes_a_row(world: tuple[Rig, Attacker]) -> None:
    rig, attacker = world
    rig.robot()

    @tried(150)
    @given(post=posts(handler_fields(rig.member_id, "of-nobody"), attacker.urls))
    def knock(post: Any) -> None:
        assert send(f"/b24/{rig.name}/handler/", post).status < 500

    knock()
    assert not Invocation.objects.exists()


queries = st.dictionaries(
    st.sampled_from(
        [
            "code",
            "state",
            "member_id",
            "domain",
            "server_domain",
            "scope",
            "portal",
            "page",
            "cursor",
            "q",
            "search",
            "ordering",
            "since",
            "until",
            "robot",
            "format",
            "limit",
            "page_size",
            "waits",
            "cause",
            "application",
            "from",
            "to",
        ]
    ),
    st.one_of(st.sampled_from(ODD), st.text(max_size=30)),
    max_size=4,
)


@pytest.mark.parametrize("who", ["stranger of the street", "superuser"])
@pytest.mark.parametrize(
    "path",
    [
        "/b24/{slug}/oauth/",
        "/b24/{slug}/connect/",
        "/b24/no-such/install/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/calls/",
        "/api/v1/portals/",
        "/api/v1/refused-calls/",
        "/api/v1/registrations/",
        "/api/schema/",
        "/api/docs/",
        "/admin/login/",
        "/admin/handlers/invocation/",
    ],
)
def test_queries_of_strangers(world: tuple[Rig, Attacker], path: str, who: str) -> None:
    rig, attacker = world
    cookie = ""
    if who == "superuser":
        cookie = f"hub_session={signed_in('superuser').cookies['hub_session'].value}"
    values = st.one_of(st.sampled_from([*ODD, *attacker.urls]), st.text(max_size=30))
    headers = st.fixed_dictionaries(
        {},
        optional={
            "HTTP_HOST": st.sampled_from(["127.0.0.1", "evil.example", "a b", "", "127.0.0.1:99999"]),
            "HTTP_X_FORWARDED_FOR": values.filter(lambda text: text.isprintable() and text.isascii()),
            "HTTP_AUTHORIZATION": st.sampled_from(
                ["Bearer x", "Bearer", "Basic =", "Bearer " + "x" * 9000, "\xd1"]
            ),
            "HTTP_ACCEPT_LANGUAGE": st.sampled_from(["ru", "x" * 600, "*;q=9", ","]),
            "HTTP_ACCEPT": st.sampled_from(["text/csv", "*/*", ";", "application/json"]),
        },
    )

    @tried(15)
    @given(query=st.one_of(queries, st.dictionaries(st.text(max_size=8), values, max_size=3)), more=headers)
    def knock(query: dict[str, str], more: dict[str, str]) -> None:
        text = "&".join(f"{escaped(name)}={escaped(value)}" for name, value in query.items())
        answer = wsgi.knock(path.format(slug=rig.name), query=text, HTTP_COOKIE=cookie, **more)
        # 503 is the word of /readyz for "not ready".
        assert answer.status < 500 or path == "/readyz", (answer, text, more)

    knock()
