"""The short way in: a handler call passes none of the middleware that people's pages need.

No session, no authentication, no locale, no host check: the view reads the form, verifies the token it
carries and inserts one row (design §2). Measured: with them, half as many calls a second. Where gunicorn serves,
b24app/wsgi.py answers calls before Django's own handler, by the same view.

Everything else together holds at most half of a process's threads (design §2 rule 9): pages that wait for a
database that hangs must leave threads to the calls, which go to the spool.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _

_HANDLER = re.compile(r"^/b24/([-a-zA-Z0-9_]+)/handler/?$")
# Asks nobody and is over at once; whoever watches the process must hear that it lives.
_ALIVE = "/healthz"
# Seconds for which a thread keeps the interpreter from another that wants it. Calls ask for it all the time and give
# it back by themselves soon: an early switch only costs them (5 % of their CPU at 1 ms). A page beside them does not,
# and a call needs the interpreter several times before its row is written.
_SWITCH, _SWITCH_BESIDE_PAGES = 0.005, 0.0002


def called_slug(path: str) -> str | None:
    """The application's slug where this is the address of handler calls."""
    match = _HANDLER.match(path)
    return match[1] if match else None


class LeanPath:
    """First middleware: answers `/b24/APP/handler/` itself, hands everything else on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        from handlers.views import HandlerView

        self.get_response = get_response
        self.answer = HandlerView.as_view()
        self.places = _Places(max(1, settings.WEB_THREADS // 2))

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        slug = called_slug(request.path_info)
        if slug is None:
            return self.get_response(request) if request.path_info == _ALIVE else self._in_a_place(request)
        return self.answer(request, slug=slug)

    def _in_a_place(self, request: HttpRequest) -> HttpResponseBase:
        """The answer, or 503 where other pages hold all the threads they may. A place is held until the
        answer is sent: a long download holds its thread that long."""
        if not self.places.take():
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


class _Places:
    """The threads that may serve pages; while one does, threads are switched sooner."""

    def __init__(self, most: int) -> None:
        self._most, self._taken = most, 0
        self._lock = threading.Lock()

    def take(self) -> bool:
        with self._lock:
            if self._taken == self._most:
                return False
            self._taken += 1
            if self._taken == 1:
                sys.setswitchinterval(_SWITCH_BESIDE_PAGES)
        return True

    def give(self) -> None:
        with self._lock:
            self._taken -= 1
            if not self._taken:
                sys.setswitchinterval(_SWITCH)


class _Place:
    """One thread's right to serve a page, given back once."""

    def __init__(self, places: _Places) -> None:
        self._places: _Places | None = places

    def close(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places.give()
