"""What the intake remembers of portals (handlers/known.py)."""

from __future__ import annotations

import pytest

from handlers import known
from portals.models import Portal
from tests.factories import PortalFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "state",
    [
        {},
        *({"token_state": each} for each in Portal.Token.values),
        *({"trouble": each} for each in Portal.Trouble.values),
    ],
    ids=lambda state: "".join(state.values()) or "well",
)
def test_a_calls_tokens_are_wanted_where_the_portal_has_none_that_work(state: dict[str, str]) -> None:
    portal = PortalFactory(**state)
    known.forget()
    found = known.portal(portal.application.slug, portal.member_id)
    assert found is not None
    assert known.needs_token(found) is not portal.has_working_token
    known.forget()
    known.read_states()
    assert known.needs_token(found) is not portal.has_working_token
