"""An application token that is told, beside those that a portal has (contract §3)."""

from __future__ import annotations

import hmac

from portals.crypto import opened
from portals.models import Portal


def is_present(portal: Portal, told: str) -> bool:
    """Whether it is the portal's present one."""
    return _same(portal, "application_token", told)


def is_another(portal: Portal, told: str) -> bool:
    """Whether one is told that this portal neither has nor had a moment ago."""
    return bool(told) and not (is_present(portal, told) or _same(portal, "former_application_token", told))


def _same(portal: Portal, name: str, told: str) -> bool:
    """Compared in constant time; an empty one, or one that no key opens, equals nothing."""
    stored = opened(portal, name)
    return bool(stored) and hmac.compare_digest(stored.encode(), told.encode("utf-8", "replace"))
