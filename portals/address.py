"""Where a request comes from, behind a proxy or not."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The caller's address: the last one of X-Forwarded-For that is no proxy of ours, believed only from one."""
    address: str = request.META.get("REMOTE_ADDR", "")
    if not settings.TRUSTED_PROXY or not _trusted(address):
        return address
    for part in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        hop = part.strip()
        if hop and not _trusted(hop):
            return hop[:45]
    return address


def _trusted(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
        return any(ip in ipaddress.ip_network(network, strict=False) for network in settings.TRUSTED_PROXY)
    except ValueError:
        return False
