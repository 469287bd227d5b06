"""The two limits of §4: the leaky bucket that counts requests and the baskets that count operating time."""

from __future__ import annotations

from sandbox.model import Install, Portal

BUCKET, DRAIN = 50.0, 2.0
ENTERPRISE_BUCKET, ENTERPRISE_DRAIN = 250.0, 5.0
BASKETS, BASKET_SECONDS, OPERATING_LIMIT = 10, 60, 480.0
EPSILON = 1e-6


def pour(portal: Portal, peer: str, now: float) -> bool:
    """One request into the portal's bucket for a source address;
    False where it would run over. A box has none."""
    if portal.edition == "box":
        return True
    size, drain = (ENTERPRISE_BUCKET, ENTERPRISE_DRAIN) if portal.enterprise else (BUCKET, DRAIN)
    level = portal.bucket_level.get(peer, 0.0)
    level = max(0.0, level - max(0.0, now - portal.bucket_at.get(peer, now)) * drain)
    portal.bucket_at[peer] = now
    if level + 1 > size + EPSILON:
        portal.bucket_level[peer] = level
        return False
    portal.bucket_level[peer] = level + 1
    return True


def spent(install: Install, method: str, now: float) -> tuple[float, float]:
    """Operating seconds of a method in the last ten minutes, and when the oldest basket falls out."""
    baskets = install.baskets.get(method, {})
    this = int(now // BASKET_SECONDS)
    for key in [key for key in baskets if int(key) <= this - BASKETS or int(key) > this]:
        del baskets[key]
    oldest = min((int(key) for key in baskets), default=this)
    return sum(baskets.values()), (oldest + BASKETS) * BASKET_SECONDS


def may_operate(portal: Portal, install: Install | None, method: str, now: float) -> bool:
    """Checked before each call, cloud only: at 480 s the method is closed to this application."""
    if portal.edition == "box" or install is None:
        return True
    return spent(install, method, now)[0] < OPERATING_LIMIT


def charge(
    portal: Portal, install: Install | None, method: str, seconds: float, now: float
) -> tuple[float, float] | None:
    """Adds operating time; gives ``(operating, operating_reset_at)``
    for the answer's time block, None on a box."""
    if portal.edition == "box":
        return None
    if install is None:
        return seconds, now + BASKETS * BASKET_SECONDS
    baskets = install.baskets.setdefault(method, {})
    key = str(int(now // BASKET_SECONDS))
    baskets[key] = baskets.get(key, 0.0) + seconds
    return spent(install, method, now)
