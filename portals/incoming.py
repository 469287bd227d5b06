"""Forms that a portal posts to our pages: read once, bounded, refused with a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest
from django.http.request import UnreadablePostError
from django.utils.translation import gettext as _

from portals import php_form


class BadForm(Exception):
    """`status` and a sentence for who sent it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(frozen=True, repr=False)
class Incoming:
    """`query` and `form` as nested dicts of text (php_form)."""

    query: dict[str, Any]
    form: dict[str, Any]


def query(request: HttpRequest) -> dict[str, Any]:
    """The query string alone, {} where it is too large: for the answer to a form that can't be read."""
    try:
        return php_form.parse(request.META.get("QUERY_STRING", "").encode("latin-1", "replace"))
    except php_form.FormTooBig:
        return {}


def read(request: HttpRequest) -> Incoming:
    """The query string and the posted form. Raises BadForm (413 too large, 415 no form, 400 unreadable)."""
    most: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    too_big = BadForm(413, _("The form is too large."))
    try:
        if int(request.META.get("CONTENT_LENGTH") or 0) > most:
            raise too_big
    except ValueError:
        raise BadForm(400, _("The form can't be read.")) from None
    kind = request.content_type
    try:
        if kind in ("", "application/x-www-form-urlencoded"):
            body = request.body
        elif kind == "multipart/form-data":
            body = urlencode(
                [(name, value) for name, values in request.POST.lists() for value in values]
            ).encode()
        else:
            raise BadForm(415, _("Post a form: application/x-www-form-urlencoded."))
        if len(body) > most:
            raise too_big
        told = php_form.parse(request.META.get("QUERY_STRING", "").encode("latin-1", "replace"))
        return Incoming(told, php_form.parse(body, request.encoding or "utf-8"))
    except (RequestDataTooBig, php_form.FormTooBig):
        raise too_big from None
    except (UnreadablePostError, SuspiciousOperation, OSError):
        raise BadForm(400, _("The form can't be read.")) from None
