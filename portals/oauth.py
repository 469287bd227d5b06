"""The token servers' client (contract §2): exchange a code, refresh a token.

`client_secret` goes to an allowed server and nowhere else; what a form names only chooses among those.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from portals import errors, kept_answer, transport
from portals.errors import CommandRefused, Passes, PortalTrouble, TokenRefused, UnknownAnswer
from portals.failpoint import failpoint
from portals.models import Application

SECONDS = 15.0
# An access token is taken for expired this much earlier, so that it outlives the request it goes with.
EARLIER = 30
# An access token lives an hour; what claims to live longer than this is renewed all the same.
_LONGEST_LIFE = 30 * 86_400
_NO_ADDRESS = re.compile(r"[^a-zA-Z0-9.:/_-]")


@dataclass(frozen=True, repr=False)
class Tokens:
    """A token server's answer. `expires_in` in seconds; `client_endpoint` ends with a slash, '' where
    unusable.
    """

    access_token: str
    refresh_token: str
    expires_in: int
    client_endpoint: str
    member_id: str
    user_id: int | None
    scope: str
    status: str
    server: str

    @property
    def domain(self) -> str:
        """The portal's address without scheme and `/rest/`, to be shown; never the answer's own `domain`."""
        parts = urlsplit(self.client_endpoint)
        return (parts.netloc + parts.path.rstrip("/").removesuffix("/rest"))[:255]


def choose(server_endpoint: str, stored: str = "") -> str:
    """The allowed server that `server_endpoint` (from a form) names by scheme, host and port; else the stored
    one while it is still allowed; else the first."""
    allowed: list[str] = settings.B24_OAUTH_URLS
    claimed = _origin(server_endpoint)
    same = [server for server in allowed if claimed is not None and _origin(server) == claimed]
    if len(same) > 1:
        # Servers that share an origin (a sandbox serves both by path) are told apart by path.
        path = urlsplit(server_endpoint).path
        same = [server for server in same if path.startswith(urlsplit(server).path)] or same
    if same:
        return same[0]
    return stored if stored in allowed else allowed[0]


def unknown(server_endpoint: str) -> str:
    """The server that a form names, where it is none of the allowed ones: bounded and harmless; '' else."""
    if not server_endpoint:
        return ""
    origin, parts = _origin(server_endpoint), None
    if origin is not None:
        parts = urlsplit(server_endpoint if "//" in server_endpoint else f"https://{server_endpoint}")
        for server in settings.B24_OAUTH_URLS:
            if _origin(server) == origin and parts.path.startswith(urlsplit(server).path):
                return ""
    named = f"{parts.netloc}{parts.path.rstrip('/').removesuffix('/rest')}" if parts else server_endpoint
    return _NO_ADDRESS.sub("", named)[:100]


def _origin(url: str) -> tuple[str, str, int] | None:
    """(scheme, host, port) of an http(s) URL; None for anything else."""
    try:
        parts = urlsplit(url if "//" in url else f"https://{url}")
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    except (ValueError, KeyError):
        return None
    if not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port


def exchange_code(application: Application, server: str, code: str, timeout: float = SECONDS) -> Tokens:
    """Tokens for an authorisation code (it lives 30 s). Raises the error family as `refresh` does."""
    return _token(application, server, {"grant_type": "authorization_code", "code": code}, timeout)


def refresh(application: Application, server: str, refresh_token: str, timeout: float = SECONDS) -> Tokens:
    """New tokens; the given one is spent by it. Whoever has committed them calls `kept_answer.forget`.

    Raises PortalTrouble (token_lost where the token is spent or unknown, unpaid, application_gone,
    wrong_client, scope), CommandRefused for another refusal, Passes where the server is down or answers a
    page.
    """
    kept = kept_answer.find(refresh_token)
    if kept is not None:
        # Asked before, and its answer never committed: asking again would be a second use (§2).
        return Tokens(**kept)
    tokens = _token(
        application, server, {"grant_type": "refresh_token", "refresh_token": refresh_token}, timeout
    )
    failpoint("oauth.answered")
    kept_answer.keep(refresh_token, asdict(tokens))
    failpoint("oauth.kept")
    return tokens


def _token(application: Application, server: str, grant: dict[str, str], timeout: float) -> Tokens:
    form = {"client_id": application.client_id, "client_secret": application.client_secret, **grant}
    answer = transport.post(f"{server}/oauth/token/", form=form, timeout=timeout)
    try:
        data = errors.read(answer.status, answer.body)
    except TokenRefused as error:
        raise PortalTrouble("token_lost", error.code, error.text, error.status) from None
    except PortalTrouble as error:
        raise _not_moved(error) from None
    return _read(data, server)


def _not_moved(error: PortalTrouble) -> errors.RestError:
    """What the general table says of portals, said of a token server."""
    if error.trouble == "moved":
        return Passes("redirect", "The token server answers with a redirect.", error.status, 60.0)
    if error.code.lower() == "invalid_request":
        return CommandRefused(error.code, error.text, error.status)
    return error


def _read(data: Any, server: str) -> Tokens:
    """The answer, checked. Raises UnknownAnswer where a part we can't do without is missing."""
    if not isinstance(data, dict):
        data = {}
    texts = {
        name: data[name]
        for name in ("access_token", "refresh_token", "member_id")
        if _is_text(data.get(name))
    }
    if len(texts) < 3:
        raise UnknownAnswer("half_answer", "The token server's answer is incomplete.")
    return Tokens(
        **texts,
        expires_in=min(_number(data.get("expires_in")) or 3600, _LONGEST_LIFE),
        client_endpoint=_endpoint(data.get("client_endpoint")),
        user_id=_number(data.get("user_id")),
        scope=scopes(data.get("scope")),
        status=scopes(data.get("status"))[:8],
        server=server,
    )


def _is_text(value: Any) -> bool:
    """A word of printable ASCII: what else a token server says, no database and no form may be able to hold."""
    return isinstance(value, str) and 0 < len(value) <= 2000 and value.isascii() and value.isprintable()


def _number(value: Any) -> int | None:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number < 2**62 else None


def _endpoint(value: Any) -> str:
    if not _is_text(value) or len(value) > 400:
        return ""
    try:
        transport.check_url(value)
    except PortalTrouble:
        return ""
    return value if value.endswith("/") else value + "/"


def scopes(value: Any) -> str:
    """A scope list, told by commas, spaces or as a list, as `a,b`."""
    parts = value if isinstance(value, list) else str(value or "").replace(",", " ").split()
    return ",".join(word for word in map(str, parts) if _is_text(word))[:1000]
