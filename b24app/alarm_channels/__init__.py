"""Ways out for alarms: one module each. A module here is a channel where it has

    configured() -> bool          whether the settings name somebody to tell
    send(message: Message) -> None  raises where it was not told

so another channel is one more file.
"""

from __future__ import annotations

import datetime as dt
import importlib
import pkgutil
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType


@dataclass(frozen=True)
class Message:
    """`state` is "open" or "ended"; texts in the language of the settings; `url` is the hub's."""

    kind: str
    subject: str
    state: str
    title: str
    text: str
    to_do: str
    since: dt.datetime
    ended: dt.datetime | None
    url: str


@lru_cache(maxsize=1)
def every() -> dict[str, ModuleType]:
    """Channels by name, configured or not."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}


def configured() -> dict[str, ModuleType]:
    return {name: channel for name, channel in every().items() if channel.configured()}
