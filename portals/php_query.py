"""Query strings as PHP's http_build_query writes them, for the commands of a batch (contract §4)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from urllib.parse import quote_plus

# A batch replaces these by earlier answers wherever they stand in a command.
_SUBSTITUTED = re.compile(r"\$\s*(result|error|time|total|next)\s*\[", re.IGNORECASE)
# The portal reads a command by parse_str, which stops at max_input_vars (1,000 by default).
_MOST_FIELDS = 900


def build(params: dict[str, Any]) -> str:
    """`params` as `a[b][0]=x`, escaped: bool as 1 and 0; None, empty lists and empty maps vanish
    (`can_batch`).
    """
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in _fields(params))


def can_batch(params: dict[str, Any]) -> bool:
    """Whether a batch command says exactly `params`.

    It can't where a list or map is empty, a value is None, a text would be substituted or a name is one that
    PHP would read differently: such a request goes alone, as JSON.
    """
    if any("." in name or " " in name for name in params):
        return False
    try:
        fields = list(_fields(params, strict=True))
    except _Inexpressible:
        return False
    return len(fields) <= _MOST_FIELDS


class _Inexpressible(ValueError):
    pass


def _fields(params: dict[str, Any], strict: bool = False) -> Any:
    for key, value in params.items():
        yield from _field(str(key), str(key), value, strict)


def _field(name: str, key: str, value: Any, strict: bool) -> Any:
    """(name, text) of each leaf below `value`."""
    if strict and (not key or "[" in key or "]" in key or "\0" in key or key[0] == " " or _substituted(key)):
        raise _Inexpressible
    if isinstance(value, dict | list | tuple):
        if strict and not value:
            raise _Inexpressible
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for below, part in inner:
            yield from _field(f"{name}[{below}]", str(below), part, strict)
    elif value is None:
        if strict:
            raise _Inexpressible
    else:
        text = _text(value)
        if strict and _substituted(text):
            raise _Inexpressible
        yield name, text


def _substituted(text: str) -> bool:
    return "$" in text and _SUBSTITUTED.search(text) is not None


def _text(value: Any) -> str:
    if value is True:
        return "1"
    if value is False:
        return "0"
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)
