"""An application token that is told, beside those that a portal has (contract §3)."""

from __future__ import annotations

import hmac

from portals.crypto import opened
from portals.models import Portal


def same(stored: str, told: str) -> bool:
    """Whether two tokens are equal, in constant time; an empty one equals nothing."""
    return bool(stored) and hmac.compare_digest(stored.encode(), told.encode("utf-8", "replace"))


def is_another(portal: Portal, told: str) -> bool:
    """Whether one is told that this portal neither has nor had a moment ago."""
    return bool(told) and not (
        same(opened(portal, "application_token"), told)
        or same(opened(portal, "former_application_token"), told)
    )
