"""What a portal or a token server may answer, in four kinds that callers can act on (contract §2, §4, §7).

    Passes          the same request later: a limit, a fault of the server, an HTML page
      UnknownAnswer   and it may have taken effect already
      TokenRefused    and the access token must be renewed first; the client does that itself, once
    PortalTrouble   the whole portal takes nothing now; whatever waits keeps waiting
    CommandRefused  this command's own error, final as it stands

An error is classified by its code whatever the status, by its text only where the contract says so.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from portals.scrub import scrub

_TEXT = 500


def storable(text: str) -> str:
    """Without what no database stores: NUL, half characters (JSON can spell both)."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


class RestError(Exception):
    """`code` as the portal said (or our own word), `text` scrubbed, 500 characters at most, HTTP `status`."""

    def __init__(self, code: str = "", text: str = "", status: int | None = None) -> None:
        # For what the same request waits where neither it nor who asks is to blame: a trouble, or a word of `_WAITS`.
        self.waits_for = ""
        self.code = storable(code[:_TEXT])
        self.text = scrub(storable(text[: 4 * _TEXT]))[:_TEXT]
        self.status = status
        super().__init__(self.code, self.text, status)

    def __str__(self) -> str:
        words = [part for part in (self.code, self.text) if part]
        if self.status is not None:
            words.append(f"(HTTP {self.status})")
        return " ".join(words) or type(self).__name__


class Passes(RestError):
    """Goes by itself: the same request again after `retry_after` seconds."""

    def __init__(
        self, code: str = "", text: str = "", status: int | None = None, retry_after: float = 5.0
    ) -> None:
        super().__init__(code, text, status)
        self.retry_after = retry_after
        self.waits_for = _WAITS.get(code.lower(), "")


class UnknownAnswer(Passes):
    """The request may have taken effect: no answer or half of one after sending, or a fault inside."""


class TokenRefused(Passes):
    """The access token is no longer good; the refresh token may be."""


class PortalTrouble(RestError):
    """The whole portal takes nothing: `trouble` is a value of `Portal.Trouble`."""

    def __init__(self, trouble: str, code: str = "", text: str = "", status: int | None = None) -> None:
        super().__init__(code, text, status)
        self.trouble = self.waits_for = trouble


class CommandRefused(RestError):
    """This command, as it stands, is refused for good. `meaning` says why where the code alone does not."""

    def __init__(self, code: str = "", text: str = "", status: int | None = None, meaning: str = "") -> None:
        super().__init__(code, text, status)
        self.meaning = meaning


NOT_IN_PLAN = "not_in_plan"
NO_RIGHT = "no_right"
NEEDS_APPLICATION = "needs_application_context"

BUCKET, TOKEN_SERVER = "bucket", "token_server"
# What passes and is nobody's doing: all who ask at once share the limit, and the renewal of the token.
_WAITS = {"bucket": BUCKET, "query_limit_exceeded": BUCKET, "refresh_busy": TOKEN_SERVER}
# Seconds after which the same request is worth sending again.
_PASSES: dict[str, float] = {
    "query_limit_exceeded": 1.0,
    "operation_time_limit": 60.0,
    "error_oauth": 30.0,
    "connection_error": 30.0,
    "temporarily_unavailable": 30.0,
}
_UNKNOWN = {"internal_server_error": 10.0, "error_unexpected_answer": 10.0}
_TOKEN = {"expired_token", "invalid_token"}
# What is stored of an error that passes and has no code of these tables.
NOT_NOW = "not_now"
# Codes of errors that pass, in small letters: of the tables above, and our own words.
PASSING = frozenset(
    {
        *_PASSES,
        *_UNKNOWN,
        *_TOKEN,
        NOT_NOW,
        "broken_answer",
        "bucket",
        "dropped",
        "foreign_answer",
        "half_answer",
        "no_json",
        "not_reached",
        "not_verified",
        "redirect",
        "refresh_busy",
        "request_failed",
        "timeout",
        TOKEN_SERVER,
        "too_big",
    }
)
# Codes that are the portal's state, as values of Portal.Trouble.
_TROUBLES: dict[str, str] = {
    "no_auth_found": "token_lost",
    "authorization_error": "user_dismissed",
    "user_access_error": "no_rights",
    "invalid_credentials": "no_rights",
    "overload_limit": "limited",
    "portal_deleted": "portal_gone",
    "application_not_found": "application_gone",
    "not_installed": "application_gone",
    "payment_required": "unpaid",
    "invalid_request": "unreachable",
    "invalid_grant": "token_lost",
    "invalid_client": "wrong_client",
    "wrong_client": "wrong_client",
    "unauthorized_client": "wrong_client",
    "invalid_scope": "scope",
    "insufficient_scope": "scope",
}
# Which of them a single method may mean; the methods that the hub calls by itself.
_OF_THE_METHOD = {"insufficient_scope", "invalid_credentials"}
_OURS = ("batch", "bizproc.", "event.", "app.info", "profile", "server.time")
# Texts of ACCESS_DENIED; they may carry a prefix, so they are looked for inside.
_PLAN_LAPSED = "available only on commercial plans"
_APPLICATION_CONTEXT = "application context required"
# The methods that carry results: the only ones whose errors are bare numbers with a meaning (§7, at once).
_CARRY_RESULTS = {"bizproc.event.send", "bizproc.activity.log"}
_HTML = re.compile(r"<[^>]{1,200}>")


