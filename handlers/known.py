"""Whom the intake knows: portals and versions, read once and remembered by each process.

A remembered portal can only say yes: acceptance inserts on the portal's `installation` number, so what is stale
inserts nothing and is read again (design §2).
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog

from handlers import intake_db
from portals.crypto import SecretUnreadable, decrypt, keyed_hash

log = structlog.get_logger(__name__)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """A bounded dict that forgets the oldest entry. Single operations are safe between threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        self._entries[key] = value
        while len(self._entries) > self._most:
            try:
                self._entries.popitem(last=False)
            except KeyError:
                return

    def drop(self, key: K) -> None:
        self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()


@dataclass(frozen=True, slots=True)
class KnownPortal:
    """What verifies a call: hashes of the application token and of the former one (until `former_until`)."""

    id: int
    application_id: int
    member_id: str
    installation: int
    installed: bool
    token: bytes
    former: bytes
    former_until: dt.datetime | None
    # Another application token was told of, and not taken since no administrator told it.
    untaken: bool

    def which(self, application_token: str) -> str:
        """'present', 'former' or '' for a token that is neither."""
        shown = keyed_hash(application_token)
        if self.token and hmac.compare_digest(shown, self.token):
            return "present"
        if self.former and hmac.compare_digest(shown, self.former):
            return "former"
        return ""


@dataclass(frozen=True, slots=True)
class KnownVersion:
    application_id: int
    code: str


# What Portal.has_working_token denies.
_WITHOUT = "(p.token_state IN ('none', 'lost', 'unverified') OR p.trouble = 'user_dismissed')"
_portals: Remembered[tuple[str, str], KnownPortal] = Remembered(20_000)
# Portals without a working token: a token is lost without a change of `installation`, so what is remembered of a
# portal can't tell. Read with the portal, and for all together every ten seconds (drain.tend).
_in_need: set[int] = set()
# Portal -> seconds its clock is ahead of ours, where it is: likewise.
_ahead: dict[int, float] = {}
_versions: Remembered[int, KnownVersion] = Remembered(20_000)

_PORTAL = f"""
SELECT p.id, p.application_id, p.member_id, p.installation, p.state, p.application_token,
       p.former_application_token, p.former_until, {_WITHOUT}, p.clock_ahead,
       p.untaken_token_at IS NOT NULL
FROM portals_portal p JOIN portals_application a ON a.id = p.application_id
WHERE a.slug = %s AND p.member_id = %s
"""


def portal(slug: str, member_id: str, fresh: bool = False) -> KnownPortal | None:
    """The portal of this application, from memory unless `fresh`. Raises intake_db.Away."""
    key = (slug, member_id)
    known = None if fresh else _portals.get(key)
    if known is None:
        rows = intake_db.run(_PORTAL, (slug, member_id))
        if not rows:
            _portals.drop(key)
            return None
        known = _known(rows[0])
        _portals.put(key, known)
        if rows[0][8]:
            _in_need.add(known.id)
        _ahead[known.id] = rows[0][9]
    return known


def needs_token(portal: KnownPortal) -> bool:
    """Whether the tokens that its calls bring are wanted (design §2)."""
    return portal.id in _in_need


def clock_ahead(portal: KnownPortal) -> float:
    """Seconds by which the portal's clock is ahead of ours (contract §7)."""
    return _ahead.get(portal.id, 0.0)


def read_states() -> None:
    """Which portals have no working token now, and whose clock differs. Raises intake_db.Away."""
    global _in_need, _ahead
    differ = intake_db.run("SELECT id, clock_ahead FROM portals_portal WHERE clock_ahead <> 0", ())
    _ahead = dict(differ)
    rows = intake_db.run(f"SELECT p.id FROM portals_portal p WHERE p.state = 'installed' AND {_WITHOUT}", ())
    _in_need = {row[0] for row in rows}


def remembered_portal(slug: str, member_id: str) -> KnownPortal | None:
    """The portal as this process last saw it, without asking anybody."""
    return _portals.get((slug, member_id))


def version(version_id: int) -> KnownVersion | None:
    """A published version's application and code (they never change). Raises intake_db.Away."""
    known = _versions.get(version_id)
    if known is None:
        rows = intake_db.run(
            "SELECT r.application_id, v.code FROM robots_robotversion v JOIN robots_robot r ON r.id = v.robot_id"
            " WHERE v.id = %s",
            (version_id,),
        )
        if not rows:
            return None
        known = KnownVersion(*rows[0])
        _versions.put(version_id, known)
    return known


def application_exists(slug: str) -> bool:
    """Raises intake_db.Away."""
    return bool(intake_db.run("SELECT 1 FROM portals_application WHERE slug = %s", (slug,)))


def everyone() -> list[tuple[str, str, bytes, bytes, dt.datetime | None]]:
    """All installed portals as the spool's copy holds them, without those whose secrets no key opens. Raises
    intake_db.Away."""
    rows = intake_db.run(
        "SELECT a.slug, p.member_id, p.application_token, p.former_application_token, p.former_until"
        " FROM portals_portal p JOIN portals_application a ON a.id = p.application_id WHERE p.state = 'installed'",
        (),
    )
    found = []
    for slug, member, token, former, until in rows:
        try:
            found.append((slug, member, _hash_of_secret(token), _hash_of_secret(former), _aware(until)))
        except SecretUnreadable:
            log.error("a portal's application token can't be read", application=slug, member_id=member)
    return found


def forget() -> None:
    """For tests: each process remembers for itself."""
    _in_need.clear()
    _ahead.clear()
    _portals.clear()
    _versions.clear()


def _known(row: tuple[Any, ...]) -> KnownPortal:
    token, former = (_hash_of_secret(row[5]), _hash_of_secret(row[6]))
    return KnownPortal(
        id=row[0],
        application_id=row[1],
        member_id=row[2],
        installation=row[3],
        installed=row[4] == "installed",
        token=token,
        former=former,
        former_until=_aware(row[7]),
        untaken=bool(row[10]),
    )


def _hash_of_secret(stored: Any) -> bytes:
    return keyed_hash(decrypt(bytes(stored)).decode()) if stored else b""


def _aware(value: Any) -> dt.datetime | None:
    """SQLite gives text without a zone to a raw query."""
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=dt.UTC)
    return value if isinstance(value, dt.datetime) else None
