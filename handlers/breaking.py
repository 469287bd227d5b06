"""Codes and addresses in narrow columns: they break after their own marks; within a word only where it is
longer than any column."""

from __future__ import annotations

import re

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

_PIECES = re.compile(r"[^_./:|-]{0,32}[_./:|-]+|[^_./:|-]{1,32}")


def breakable(text: str) -> SafeString:
    return format_html_join("", "{}<wbr>", ((piece,) for piece in _PIECES.findall(text)))
