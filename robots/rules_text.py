"""Rules of texts: a string or `{lang: string}` of at most 4,000 characters (contract §5, design §3)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.utils.translation import gettext as _

from robots.problem import Path, Problem, shown

MAX_TEXT = 4_000
MAX_LANGUAGES = 50
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z]{2,4})?|\*")


def check_name(path: Path, name: object) -> list[Problem]:
    """A NAME: there must be one, and `en` where it has languages, since the portal falls back to it."""
    if name is None or name == "" or name == {}:
        return [Problem(path, _("A name is needed."))]
    problems = check_text(path, name)
    if isinstance(name, Mapping) and not str(name.get("en") or "").strip():
        problems.append(
            Problem((*path, "en"), _("A name in several languages needs “en”: portals fall back to it."))
        )
    elif isinstance(name, str) and not name.strip():
        problems.append(Problem(path, _("A name is needed.")))
    return problems


def check_text(path: Path, text: object) -> list[Problem]:
    """Any text; None and "" are none."""
    if text is None:
        return []
    if isinstance(text, str):
        return _check_string(path, text)
    if not isinstance(text, Mapping):
        return [Problem(path, _("A text is a string, or one for each language: {en: …, ru: …}."))]
    if len(text) > MAX_LANGUAGES:
        return [Problem(path, _("A text has at most %d languages.") % MAX_LANGUAGES)]
    problems: list[Problem] = []
    for language, words in text.items():
        here = (*path, str(language))
        if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
            problems.append(
                Problem(here, _("“%s” is no language code such as en, ru or de.") % shown(language, 40))
            )
        if not isinstance(words, str):
            problems.append(Problem(here, _("A text is a string, not %s.") % shown(words, 80)))
        else:
            problems += _check_string(here, words)
    return problems


def _check_string(path: Path, text: str) -> list[Problem]:
    if len(text) > MAX_TEXT:
        return [
            Problem(
                path,
                _("A text has at most %(limit)d characters, this one has %(count)d.")
                % {"limit": MAX_TEXT, "count": len(text)},
            )
        ]
    if "\x00" in text or any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        return [Problem(path, _("The text holds characters that no portal can store (NUL, half a pair)."))]
    return []
