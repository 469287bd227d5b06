"""A text that is a string or `{lang: string}` (contract §5), as one string for whoever reads."""

from __future__ import annotations

from typing import Any

from django.utils.translation import get_language


def in_language(text: Any, language: str = "") -> str:
    """The text in `language` (default: the reader's), else as the portal falls back: en, `*`, then any."""
    if not isinstance(text, dict):
        return str(text or "")
    wanted = language or (get_language() or "en")
    for key in (wanted, wanted.split("-")[0], "en", "*"):
        if text.get(key):
            return str(text[key])
    return next((str(value) for value in text.values() if value), "")
