"""Codes and addresses in narrow columns: they break after their own marks, never within a word."""

from __future__ import annotations

import re

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

_PIECES = re.compile(r"[^_./:|-]*[_./:|-]+|[^_./:|-]+")


def breakable(text: str) -> SafeString:
    return format_html_join("", "{}<wbr>", ((piece,) for piece in _PIECES.findall(text)))
