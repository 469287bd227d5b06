"""Russian is complete: every text is translated, none fuzzy, catalogs compiled as they are written.

Read with Python alone, so that no machine needs the gettext tools to run the tests.
"""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation
from django.utils.translation.template import templatize

ROOMS = ("portals", "robots", "handlers", "b24app")
ONE = {"_", "gettext", "gettext_lazy", "gettext_noop", "N_"}
MANY = {"ngettext", "ngettext_lazy"}
CATALOGS = sorted(
    path for room in ROOMS for path in (settings.BASE_DIR / room).glob("locale/*/LC_MESSAGES/*.po")
)
_LITERAL = r"""u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_CALL = re.compile(rf"(?:\b_|gettext)\(\s*({_LITERAL}(?:,\s*{_LITERAL})?)")
_PLACES = re.compile(r"%\(\w+\)[a-z]|%[sdg]")


def texts_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, (ast.Name, ast.Attribute)):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        wanted = 1 if name in ONE else 2 if name in MANY else 0
        for argument in node.args[:wanted]:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def texts_in_code() -> set[str]:
    found: set[str] = set()
    for room in ROOMS:
        for path in (settings.BASE_DIR / room).rglob("*.py"):
            if "migrations" not in path.parts:
                found.update(texts_of(ast.parse(path.read_text())))
        for path in (settings.BASE_DIR / room).rglob("templates/**/*.html"):
            for call in _CALL.findall(templatize(path.read_text())):
                found.update(ast.literal_eval(text) for text in re.findall(_LITERAL, call))
    return found - {""}


def entries(path: Path) -> Iterator[tuple[str, list[str], bool]]:
    """(msgid, translations, fuzzy) of a catalog; plural ids are left out."""
    for block in path.read_text().split("\n\n"):
        parts: dict[str, str] = {}
        key = ""
        for line in block.splitlines():
            found = re.match(r'(msg\w+(?:\[\d\])?) (".*")$', line)
            if found:
                key = found[1]
                parts[key] = ast.literal_eval(found[2])
            elif line.startswith('"'):
                parts[key] += ast.literal_eval(line)
        if parts.get("msgid"):
            said = [text for name, text in parts.items() if name.startswith("msgstr")]
            yield parts["msgid"], said, bool(re.search(r"^#,.*fuzzy", block, re.M))


def compiled(path: Path) -> dict[object, str]:
    with path.with_suffix(".mo").open("rb") as file:
        return gettext.GNUTranslations(file)._catalog


def test_there_are_texts_and_catalogs():
    assert len(texts_in_code()) > 500
    assert CATALOGS


def test_every_text_is_translated():
    known = {msgid for path in CATALOGS for msgid, said, _fuzzy in entries(path) if all(said)}
    plural = re.findall(r'^msgid_plural (".*")$', "\n".join(path.read_text() for path in CATALOGS), re.M)
    known |= {ast.literal_eval(text) for text in plural}
    assert sorted(texts_in_code() - known) == []


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-5])
def test_nothing_is_fuzzy_or_empty_or_stale(path):
    mo = compiled(path)
    for msgid, said, fuzzy in entries(path):
        assert not fuzzy, msgid
        assert all(said), msgid
        assert (mo.get(msgid) or mo.get((msgid, 0))) == said[0], f"{msgid}: run compilemessages"


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-5])
def test_what_is_filled_in_is_the_same_in_every_language(path):
    for msgid, said, _fuzzy in entries(path):
        if len(said) == 1:
            assert sorted(_PLACES.findall(msgid)) == sorted(_PLACES.findall(said[0])), msgid


def test_plurals_are_russian():
    with translation.override("ru"):
        said = [
            translation.ngettext("%(n)d call is on its way.", "%(n)d calls are on their way.", n)
            for n in (1, 3, 5)
        ]
    assert said == ["%(n)d вызов в пути.", "%(n)d вызова в пути.", "%(n)d вызовов в пути."]
