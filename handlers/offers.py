"""Tokens that a handler call brings: used only while the portal has no working one (design §2)."""

from __future__ import annotations

import structlog

from handlers.incoming import Incoming
from handlers.known import KnownPortal

log = structlog.get_logger(__name__)


def offer_tokens(portal: KnownPortal, call: Incoming) -> None:
    """Hands the call's tokens to be verified in the background; never in the portal's request."""
