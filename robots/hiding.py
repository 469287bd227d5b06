"""A portal's settings taken out of what robot code says: a robot gets them as they are, and nobody else reads them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from html import escape
from urllib.parse import quote, quote_plus

SHORTEST = 3  # a shorter setting would tear holes into every text
_SHORTEST_BASE64 = 4
_HIDDEN = "•••"
# More of a text is never looked at: what is stored of it is a few thousand characters.
_LOOKED_AT = 20_000
_BASE64 = "[A-Za-z0-9+/_-]"

# How a value is written within other texts; each of its cases in each of these.
_CASES: tuple[Callable[[str], str], ...] = (str, str.upper, str.lower)
_WRITTEN: tuple[Callable[[str], str], ...] = (
    str,
    quote,
    lambda value: quote(value, safe=""),
    quote_plus,
    lambda value: repr(value)[1:-1],
    lambda value: repr(value.encode())[2:-1],
    lambda value: json.dumps(value)[1:-1],
    escape,
    lambda value: value.encode().hex(),
)


class Scrubber:
    """Text without the portal's settings in any spelling they usually get, and without what no column stores."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._values = [
            value for value in settings.values() if isinstance(value, str) and len(value) >= SHORTEST
        ]

    def __call__(self, text: str) -> str:
        for spelling, base64_of_it in self._spellings:
            if spelling not in text:
                continue
            if base64_of_it:
                text = re.sub(f"{_BASE64}?{re.escape(spelling)}{_BASE64}?={{0,2}}", _HIDDEN, text)
            else:
                text = text.replace(spelling, _HIDDEN)
        return text.encode("utf-8", "replace").decode().replace("\x00", "")

    def cut(self, text: str, most: int) -> str:
        """At most `most` characters of it, hidden first: a cut through a setting would leave its beginning."""
        hidden = self(text[:_LOOKED_AT])
        if len(text) > _LOOKED_AT and self._spellings:
            hidden = hidden[: max(0, len(hidden) - len(self._spellings[0][0]))]
        return hidden[:most]

    @cached_property
    def _spellings(self) -> list[tuple[str, bool]]:
        """(spelling, whether as base64), the longest first: a setting may be part of another. Made with the first
        text: many calls say nothing."""
        found: dict[str, bool] = {}
        for value in self._values:
            value = value.encode("utf-8", "replace").decode()
            found.update(dict.fromkeys(_within_base64(value), True))
            for case in _CASES:
                for write in _WRITTEN:
                    spelling = write(case(value))
                    found.update(dict.fromkeys((spelling, _lower_escapes(spelling), spelling.upper()), False))
        return sorted(found.items(), key=lambda item: len(item[0]), reverse=True)


def _lower_escapes(spelling: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), spelling)


def _within_base64(value: str) -> Iterator[str]:
    """What of the value's characters alone decides, at each of the three places in a longer text's base64, as in
    the `user:value` of HTTP Basic; the characters beside it hold some of its bits and others'."""
    raw = value.encode()
    for before in range(3):
        coded = base64.b64encode(b"\x00" * before + raw).decode()
        core = coded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        if len(core) >= _SHORTEST_BASE64:
            yield core
            yield core.translate(str.maketrans("+/", "-_"))
