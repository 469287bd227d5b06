"""`{name}` in a text, replaced by a value: names only, nothing is computed (design §3). `{{` and `}}` are
braces."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _

from robots.expression import ExpressionError
from robots.expression_functions import Refused, as_text
from robots.problem import shown

MAX_TEMPLATE = 4_000
_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Template:
    """Texts and names by turns: ["Total ", "total", " of ", …]."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[str, ...]) -> None:
        self._parts = parts

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._parts[1::2])

    def filled(self, values: Mapping[str, Any], limit: int) -> str:
        """At most `limit` characters. A value that can't be written as text is left empty: a log line must
        not fail the call it tells of."""
        text = ""
        for index, part in enumerate(self._parts):
            if index % 2 == 0:
                text += part
                continue
            try:
                text += as_text(values.get(part))[:limit]
            except Refused:
                pass  # see above
            if len(text) >= limit:
                break
        return text[:limit]


def parse_template(source: object, names: Collection[str] | None = None) -> Template:
    """`names` None takes any name, empty where there is no value. Raises ExpressionError for unknown names,
    expressions in braces and single braces."""
    if not isinstance(source, str):
        raise ExpressionError(_("A text is needed here, not %s.") % type(source).__name__)
    return _parsed(source, None if names is None else frozenset(names))


@lru_cache(maxsize=1024)
def _parsed(source: str, names: frozenset[str] | None) -> Template:
    if len(source) > MAX_TEMPLATE:
        raise ExpressionError(_("The text is longer than %d characters.") % MAX_TEMPLATE)
    parts, text, end = [], "", 0
    for found in _PART.finditer(source):
        text += source[end : found.start()]
        end = found.end()
        name = found[1]
        if name is None:
            if len(found[0]) == 1:
                raise ExpressionError(_("A single brace: write {{ or }} for a brace."), found.start() + 1)
            text += found[0][0]
            continue
        if names is not None and name not in names:
            raise ExpressionError(
                _("“{%(name)s}” is no input or output of this robot (there are: %(known)s).")
                % {"name": shown(name, 80), "known": shown(", ".join(sorted(names)))},
                found.start() + 1,
            )
        parts += [text, name]
        text = ""
    return Template((*parts, text + source[end:]))
