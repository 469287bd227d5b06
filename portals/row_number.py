"""A row's number as an address or a form names it."""

from __future__ import annotations


def is_row_number(text: str) -> bool:
    """Whether it may be one, as far as the databases can count."""
    return text.isdecimal() and len(text) < 19
