"""A declared property as far as its values go, and what is said where a value does not fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property
from typing import Any

from django.utils.translation import gettext as _

from robots import dates


class NotThatType(ValueError):
    """Raised by an entry's reader or writer; its caller knows the id and the sentence."""


class InputError(ValueError):
    """A handler call's value is not of its declared type. `came` is at most 200 characters of it."""

    def __init__(self, identifier: str, came: str, expected: str) -> None:
        self.id, self.came, self.expected = identifier, came[:200], expected
        super().__init__(
            _("“%(id)s” came as “%(came)s”, expected %(expected)s.")
            % {"id": identifier, "came": self.came, "expected": expected}
        )


class OutputError(ValueError):
    """A result does not fit RETURN_PROPERTIES; `id` names the value, "" is the result as a whole."""

    def __init__(self, identifier: str, sentence: str) -> None:
        self.id = identifier
        super().__init__(sentence)


class UserRef(str):
    """A user or group as Bitrix24 writes it: `user_5`, `group_g1`. Plain text to everything else."""

    __slots__ = ()

    @property
    def user_id(self) -> int | None:
        """5 of `user_5`; None for a group."""
        return int(self[5:]) if self.startswith("user_") else None


@dataclass(frozen=True, slots=True)
class Field:
    """A declared property as far as its values are concerned; `options` are the keys a select allows."""

    id: str
    type: str
    multiple: bool = False
    required: bool = False
    default: Any = None
    options: tuple[str, ...] = ()

    @classmethod
    def read(cls, identifier: str, spelled: Mapping[str, Any]) -> Field:
        """From the payload's spelling, keys in either case, flags boolean or `Y`/`N` (§8)."""
        known = {str(key).lower(): value for key, value in spelled.items()}
        options = known.get("options") or ()
        return cls(
            identifier,
            str(known.get("type") or "string"),
            _flag(known.get("multiple")),
            _flag(known.get("required")),
            known.get("default"),
            tuple(str(key) for key in options) if isinstance(options, Mapping) else (),
        )


def _flag(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.upper() in ("Y", "TRUE", "1"))


@dataclass
class DatedValues:
    """What reading a date needs to know of the portal; the zone is looked up when a date first asks."""

    zone_name: str = "UTC"
    date_format: str = ""

    @cached_property
    def zone(self) -> tzinfo:
        """Raises dates.UnknownZone."""
        return dates.zone_of(self.zone_name)
