"""What gunicorn serves: `gunicorn b24app.wsgi`."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.exception import response_for_exception
from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application

from portals.php_form import known_charset

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "b24app.settings")

_hub = get_wsgi_application()

# Once Django is set up.
from b24app.lean import called_slug  # noqa: E402
from handlers import calls_first  # noqa: E402
from handlers.views import HandlerView  # noqa: E402

_answer = HandlerView.as_view()
_CHARSET = re.compile(r";\s*charset\s*=\s*(\"[^\"]*\"|[^;]*)", re.IGNORECASE)
_FORM_MAX = 2 * 1024 * 1024


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The hub, given only what Django reads as it is meant: else a call of a portal would be lost for it."""
    if environ.get("REQUEST_METHOD") == "POST" and environ.get("PATH_INFO", "").startswith("/b24/"):
        _with_length(environ)
    _with_known_charset(environ)
    slug = called_slug(environ.get("PATH_INFO", ""))
    return _hub(environ, start_response) if slug is None else _call(environ, start_response, slug)


def _call(environ: dict[str, Any], start_response: Callable[..., Any], slug: str) -> Iterable[bytes]:
    """A handler call's answer, as Django's handler would give it, without what that does around every request:
    its signals and layers cost a fifth of all that a call costs until its row is written, and nothing of a call
    needs them (its connections are the intake's own)."""
    request = WSGIRequest(environ)
    response: Any
    calls_first.come()
    try:
        response = _answer(request, slug=slug)
    except Exception as error:
        response = response_for_exception(request, error)
    finally:
        calls_first.answered()
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return [response.content]


def _with_known_charset(environ: dict[str, Any]) -> None:
    """Django reads the query string by the body's charset before any code of ours runs, and one that is no
    charset of text raises there."""
    kind = environ.get("CONTENT_TYPE") or ""
    found = _CHARSET.search(kind)
    if found:
        charset = known_charset(found[1].strip('" '))
        environ["CONTENT_TYPE"] = f"{kind[: found.start()]}; charset={charset}{kind[found.end() :]}"


def _with_length(environ: dict[str, Any]) -> None:
    """A form in chunks tells no length (a proxy may send it on so), and Django takes that for no form. Read to
    one byte more than a form may have, so that what is larger is refused as such."""
    if environ.get("CONTENT_LENGTH") or not environ.get("wsgi.input_terminated"):
        return
    if "chunked" not in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return
    try:
        body = environ["wsgi.input"].read(_FORM_MAX + 1)
    except OSError:  # chunks that are none, or a caller that left
        body = b""
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
