"""The short way in: a handler call passes none of the middleware that people's pages need.

No session, no authentication, no locale, no host check: the view reads the form, verifies the token it
carries and inserts one row (design §2). Measured: with them, half as many calls a second.

Everything else together holds at most half of a process's threads (design §2 rule 9): pages that wait for a
database that hangs must leave threads to the calls, which go to the spool.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _

_HANDLER = re.compile(r"^/b24/([-a-zA-Z0-9_]+)/handler/?$")
# Asks nobody and is over at once; whoever watches the process must hear that it lives.
_ALIVE = "/healthz"


class LeanPath:
    """First middleware: answers `/b24/APP/handler/` itself, hands everything else on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        from handlers.views import HandlerView

        self.get_response = get_response
        self.handler = HandlerView.as_view()
        self.places = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 2))

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        match = _HANDLER.match(request.path_info)
        if match is None:
            return self.get_response(request) if request.path_info == _ALIVE else self._in_a_place(request)
        response = self.handler(request, slug=match[1])
        if hasattr(response, "render") and not getattr(response, "is_rendered", True):
            response.render()
        return response

    def _in_a_place(self, request: HttpRequest) -> HttpResponseBase:
        """The answer, or 503 where other pages hold all the threads they may. A place is held until the
        answer is sent: a long download holds its thread that long."""
        if not self.places.acquire(blocking=False):
            busy = HttpResponse(
                _("The hub is busy. Try again in a few seconds.") + "\n",
                status=503,
                content_type="text/plain; charset=utf-8",
            )
            busy["Retry-After"] = "2"
            return busy
        place = _Place(self.places)
        try:
            response = self.get_response(request)
        except BaseException:
            place.close()
            raise
        # What Django itself calls when the answer is sent (HttpResponseBase.close).
        cast("Any", response)._resource_closers.append(place.close)
        return response


class _Place:
    """One thread's right to serve a page, given back once."""

    def __init__(self, places: threading.BoundedSemaphore) -> None:
        self._places: threading.BoundedSemaphore | None = places

    def close(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places.release()
