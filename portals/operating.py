"""Operating time: what each method of each application has used of its share on a portal (contract §4).

Kept on the portal account's Bucket row, so it is shown and shared. Written only when it matters: above a
tenth of the share and on a 429, since a write for each answer would cost more than it tells.
"""

from __future__ import annotations

from typing import Any

from portals.clock import db_now
from portals.models import Bucket

# The share is about 480 s in ten minutes; below this it is not worth a write.
NOTED_FROM = 48.0
_STEP = 12.0
BLOCKED_SECONDS = 60.0
_LONGEST = 600.0


def key(application_id: int, method: str) -> str:
    return f"{application_id}:{method}"


def blocked(member_id: str, application_id: int) -> dict[str, float]:
    """Methods of this application over their share -> seconds until they may be called."""
    known = Bucket.objects.filter(member_id=member_id).values_list("operating", flat=True).first()
    if not known:
        return {}
    now = db_now().timestamp()
    prefix = f"{application_id}:"
    return {
        name.removeprefix(prefix): entry["blocked_until"] - now
        for name, entry in known.items()
        if name.startswith(prefix) and (entry.get("blocked_until") or 0) > now
    }


def note(member_id: str, application_id: int, method: str, times: Any) -> None:
    """What an answer's `time` says of a method: `operating` seconds used, `operating_reset_at` (portal's
    clock).
    """
    if not isinstance(times, dict):
        return
    used = times.get("operating")
    if not isinstance(used, int | float) or used < NOTED_FROM:
        return
    ahead = _LONGEST
    reset, start = times.get("operating_reset_at"), times.get("start")
    if isinstance(reset, int | float) and isinstance(start, int | float):
        ahead = min(max(reset - start, 0.0), _LONGEST)
    reset_at = db_now().timestamp() + ahead

    def change(entry: dict[str, Any]) -> dict[str, Any] | None:
        if abs(entry.get("seconds", 0.0) - used) < _STEP and not entry.get("blocked_until"):
            return None
        return {"seconds": float(used), "reset_at": reset_at, "blocked_until": None}

    _change(member_id, key(application_id, method), change)


def block(member_id: str, application_id: int, method: str) -> float:
    """The method was answered 429: seconds it is left alone, by the last told reset time, else a minute."""
    now = db_now().timestamp()
    left = BLOCKED_SECONDS

    def change(entry: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal left
        ahead = (entry.get("reset_at") or 0.0) - now
        left = ahead if 0 < ahead <= _LONGEST else BLOCKED_SECONDS
        return {**entry, "blocked_until": now + left}

    _change(member_id, key(application_id, method), change)
    return left


def _change(member_id: str, name: str, change: Any) -> None:
    """Compare-and-set of one entry by the row's version; `change` returns None for nothing to write."""
    for _ in range(20):
        row = Bucket.objects.filter(member_id=member_id).values_list("operating", "version").first()
        if row is None:
            return
        known, version = row
        entry = change(known.get(name, {}))
        if entry is None:
            return
        done = Bucket.objects.filter(member_id=member_id, version=version).update(
            operating={**known, name: entry}, version=version + 1
        )
        if done:
            return
