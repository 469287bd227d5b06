"""What a person types into the larger boxes ⇄ what a definition holds. Each notation can say all that a catalog can.

An entry begins at the beginning of a line; lines that begin with a space or a tab go on with it, four spaces (or
the tab) taken off. What would be misread as it stands (a key with `=`, an empty value in a list) goes in double
quotes, spelled as in JSON.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

INDENT = "    "
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_LANGUAGE_ENTRY = re.compile(r"([A-Za-z*][A-Za-z_-]{0,7})\s*: ?(.*)", re.DOTALL)
_OPTION_ENTRY = re.compile(
    rf'({_QUOTED}|[^"=\[\]\n][^=\[\]\n]*?)\s*(?:\[([A-Za-z_*-]+)\]\s*)?= ?(.*)', re.DOTALL
)
_RETURNS_ENTRY = re.compile(r"([A-Za-z0-9_]+)\s*=\s*(.+)", re.DOTALL)


def one_break(text: str) -> str:
    """Browsers send every line break as CR LF; a definition has LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def entries_of(text: str) -> list[str]:
    text = one_break(text)
    if text.lstrip("\n")[:1].isspace():
        # Pasted with an indent of its own.
        text = textwrap.dedent(text)
    found: list[str] = []
    # Not splitlines(): it knows breaks that are a text's own characters.
    for line in text.split("\n"):
        if found and line[:1] in (" ", "\t") and (line.strip() or line.startswith(INDENT)):
            found[-1] += "\n" + re.sub(r"\A(\t| {1,4})", "", line)
        elif line.strip():
            found.append(line)
    return found


def _entry(head: str, text: str) -> str:
    return head + one_break(text).replace("\n", "\n" + INDENT)


def _again(entry: str, name: str) -> ValidationError:
    """Of two entries about the same one would be lost without a word."""
    return ValidationError(
        _("“%(line)s” is about “%(name)s” again: a line above says it already.")
        % {"line": entry[:80], "name": name[:80]}
    )


# Further languages of a text: `de: Rabatt`


def write_languages(text: Mapping[str, Any]) -> str:
    return "\n".join(_entry(f"{code}: ", str(words)) for code, words in text.items())


def read_languages(typed: str) -> Iterator[tuple[str, str]]:
    taken = set()
    for entry in entries_of(typed):
        found = _LANGUAGE_ENTRY.fullmatch(entry)
        if not found:
            raise ValidationError(_("Write other languages as one line each, such as de: Rabatt."))
        if found[1] in taken:
            raise _again(entry, found[1])
        taken.add(found[1])
        yield found[1], found[2]


# Options of a select: `a = First`, and `a [ru] = Первый` for a further language


def write_options(options: Iterable[tuple[str, Any]]) -> str:
    lines = []
    for value, text in options:
        plain = (
            re.fullmatch(r'[^"=\[\]\n][^=\[\]\n]*', value) and value == value.strip() and value.isprintable()
        )
        key = value if plain else json.dumps(value, ensure_ascii=False)
        if isinstance(text, Mapping):
            lines += [_entry(f"{key} [{lang}] = ", str(words)) for lang, words in text.items()]
        else:
            lines.append(_entry(f"{key} = ", str(text)))
    return "\n".join(lines)


def read_options(typed: str) -> list[list[Any]]:
    """[[value, text], …], in the order in which values are first named."""
    options: dict[str, dict[str | None, str]] = {}
    for entry in entries_of(typed):
        found = _OPTION_ENTRY.fullmatch(entry)
        value = _unquoted(found[1]) if found else None
        if not found or value is None:
            raise ValidationError(_("“%s” is no option: write value = Title.") % entry[:80])
        titles, lang = options.setdefault(value, {}), found[2]
        # A title without a language is the English one as soon as another has its own.
        if lang in titles or (lang in (None, "en") and {None, "en"} & set(titles)):
            raise _again(entry, value)
        titles[lang] = found[3]
    return [
        [
            value,
            titles[None] if set(titles) == {None} else {lang or "en": text for lang, text in titles.items()},
        ]
        for value, titles in options.items()
    ]


def _unquoted(text: str) -> str | None:
    """`text`, or what it spells in quotes; None where that is no JSON."""
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return None


# Expressions: `total = amount * 2`


def write_returns(returns: Mapping[str, Any]) -> str:
    return "\n".join(_entry(f"{name} = ", str(source)) for name, source in returns.items())


def read_returns(typed: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries_of(typed):
        parts = _RETURNS_ENTRY.fullmatch(entry.strip())
        if not parts:
            raise ValidationError(_("“%s” is no line of the form output = expression.") % entry[:80])
        if parts[1] in found:
            raise _again(entry, parts[1])
        found[parts[1]] = parts[2]
    return found


# Defaults: as they are, and a line each where there are several


def write_default(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(_item(_plain(item)) for item in value)
    return "" if value is None else one_break(_plain(value))


def read_default(typed: str, multiple: bool) -> Any:
    if not multiple:
        return typed or None
    lines = [line for line in typed.split("\n") if line.strip()]
    # Quotes that spell nothing are the value's own.
    return [line if (text := _unquoted(line)) is None else text for line in lines] or None


def _plain(value: Any) -> str:
    return ("N", "Y")[value] if isinstance(value, bool) else str(value)


def _item(text: str) -> str:
    misread = not text.strip() or text.startswith('"') or "\n" in text or "\r" in text
    return json.dumps(text, ensure_ascii=False) if misread else text
