"""Takes secrets out of texts that go to logs, errors and pages."""

from __future__ import annotations

import re

# The platform's tokens by the names they travel under, and the value that follows.
_TOKENS = re.compile(
    r"(?i)((?:access_token|refresh_token|application_token|client_secret|event_token|auth_id|refresh_id|auth)"
    r"[\"']?\]?\s*[=:]\s*[\"']?)[^\s&\"',;)}\]]{6,}"
)
# A portal may repeat a token without its name: whatever has the shape of one. An event token, or a word so long
# that it is no word (an access token has about 70 characters, a member_id 32).
_SHAPES = re.compile(r"(?<![\w.-])[\w.-]{1,200}\|[\w.-]{1,200}\|[\w.-]{1,200}|\b[0-9a-zA-Z]{48,}\b")
# A shorter value is no secret, and taking it out would eat ordinary words.
_SECRET_LENGTH = 6


def scrub(text: str, *secrets: str) -> str:
    """`text` without the values of known token names, what has a token's shape, and the given secret values
    wherever they stand.
    """
    for secret in secrets:
        if len(secret) >= _SECRET_LENGTH:
            text = text.replace(secret, "[hidden]")
    return _SHAPES.sub("[hidden]", _TOKENS.sub(r"\1[hidden]", text))
