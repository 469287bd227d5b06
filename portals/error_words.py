"""The REST client's own sentences in the reader's language: errors are stored in English, as they were raised."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from portals.errors import RestError

# As they are raised in this room (and kept by `handlers.offers`); %s is any text.
_SENTENCES = [
    (re.compile(re.escape(text).replace("%s", r"(.+)")), text)
    for text in (
        gettext_noop("The connection was dropped before the answer was whole."),
        gettext_noop("No answer within the time allowed."),
        gettext_noop("No connection within the time allowed."),
        gettext_noop("No connection could be made."),
        gettext_noop("The TLS certificate was not accepted."),
        gettext_noop("The answer broke off (%s)."),
        gettext_noop("The answer is larger than %s bytes."),
        gettext_noop("The answer has no result."),
        gettext_noop("The answer to the batch is incomplete."),
        gettext_noop("The portal did not get to this command."),
        gettext_noop("The portal's request limit is used up for now."),
        gettext_noop("The method has used its share of time."),
        gettext_noop("The request failed (%s)."),
        gettext_noop("The portal answers with a redirect."),
        gettext_noop("The portal did not say whose token it is."),
        gettext_noop("The token server answers with a redirect."),
        gettext_noop("The token server answered for another portal."),
        gettext_noop("The token server has not answered yet."),
        gettext_noop("The token server did not answer a moment ago."),
        gettext_noop("The token server's answer is incomplete."),
        gettext_noop("Another process is renewing the token."),
        gettext_noop("Other installations are being verified."),
        gettext_noop("The same form is being verified."),
        gettext_noop("A call brought a token."),
        gettext_noop(
            "A stored secret can't be read with any key of ENCRYPTION_KEYS. Add the key that encrypted it back."
        ),
        gettext_noop("An empty answer."),
        gettext_noop("Not JSON: %s"),
    )
]
_HTTP = re.compile(r"\s*\(HTTP [0-9]+\)$")


def beside(code: str, stored: str) -> str:
    """What the text of an error (`str(error)`, or its text alone) says beside its code."""
    said, http = _parts(code, stored)
    return f"{_ours(said) or said}{http}".strip()


def told(error: RestError) -> str:
    """An error in one line: one of our own sentences without its word, else as the portal said it."""
    said, http = _parts(error.code, str(error))
    ours = _ours(said)
    return f"{ours}{http}" if ours else str(error)


def in_readers_words(stored: str) -> str:
    """An error as `str(error)` stored it: one of our own sentences without its word, else as it is."""
    for code in ("", stored.partition(" ")[0]):
        said, http = _parts(code, stored)
        if ours := _ours(said):
            return f"{ours}{http}"
    return stored


def _parts(code: str, stored: str) -> tuple[str, str]:
    said = stored.removeprefix(code).strip()
    found = _HTTP.search(said)
    return (said[: found.start()], found[0]) if found else (said, "")


def _ours(said: str) -> str:
    """Our own sentence in the reader's language; '' where a portal said it."""
    for pattern, sentence in _SENTENCES:
        if found := pattern.fullmatch(said):
            return _(sentence).replace("%s", "{}").format(*found.groups())
    return ""
