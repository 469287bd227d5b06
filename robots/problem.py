"""What a rule has against a definition: where, and a sentence for the person who wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Path: TypeAlias = tuple["str | int", ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule.

    `path` leads into the definition: `("properties", 2, "options", "a")` is key `a` of the third property's
    options; an empty path is the definition itself. `message` is one translated sentence, already `str`.
    """

    path: Path
    message: str

    @property
    def where(self) -> str:
        """The path as people write it: `properties[2].options.a`; "" for the whole definition."""
        text = ""
        for step in self.path:
            if isinstance(step, int):
                text += f"[{step}]"
            else:
                text += f".{step}" if text else step
        return text

    def under(self, *steps: str | int) -> Problem:
        """The same problem seen from a definition that holds this one at `steps`."""
        return Problem((*steps, *self.path), self.message)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.path else self.message


def shown(value: object, limit: int = 200) -> str:
    """A value as a refusal quotes it: at most `limit` characters, on one line."""
    text = value if isinstance(value, str) else _short_repr(value, limit)
    text = "".join(c if c.isprintable() else " " for c in text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _short_repr(value: object, limit: int) -> str:
    # repr of a hostile 10 MB value would cost more than the refusal is worth.
    if isinstance(value, (list, tuple)):
        inner = ", ".join(_short_repr(item, 40) for item in list(value)[:8])
        return f"[{inner}{', …' if len(value) > 8 else ''}]"
    if isinstance(value, dict):
        pairs = [f"{_short_repr(k, 40)}: {_short_repr(v, 40)}" for k, v in list(value.items())[:8]]
        return "{" + ", ".join(pairs) + (", …" if len(value) > 8 else "") + "}"
    if isinstance(value, (str, bytes)):
        return repr(value[:limit])
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 400:
        return f"a number of {value.bit_length()} bits"
    return repr(value)[: limit + 1]
