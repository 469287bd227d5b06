"""What a form claims of an installation (contract §3). It proves nothing until it is verified."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from portals.crypto import token_hash

MEMBER_ID = re.compile(r"[0-9a-zA-Z]{1,64}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,1000}")
FRAME, OPEN, EVENT, UPDATE, OAUTH = "frame", "open", "event", "update", "oauth"


class BadClaim(ValueError):
    """A form that claims nothing that could be verified; its text is a sentence for who sent it."""


@dataclass(frozen=True, repr=False)
class Claim:
    """What a form says; of it only the refresh token (or code) can be proved.

    `way` is one of FRAME, OPEN (the main page, or tokens that a handler call brought), EVENT, UPDATE, OAUTH.
    `brought` recognises the form again (hex of its token's hash) though its refresh token has been exchanged
    for another meanwhile.
    """

    way: str
    member_id: str
    refresh_token: str = ""
    code: str = ""
    server_endpoint: str = ""
    application_token: str = ""
    language: str = ""
    brought: str = ""

    @property
    def installs(self) -> bool:
        """Whether the portal says that it installed or updated (and may have dropped what was registered)."""
        return self.way != OPEN

    def dump(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def load(cls, text: str) -> Claim:
        return cls(**json.loads(text))


def from_frame(query: dict[str, Any], form: dict[str, Any], way: str) -> Claim:
    """The claim of a page opened in the portal's frame. Raises BadClaim."""
    return _claim(
        way=way,
        member_id=_text(form, "member_id"),
        refresh_token=_text(form, "REFRESH_ID"),
        server_endpoint=_text(form, "SERVER_ENDPOINT"),
        application_token=_text(form, "APPLICATION_TOKEN"),
        language=_text(query, "LANG"),
    )


def from_event(form: dict[str, Any], way: str) -> Claim:
    """The claim of ONAPPINSTALL or ONAPPUPDATE. Raises BadClaim."""
    auth, data = form.get("auth"), form.get("data")
    auth = auth if isinstance(auth, dict) else {}
    data = data if isinstance(data, dict) else {}
    return _claim(
        way=way,
        member_id=_text(auth, "member_id"),
        refresh_token=_text(auth, "refresh_token"),
        server_endpoint=_text(auth, "server_endpoint"),
        application_token=_text(auth, "application_token"),
        language=_text(data, "LANGUAGE_ID"),
    )


def from_code(code: str, member_id: str, server: str) -> Claim:
    """The claim of a redirect back from full OAuth. Raises BadClaim."""
    return _claim(way=OAUTH, member_id=member_id, code=code, server_endpoint=server)


def _claim(**values: str) -> Claim:
    if not MEMBER_ID.fullmatch(values["member_id"]):
        raise BadClaim(_("The form names no portal: member_id is missing or malformed."))
    proof = values.get("refresh_token") or values.get("code", "")
    if not proof:
        raise BadClaim(_("The form brings no refresh token, so it can't be verified."))
    for name in ("refresh_token", "code", "application_token"):
        if values.get(name) and not _TOKEN.fullmatch(values[name]):
            raise BadClaim(_("The form's %(name)s is malformed.") % {"name": name})
    return Claim(**values, brought=token_hash(proof).hex())


def _text(form: dict[str, Any], name: str) -> str:
    value = form.get(name, "")
    return value.strip()[:2000] if isinstance(value, str) else ""