def classify(code: str, text: str = "", status: int | None = None, method: str = "") -> RestError:
    """The error that stands for an answer with `error: code`, by method where its meaning depends on it."""
    word = code.strip().lower()
    if word in _TOKEN:
        return TokenRefused(code, text, status, 1.0)
    if word in _PASSES:
        return Passes(code, text, status, _PASSES[word])
    if word in _UNKNOWN:
        return UnknownAnswer(code, text, status, _UNKNOWN[word])
    if word == "access_denied":
        return _access_denied(code, text, status)
    if word in _OF_THE_METHOD and method and not method.startswith(_OURS):
        # A robot's own call outside the scope or the owner's rights says nothing of the portal.
        return CommandRefused(code, text, status, NO_RIGHT)
    if word in _TROUBLES:
        return PortalTrouble(_TROUBLES[word], code, text, status)
    if word == "error_method_not_found" and method in _CARRY_RESULTS:
        # Where there is no automation nothing can be sent, and nothing is wrong with what waits (§4, §5).
        return PortalTrouble("no_robots", code, text, status)
    if word == "error_method_not_found":
        return CommandRefused(code, text, status, NOT_IN_PLAN)
    if method in _CARRY_RESULTS and word == "402":
        return PortalTrouble("licence", code, text, status)
    if method in _CARRY_RESULTS and word == "423":
        return Passes(code, text, status, 5.0)
    return _by_status(code, text, status)


def _access_denied(code: str, text: str, status: int | None) -> RestError:
    lower = text.lower()
    if _PLAN_LAPSED in lower:
        return PortalTrouble("plan_lapsed", code, text, status)
    if _APPLICATION_CONTEXT in lower:
        return CommandRefused(code, text, status, NEEDS_APPLICATION)
    return CommandRefused(code, text, status, NO_RIGHT)


def _by_status(code: str, text: str, status: int | None) -> RestError:
    """A code of no table, or none: the status is all there is."""
    if status is not None:
        if status == 429:
            return Passes(code, text, status, 60.0)
        if status == 503:
            return Passes(code, text, status, 5.0)
        if status >= 500:
            return UnknownAnswer(code, text, status, 10.0)
        if status == 401:
            return Passes(code, text, status, 60.0)
    return CommandRefused(code, text, status)


def error_of(answer: Any) -> tuple[str, str] | None:
    """(code, text) where a decoded answer says `error` (a number, an empty text too); else None."""
    if not isinstance(answer, dict) or "error" not in answer:
        return None
    code = answer["error"]
    if isinstance(code, dict):
        # Newer answers nest them: {"error": {"code": …, "message": …}}.
        return _word(code.get("code")), _word(code.get("message"))
    return _word(code), _word(answer.get("error_description"))


def _word(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    return value if isinstance(value, str) else as_text(value)


def as_text(value: Any) -> str:
    """What a portal said where a word was expected; '' where it is nested beyond reading."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return ""


def read(status: int, body: bytes, method: str = "") -> Any:
    """The decoded JSON of an answer without `error`. Raises the error it stands for otherwise.

    Redirects are never followed (§1: the domain moved); an HTML page or half a document is no answer.
    """
    if 300 <= status < 400:
        raise PortalTrouble("moved", "redirect", "The portal answers with a redirect.", status)
    try:
        answer = json.loads(body, parse_constant=_no_number, parse_float=_float, parse_int=_int)
    except (ValueError, RecursionError):
        raise _no_json(status, body) from None
    error = error_of(answer)
    if error is not None:
        raise classify(*error, status, method)
    if not 200 <= status < 300:
        raise classify("", "", status, method)
    return answer


def _no_number(name: str) -> None:
    """NaN and Infinity are no JSON, and no database of ours stores them: nothing was said."""


def _float(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _int(text: str) -> int | None:
    """None for what is no number that could be counted with."""
    return int(text) if len(text) <= 30 else None


def _no_json(status: int, body: bytes) -> RestError:
    shown = " ".join(_HTML.sub(" ", body[:2000].decode("utf-8", "replace")).split())[:200]
    text = f"Not JSON: {shown}" if shown else "An empty answer."
    if status in (200, 500, 502, 504):
        # Cut off or broken on the way back: what was asked may have been done.
        return UnknownAnswer("no_json", text, status, 10.0)
    return Passes("no_json", text, status, 60.0 if status < 500 else 10.0)
