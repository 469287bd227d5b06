"""Takes secrets out of texts that go to logs, errors and pages."""

from __future__ import annotations

import re

# The platform's tokens by the names they travel under, and the value that follows.
_TOKENS = re.compile(
    r"(?i)((?:access_token|refresh_token|application_token|client_secret|event_token|auth_id|refresh_id|auth)"
    r"[\"']?\]?\s*[=:]\s*[\"']?)[^\s&\"',;)}\]]{6,}"
)
# A shorter value is no secret, and taking it out would eat ordinary words.
_SECRET_LENGTH = 6


def scrub(text: str, *secrets: str) -> str:
    """`text` without the values of known token names, and without the given secret values wherever they
    stand.
    """
    for secret in secrets:
        if len(secret) >= _SECRET_LENGTH:
            text = text.replace(secret, "[hidden]")
    return _TOKENS.sub(r"\1[hidden]", text)
