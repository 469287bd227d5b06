"""What other rooms show on the pages of portals: portals knows none of them, they append here.

`robots` and `handlers` do so in their `AppConfig.ready`, so the arrow of imports keeps pointing at portals.
Here too is the one way a state is shown in the admin: colour *and* words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from portals.models import Portal

# Tones a badge may have; the stylesheet knows them, the words beside them say the same without colour.
OK, INFO, WARN, BAD, OFF = "ok", "info", "warn", "bad", "off"


@dataclass(frozen=True)
class Panel:
    """A section of a portal's page. `show` returns safe HTML, '' for nothing to show."""

    title: Any
    show: Callable[[Portal, HttpRequest], str]


@dataclass(frozen=True)
class Column:
    """A column of the list of portals; `values` is asked once a page: portal ids -> {id: what is shown}."""

    name: str
    title: Any
    values: Callable[[Sequence[int]], Mapping[int, Any]]


@dataclass(frozen=True)
class Action:
    """An entry of the list's action menu, for people with `permission` (`app.codename`)."""

    name: str
    title: Any
    permission: str
    run: Callable[[ModelAdmin, HttpRequest, QuerySet[Portal]], Any]


panels: list[Panel] = []
# What a portal's own page says beside how it stands: `portals.standing.Remark`s; may ask the database.
remarks: list[Callable[[Portal], list[Any]]] = []
columns: list[Column] = []
actions: list[Action] = []
# Called with each portal that a person has forgotten, in the same transaction: rooms drop what they hold of it.
forgetters: list[Callable[[Portal], object]] = []


def badge(tone: str, words: Any) -> SafeString:
    """`words` on the colour of `tone`."""
    return format_html('<span class="hub-badge hub-{}">{}</span>', tone, words)
