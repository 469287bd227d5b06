"""Chance that can be given again: the same seed and words draw the same number."""

from __future__ import annotations

import hashlib


def draw(*words: object) -> float:
    """A number in [0, 1) that depends on the words alone."""
    digest = hashlib.sha256(":".join(str(word) for word in words).encode()).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)
