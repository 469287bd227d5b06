"""Tokens that carry their own facts under a signature:
10^5 handler calls with tokens of their own cost no memory (§2, §6)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from sandbox.model import Install, Portal
from sandbox.world import World

REFRESH_SECONDS = 180 * 86400
CODE_SECONDS = 30


@dataclass(frozen=True)
class Token:
    """A read token: of which kind, for which installation and user, until when."""

    kind: str
    install_id: int
    epoch: int
    user_id: int
    issued: float
    expires: float
    serial: str


def sign(world: World, text: str) -> str:
    return hmac.new(world.state.secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def issue(world: World, kind: str, install: Install, user_id: int, seconds: float) -> str:
    """An opaque hex string; ``kind`` is a access, r refresh, c code."""
    now = world.clock.now()
    facts = (
        f"{kind}.{install.id}.{install.epoch}.{user_id}.{now:.6f}.{now + seconds:.6f}.{secrets.token_hex(4)}"
    )
    return facts.encode().hex() + sign(world, facts)[:24]


def read(world: World, text: object) -> Token | None:
    """The token's facts where its signature holds."""
    if not isinstance(text, str) or len(text) > 400:
        return None
    try:
        facts = bytes.fromhex(text[:-24]).decode("ascii")
        kind, number, epoch, user, issued, issued_part, expires, expires_part, serial = facts.split(".")
    except ValueError:
        return None
    if not hmac.compare_digest(sign(world, facts)[:24].encode(), text[-24:].encode()):
        return None
    return Token(
        kind,
        int(number),
        int(epoch),
        int(user),
        float(f"{issued}.{issued_part}"),
        float(f"{expires}.{expires_part}"),
        serial,
    )


def pair(world: World, portal: Portal, install: Install, user_id: int) -> dict[str, str | int]:
    """Access and refresh token for a user, with the times the portal tells."""
    told = portal.access_seconds if portal.access_seconds_told is None else portal.access_seconds_told
    return {
        "access_token": issue(world, "a", install, user_id, portal.access_seconds),
        "refresh_token": issue(world, "r", install, user_id, REFRESH_SECONDS),
        "expires": int(world.clock.now()) + told,
        "expires_in": told,
    }


def event_token(world: World, process_id: str, name: str) -> str:
    """``id|A…|signature``: opaque to the application, without an expiry (§6)."""
    facts = f"{process_id}|{name}"
    return f"{facts}|{sign(world, 'event:' + facts)}"


def read_event_token(world: World, text: object) -> tuple[str, str] | None:
    """Process id and step name of a token that this sandbox signed."""
    if not isinstance(text, str):
        return None
    parts = text.split("|")
    if len(parts) != 3:
        return None
    wanted = sign(world, f"event:{parts[0]}|{parts[1]}")
    if not hmac.compare_digest(wanted.encode(), parts[2].encode("utf-8", "replace")):
        return None
    return parts[0], parts[1]
