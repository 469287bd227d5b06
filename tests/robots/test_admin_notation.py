"""The notations of the robot's form can say all that a definition can, and are forgiving where nothing is lost."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from robots.admin_notation import (
    entries_of,
    read_default,
    read_languages,
    read_options,
    read_returns,
    write_default,
    write_languages,
    write_options,
    write_returns,
)

# CR is left out: a browser makes LF of it.
TEXT = st.one_of(
    st.text(
        st.sampled_from(["\n", "\x85", "\u2028", '"', "=", "[", "]", " ", "\t", ":", "a", "\\", "\x0b"]),
        max_size=12,
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=30),
)
CODES = st.sampled_from(["en", "ru", "de", "pt-BR", "*"])
TITLE = st.one_of(TEXT, st.dictionaries(CODES, TEXT, min_size=1))


@given(st.dictionaries(TEXT.filter(bool), TITLE))
def test_any_options_are_read_as_they_were_written(options: Any) -> None:
    pairs = [[value, text] for value, text in options.items()]
    assert read_options(write_options(pairs)) == pairs


@given(st.dictionaries(CODES, TEXT))
def test_any_languages_are_read_as_they_were_written(text: Any) -> None:
    assert dict(read_languages(write_languages(text))) == text


@given(st.lists(TEXT, min_size=1))
def test_any_list_of_defaults_is_read_as_it_was_written(default: Any) -> None:
    assert read_default(write_default(default), multiple=True) == default


@given(st.dictionaries(st.sampled_from(["total", "other", "o1"]), TEXT.filter(lambda text: text.strip())))
def test_any_expressions_are_read_as_they_were_written_but_for_spaces_around(returns: Any) -> None:
    found = read_returns(write_returns(returns))
    assert {name: text.strip() for name, text in found.items()} == {
        name: text.strip() for name, text in returns.items()
    }


def test_a_translation_may_come_before_its_title_and_a_list_with_an_indent() -> None:
    assert read_options("\n   a [ru] = Первый\r\n   a = First\r\n\r\n   b= Second\r\n        half") == [
        ["a", {"ru": "Первый", "en": "First"}],
        ["b", "Second\n half"],
    ]


def test_a_line_that_begins_with_a_space_goes_on_with_the_one_above() -> None:
    assert entries_of("a\r\n b\r\n\tc\r\n      d\r\n\r\n  \r\n    \r\ne") == ["a\nb\nc\n  d\n", "e"]
    assert read_returns("total = round(a\n  * 2)\n\nother=1") == {"total": "round(a\n* 2)", "other": "1"}


def test_quotes_that_spell_nothing_are_the_values_own() -> None:
    assert read_default('"a" b\n"c"', multiple=True) == ['"a" b', "c"]
    assert read_default('"c"', multiple=False) == '"c"'
