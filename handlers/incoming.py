"""A handler call as the portal sent it, read and made harmless (contract §6)."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

EVENT_TOKEN_MAX = 4096
# A `ts` older than a call can be is not believed.
_BEHIND = dt.timedelta(days=30)
# Longer waits are as good as none, and larger numbers fit no column.
_TIMEOUT_MAX = 10 * 365 * 86_400


class Unreadable(ValueError):
    """No call can be made of the form; the message names the field and what is wrong with it."""


@dataclass(slots=True)
class Incoming:
    """One call. `properties` as the form has it; times aware; `tokens` only while the portal may need them.

    `told_at` is its `ts`, by the portal's clock; `received_at` is by ours.
    """

    slug: str
    member_id: str
    application_token: str
    event_token: str
    code: str
    version_hint: int | None
    workflow_id: str
    document_id: list[str]
    document_type: list[str]
    told_at: dt.datetime | None
    received_at: dt.datetime
    timeout: int
    waits: bool
    properties: Any
    auth: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def token_hash(self) -> bytes:
        """sha256 of the event token: what makes a call this call."""
        return hashlib.sha256(self.event_token.encode("utf-8", "replace")).digest()

    def called_at(self, ahead: float) -> dt.datetime:
        """When the portal called, by our clock, which its own is `ahead` of; never later than it was received.

        A result is computed and sent by this time, so one that is too early would give a process up (§7).
        """
        if self.told_at is None:
            return self.received_at
        called_at = self.told_at - dt.timedelta(seconds=ahead)
        return (
            min(called_at, self.received_at) if called_at > self.received_at - _BEHIND else self.received_at
        )

    def deadline(self, called_at: dt.datetime) -> dt.datetime | None:
        """When the process stops waiting (§6); None: never."""
        return called_at + dt.timedelta(seconds=self.timeout) if self.timeout else None

    def body_text(self) -> str:
        """What is kept of the form, as JSON; of `auth` only who and where."""
        return json.dumps(
            {
                "properties": self.properties,
                "document_id": self.document_id,
                "document_type": self.document_type,
                "timeout_duration": self.timeout,
                "auth": self.auth,
                "v": self.version_hint,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )

    def dump(self) -> bytes:
        """The whole call for the spool (secrets included: the spool encrypts it)."""
        data = asdict(self)
        for name in ("told_at", "received_at"):
            data[name] = data[name].isoformat() if data[name] else None
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def load(cls, data: bytes) -> Incoming:
        values = json.loads(data)
        for name in ("told_at", "received_at"):
            values[name] = dt.datetime.fromisoformat(values[name]) if values[name] else None
        return cls(**values)


def read(slug: str, form: dict[str, Any], hint: str | None, received_at: dt.datetime) -> Incoming:
    """The call in a parsed form. Raises Unreadable where no database could make it a call."""
    auth = form.get("auth")
    if not isinstance(auth, dict):
        raise Unreadable("auth is missing: send auth[member_id] and auth[application_token].")
    return Incoming(
        slug=slug,
        member_id=_needed(auth, "member_id", "auth[member_id]", 64),
        application_token=_needed(auth, "application_token", "auth[application_token]", 256),
        event_token=_needed(form, "event_token", "event_token", EVENT_TOKEN_MAX),
        code=_text(form.get("code"), 128),
        version_hint=_number(hint),
        workflow_id=_text(form.get("workflow_id"), 128),
        document_id=_texts(form.get("document_id")),
        document_type=_texts(form.get("document_type")),
        told_at=_moment(form.get("ts")),
        received_at=received_at,
        timeout=min(_number(form.get("timeout_duration")) or 0, _TIMEOUT_MAX),
        waits=form.get("use_subscription") == "Y",
        properties=form.get("properties") or {},
        auth={
            name: _text(auth.get(name), 1000)
            for name in ("member_id", "user_id", "domain", "scope")
            if name in auth
        },
        tokens={
            name: _text(auth.get(name), 1000)
            for name in ("access_token", "refresh_token", "expires", "server_endpoint")
            if auth.get(name)
        },
    )


def _needed(form: dict[str, Any], name: str, called: str, longest: int) -> str:
    value = form.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"{called} is missing or is no text.")
    if len(value.encode("utf-8", "replace")) > longest:
        raise Unreadable(f"{called} is longer than {longest} bytes.")
    return value


def _text(value: Any, longest: int) -> str:
    return value[:longest] if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return [_text(part, 255) for part in list(parts)[:3] if isinstance(part, str)]


def _number(value: Any) -> int | None:
    """A plain decimal of at most 15 digits, else None."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 15:
        return int(value)
    return None


def _moment(ts: Any) -> dt.datetime | None:
    """Unix seconds as an aware datetime, None where they are none."""
    seconds = _number(ts)
    return dt.datetime.fromtimestamp(seconds, dt.UTC) if seconds is not None and seconds < 10**11 else None
