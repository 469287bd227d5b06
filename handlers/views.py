"""The door Bitrix24 knocks at: `/b24/APP/handler/` (contract §6, design §2)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from rest_framework.views import APIView

from handlers import incoming, intake, intake_db, refusals
from handlers.accept import Refused
from handlers.spool import SpoolFull
from portals.address import client_address
from portals.php_form import FormTooBig, parse

FORM_MAX = 2 * 1024 * 1024
_FORM = "application/x-www-form-urlencoded"
# What is read of a body of another type, to tell which portal it names.
_GLIMPSE = 64 * 1024


class HandlerView(APIView):
    """Parse, verify, one insert, 200. Nothing else happens in the portal's request.

    Of DRF only the dispatch is used: no negotiation, authentication, permission or renderer, and the request is
    Django's own, since each of them costs as much as the insert.
    """

    schema = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            return _refusal(405, "method_wrong", "Send POST: Bitrix24 calls robots by POST only.")
        return self.post(request, kwargs["slug"])

    def post(self, request: HttpRequest, slug: str) -> HttpResponseBase:
        address = client_address(request)
        try:
            call = _read(request, slug)
        except _Unusable as error:
            refusals.note(refusals.claimed(slug, error.form), error.code, str(error), address)
            return _refusal(error.status, error.code, str(error))
        try:
            intake.take(call, address)
        except Refused as error:
            return _refusal(error.status, error.reason, str(error))
        except SpoolFull:
            answer = _refusal(503, "spool_full", "The hub can't store the call now.")
            answer["Retry-After"] = "30"
            return answer
        # With a length the answer is one write; without, gunicorn sends it in chunks, by two.
        return HttpResponse(b"", content_type="text/plain", headers={"Content-Length": "0"})


class _Unusable(Exception):
    """No call; `form` is what could be read of it, for the log of refused calls."""

    def __init__(self, status: int, code: str, sentence: str, form: dict[str, Any] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.form = form


def _read(request: HttpRequest, slug: str) -> incoming.Incoming:
    received_at = intake_db.now()
    if request.content_type not in (_FORM, ""):
        seen = refusals.glimpse(request.read(_GLIMPSE))
        raise _Unusable(415, "type_wrong", f"Send the form as {_FORM}.", seen)
    if _declared_length(request) > FORM_MAX:
        raise _Unusable(413, "form_too_big", f"The form is larger than {FORM_MAX} bytes.")
    body = request.read(FORM_MAX + 1)
    if len(body) > FORM_MAX:
        sentence = f"The form is larger than {FORM_MAX} bytes."
        raise _Unusable(413, "form_too_big", sentence, refusals.glimpse(body))
    form = None
    try:
        form = parse(body, (request.content_params or {}).get("charset", "utf-8"))
        return incoming.read(slug, form, _hint(request), received_at)
    except FormTooBig as error:
        raise _Unusable(413, "form_too_big", str(error), refusals.glimpse(body)) from None
    except incoming.Unreadable as error:
        raise _Unusable(400, "form_unreadable", str(error), form) from None


def _hint(request: HttpRequest) -> str | None:
    """`v` of the address; as we register it (`?v=7`) it needs no reading of a query."""
    query: str = request.META.get("QUERY_STRING", "")
    return query[2:] if query[:2] == "v=" and query[2:].isdecimal() else request.GET.get("v")


def _declared_length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise _Unusable(400, "form_unreadable", "Content-Length is no number.") from None


def _refusal(status: int, code: str, sentence: str) -> HttpResponse:
    return JsonResponse({"error": code, "error_description": sentence}, status=status)
