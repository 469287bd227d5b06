"""Numbered system checks: what starts but should not run like this, and what to do."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register


@register()
def worker_concurrency(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.WORKER_CONCURRENCY < 3:
        return [
            Error(
                f"WORKER_CONCURRENCY is {settings.WORKER_CONCURRENCY}: slow robots could take every child.",
                hint="Set WORKER_CONCURRENCY to 3 or more, so that delivery always finds a child.",
                id="b24.E001",
            )
        ]
    return []


@register(deploy=True)
def public_url_is_https(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if not settings.PUBLIC_URL.startswith("https://"):
        return [
            Warning(
                "PUBLIC_URL is not https: tokens would travel readable.",
                hint="Put TLS in front and set PUBLIC_URL=https://…",
                id="b24.W001",
            )
        ]
    return []


@register(deploy=True)
def http_portals_off(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.B24_ALLOW_HTTP:
        return [
            Warning(
                "B24_ALLOW_HTTP is on: portals on loopback addresses are spoken to without TLS.",
                hint="Unset B24_ALLOW_HTTP outside a laptop.",
                id="b24.W002",
            )
        ]
    return []
