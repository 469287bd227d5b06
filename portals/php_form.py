"""Forms as PHP writes and reads them: `a[b][0]=x` (contract §3, §6).

`parse(body)` gives nested dicts of text. A map whose keys are 0…n-1 becomes a list; one with other keys stays
a dict of text keys, so that nothing is guessed here. As in PHP the last of two equal names wins, `x[]`
appends, and what comes after a closed bracket is ignored. Handler calls pass here, so it is written for
speed: the paths of names are remembered, and a value without escapes is not touched.
"""

from __future__ import annotations

import codecs
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

MAX_FIELDS = 20_000
# A name nested deeper is dropped, as PHP drops it (there at 64).
MAX_DEPTH = 16
# A longer name is read but not remembered, so that the memory of names stays small.
_REMEMBERED_NAME = 200
_APPEND = ""
# What PHP's variable names can't hold, outside of brackets.
_UNDERLINED = str.maketrans(" .[", "___")
_NO_CHARSETS = {
    "idna",
    "punycode",
    "raw-unicode-escape",
    "undefined",
    "unicode-escape",
    "unicode_escape",
    "utf-7",
}
_ONE_BLANK = set(" \t\r\n\v\f")
# PHP reads digits beyond this as text.
_INT_DIGITS = 18


class FormTooBig(ValueError):
    """More fields than MAX_FIELDS."""


def parse(body: bytes, charset: str = "utf-8") -> dict[str, Any]:
    """The form as a dict of text, lists and dicts. Raises FormTooBig; anything else is read somehow.

    Bytes that are no text in `charset` become U+FFFD; NUL characters are dropped.
    """
    if body.count(b"&") >= MAX_FIELDS:
        raise FormTooBig(f"The form has more than {MAX_FIELDS} fields.")
    charset = known_charset(charset)
    form: dict[str, Any] = {}
    nexts: dict[int, tuple[int, Any]] = {}
    plain = body.isascii() and b"\0" not in body
    for pair in body.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        path = _path(name, charset) if len(name) <= _REMEMBERED_NAME else _read_path(name, charset)
        if not path:
            continue
        if not plain or "%" in value or "+" in value:
            value = _text(value, charset)
        if len(path) == 1:
            form[path[0]] = value
            continue
        inner = form
        for key in path[:-1]:
            if key == _APPEND or nexts:
                key = _place(inner, key, nexts)
            below = inner.get(key)
            if below.__class__ is not dict:
                below = inner[key] = {}
            inner = below
        key = path[-1]
        if key == _APPEND or nexts:
            key = _place(inner, key, nexts)
        inner[key] = value
    for key, value in form.items():
        if value.__class__ is dict:
            form[key] = _listed(value)
    return form


def _text(value: str, charset: str) -> str:
    """A value with its escapes taken out; `value` holds one character a byte."""
    if "+" in value:
        value = value.replace("+", " ")
    data = value.encode("latin-1")
    if "%" in value:
        data = unquote_to_bytes(data)
    text = data.decode(charset, "replace")
    return text.replace("\0", "") if "\0" in text else text


def _read_path(name: str, charset: str) -> tuple[str, ...]:
    """The keys of `a[b][]`: ("a", "b", ""). Empty where PHP would drop the field."""
    text = _text(name, charset).lstrip(" ")
    place = text.find("[")
    if place < 0:
        return (text.translate(_UNDERLINED),) if text else ()
    if place == 0:
        return ()
    keys = [text[:place].translate(_UNDERLINED)]
    while place < len(text) and text[place] == "[":
        end = text.find("]", place)
        if end < 0:
            if len(keys) == 1:
                # A bracket that is never closed is part of the name.
                return (text.translate(_UNDERLINED),)
            break
        key = text[place + 1 : end]
        # PHP takes one blank between brackets for none.
        keys.append(_APPEND if key in _ONE_BLANK else key)
        place = end + 1
    return tuple(keys) if len(keys) <= MAX_DEPTH else ()


_path = lru_cache(maxsize=4096)(_read_path)


@lru_cache(maxsize=64)
def known_charset(charset: str) -> str:
    """The codec to read with; UTF-8 where the name means nothing, is no codec of text, or one of Python's own
    making (which take long over long texts, or make half characters of them)."""
    try:
        name = codecs.lookup(charset).name
        b"a".decode(name, "replace")
    except (LookupError, ValueError, UnicodeError):
        return "utf-8"
    return "utf-8" if name in _NO_CHARSETS else name


def _index(key: str) -> int | None:
    """`key` as PHP's integer key, or None where PHP keeps it as text ("01", "x", too long)."""
    if not key.isdecimal() or not key.isascii() or len(key) > _INT_DIGITS or (key[0] == "0" and key != "0"):
        return None
    return int(key)


def _place(inner: dict[str, Any], key: str, nexts: dict[int, tuple[int, Any]]) -> str:
    """The key to write under: for `[]` the next free number, which an explicit number moves on.

    `nexts` remembers it for each map that was appended to, so that a long list takes linear time; it holds
    the map too, for an overwritten one must not lend its id to another.
    """
    mark = id(inner)
    if key == _APPEND:
        if mark in nexts:
            free = nexts[mark][0]
        else:
            free = max((number + 1 for number in map(_index, inner) if number is not None), default=0)
        nexts[mark] = (free + 1, inner)
        return str(free)
    if mark in nexts:
        number = _index(key)
        if number is not None and number >= nexts[mark][0]:
            nexts[mark] = (number + 1, inner)
    return key


def _listed(tree: dict[str, Any]) -> Any:
    """`tree` with every map of keys 0…n-1 as a list; depth is bounded by MAX_DEPTH."""
    for key, value in tree.items():
        if value.__class__ is dict:
            tree[key] = _listed(value)
    if "0" not in tree:
        return tree
    try:
        return [tree[str(place)] for place in range(len(tree))]
    except KeyError:
        return tree
