"""Who may read what only operators should: somebody on this machine, staff, or a bearer of METRICS_TOKEN."""

from __future__ import annotations

import hmac
import ipaddress
from functools import lru_cache

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest

from b24app.env import is_loopback


def is_operator(request: HttpRequest) -> bool:
    """Cheapest question first; staff last, since it is the one that asks the database."""
    return _is_local(request) or _bears_token(request) or _is_staff(request)


def _is_local(request: HttpRequest) -> bool:
    """Asked from this machine for this machine.

    A proxy beside us makes every visitor's address a loopback one, so what a proxy may have forwarded (by its
    headers, its address or the host that was asked for) is not local.
    """
    address = request.META.get("REMOTE_ADDR", "")
    forwarded = any(request.META.get(name) for name in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA"))
    if forwarded or not address or not is_loopback(address) or _is_proxy(address):
        return False
    host = request.META.get("HTTP_HOST", "").rsplit("@", 1)[-1]
    name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name)


def _is_proxy(address: str) -> bool:
    try:
        return any(
            ipaddress.ip_address(address) in network for network in _proxies(tuple(settings.TRUSTED_PROXY))
        )
    except ValueError:
        return False


@lru_cache(maxsize=4)
def _proxies(values: tuple[str, ...]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(value, strict=False) for value in values]


def _bears_token(request: HttpRequest) -> bool:
    kind, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return (
        bool(settings.METRICS_TOKEN)
        and kind.lower() == "bearer"
        and hmac.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())
    )


def _is_staff(request: HttpRequest) -> bool:
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return False
    try:
        user = request.user
        return bool(user.is_active and getattr(user, "is_staff", False))
    except DatabaseError:
        return False  # nobody can be known now
