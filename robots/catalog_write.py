"""Definitions → a catalog file, the same bytes for the same drafts on every database (design §3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from portals.models import Application
from robots.definition import Definition, definition_of
from robots.models import Robot

# Properties and texts stand on one line where they are short.
SHORT = 90
# Line ends that a block text would not keep as they are.
_ODD_BREAKS = re.compile("[\r\x85\u2028\u2029]")
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?")


def export_catalog(application: Application) -> str:
    """The drafts of an application, without the removed, by code; what has its default is left out."""
    robots = (
        Robot.objects.filter(application=application, removed_at=None)
        .prefetch_related("properties")
        .order_by("code")
    )
    # Sorted here: databases disagree about the order of capitals.
    definitions = sorted((definition_of(robot) for robot in robots), key=lambda item: str(item["code"]))
    return write_catalog(application.slug, definitions)


def write_catalog(slug: str, definitions: list[Definition]) -> str:
    """The file as `catalog_read.read_catalog` takes it."""
    document = {"application": slug, "robots": [_robot(item) for item in definitions]}
    return yaml.dump(
        document,
        Dumper=_Dumper,
        allow_unicode=True,
        sort_keys=False,
        width=1_000_000,
        default_flow_style=False,
    )


def _robot(definition: Definition) -> dict[str, Any]:
    entry: dict[str, Any] = {"code": definition["code"]}
    if definition["kind"] != "robot":
        entry["kind"] = definition["kind"]
    entry["name"] = _text(definition["name"])
    if definition["description"]:
        entry["description"] = _text(definition["description"])
    if definition["subscription"] != "wait":
        entry["subscription"] = definition["subscription"]
    if definition["auth_user_id"] is not None:
        entry["auth_user_id"] = definition["auth_user_id"]
    if definition["document_type"]:
        entry["document_type"] = _Short(definition["document_type"])
    if definition["filter"]:
        sides = {side: entries for side, entries in definition["filter"].items() if entries}
        entry["filter"] = _ShortMap(sides)
    for name in ("properties", "return_properties"):
        if definition[name]:
            entry[name] = [_ShortMap(_property(item)) for item in definition[name]]
    entry["compute"] = definition["compute"]
    if definition["on_failure"] != "hold":
        entry["on_failure"] = definition["on_failure"]
    return entry


def _property(item: Mapping[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": item["id"], "type": item["type"], "name": _text(item["name"])}
    if item["description"]:
        entry["description"] = _text(item["description"])
    if item["options"]:
        entry["options"] = _ShortMap({value: _text(text) for value, text in item["options"].items()})
    for flag in ("required", "multiple"):
        if item[flag]:
            entry[flag] = True
    default = item["default"]
    if default is not None:
        number = (
            item["type"] in ("int", "double")
            and isinstance(default, str)
            and _PLAIN_NUMBER.fullmatch(default)
        )
        entry["default"] = (
            _Number(default) if number else _Short(default) if isinstance(default, list) else default
        )
    return entry


def _text(text: Any) -> Any:
    return _ShortMap(text) if isinstance(text, Mapping) else text


class _Short(list[Any]):
    """A list on one line where it is short."""


class _ShortMap(dict[str, Any]):
    """A map on one line where it is short."""


class _Number(str):
    """Digits without quotes; the reader takes them as they stand."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Two spaces before a list's dash, as people write it; never an anchor, which the reader would refuse."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    if _ODD_BREAKS.search(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_number(dumper: _Dumper, text: _Number) -> yaml.ScalarNode:
    tag = "tag:yaml.org,2002:float" if "." in text else "tag:yaml.org,2002:int"
    return dumper.represent_scalar(tag, str(text))


def _fits(value: Any) -> bool:
    """Whether it reads well on one line; a text of several lines never does."""
    return len(str(value)) <= SHORT and "\\n" not in str(value)


def _represent_list(dumper: _Dumper, value: list[Any]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", list(value), flow_style=_fits(value))


def _represent_map(dumper: _Dumper, value: Mapping[str, Any]) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", dict(value), flow_style=_fits(value))


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(_Number, _represent_number)
_Dumper.add_representer(_Short, _represent_list)
_Dumper.add_representer(_ShortMap, _represent_map)
