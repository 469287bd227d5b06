"""The hub's own WSGI door, as a server calls it: what Django's test client passes by is passed here too."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


def knock(
    path: str, method: str = "GET", body: bytes = b"", kind: str = "", query: str = "", **headers: str
) -> Answer:
    """One request; an exception out of the application is the 500 that a server makes of it."""
    from b24app.wsgi import application

    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "RAW_URI": quote(path) + "?" + query,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.7",
        "HTTP_HOST": "127.0.0.1",
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **headers,
    }
    told: list[str] = []
    try:
        parts = application(environ, lambda status, headers, error=None: told.append(status))
        data = b"".join(parts)
        if hasattr(parts, "close"):
            parts.close()
    except Exception as error:
        return Answer(500, f"{type(error).__name__}: {error}".encode())
    return Answer(int(told[0].split()[0]), data)
