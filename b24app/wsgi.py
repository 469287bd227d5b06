"""What gunicorn serves: `gunicorn b24app.wsgi`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

from portals.php_form import known_charset

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "b24app.settings")

_hub = get_wsgi_application()
_CHARSET = re.compile(r";\s*charset\s*=\s*(\"[^\"]*\"|[^;]*)", re.IGNORECASE)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The hub. Django reads the query string by the body's charset before any code of ours runs, and one that is
    no charset of text raises there: a call would be lost for it. So only a known one is told on."""
    kind = environ.get("CONTENT_TYPE") or ""
    found = _CHARSET.search(kind)
    if found:
        charset = known_charset(found[1].strip('" '))
        environ["CONTENT_TYPE"] = f"{kind[: found.start()]}; charset={charset}{kind[found.end() :]}"
    return _hub(environ, start_response)
