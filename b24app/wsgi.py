"""What gunicorn serves: `gunicorn b24app.wsgi`."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

from portals.php_form import known_charset

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "b24app.settings")

_hub = get_wsgi_application()
_CHARSET = re.compile(r";\s*charset\s*=\s*(\"[^\"]*\"|[^;]*)", re.IGNORECASE)
_FORM_MAX = 2 * 1024 * 1024


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The hub, given only what Django reads as it is meant: else a call of a portal would be lost for it."""
    if environ.get("REQUEST_METHOD") == "POST" and environ.get("PATH_INFO", "").startswith("/b24/"):
        _with_length(environ)
    _with_known_charset(environ)
    return _hub(environ, start_response)


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
