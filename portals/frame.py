"""Answers shown inside a portal's frame: its language, and who may frame them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation

_HOST = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?(?::[0-9]{1,5})?")


def language_of(query: dict[str, Any]) -> str:
    """The page's language by the portal's LANG: Russian where the portal speaks it, else English."""
    told = query.get("LANG", "")
    told = told.lower() if isinstance(told, str) else ""
    return "ru" if told in ("ru", "kz", "by", "ua") else "en"


def origin_of(client_endpoint: str) -> str:
    """The origin of a verified portal, '' for none."""
    parts = urlsplit(client_endpoint)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def claimed_origin(query: dict[str, Any]) -> str:
    """The origin a form says it comes from: good for the frame header of a page that tells nothing."""
    domain = query.get("DOMAIN", "")
    if not isinstance(domain, str) or not _HOST.fullmatch(domain):
        return ""
    scheme = "http" if query.get("PROTOCOL") == "0" and settings.B24_ALLOW_HTTP else "https"
    return f"{scheme}://{domain.lower()}"


def page(
    request: HttpRequest,
    sentence: str,
    *,
    title: str,
    origin: str = "",
    finish: bool = False,
    status: int = 200,
) -> HttpResponse:
    """A short page that only `origin` may frame; `finish` has it call BX24.installFinish()."""
    response = render(
        request,
        "portals/frame.html",
        {
            "title": title,
            "sentence": sentence,
            "finish": finish,
            "js_url": settings.B24_JS_URL,
            "language": translation.get_language(),
        },
        status=status,
    )
    response["Content-Security-Policy"] = f"frame-ancestors {origin or chr(39) + 'none' + chr(39)}"
    # The header above is the newer one and knows origins; X-Frame-Options knows none.
    response.xframe_options_exempt = True
    response["Cache-Control"] = "no-store"
    response["Content-Language"] = translation.get_language()
    return response
