"""A catalog file → definitions, checked whole: every problem with its line and field, or no problem at all.

The shape is design §3's; `robots.rules` says what values mean. Messages are English: a file is read by
a command.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from robots.catalog_yaml import CatalogProblem, Findings, Items, Node, Scalar, Table, read_tree
from robots.definition import Definition, normal
from robots.models import Kind, OnFailure, Robot
from robots.problem import Path, shown
from robots.rules import check_definition, check_warnings


class CatalogRefused(Exception):
    """The whole file is refused. `problems` in the order of lines; `more` counts those not kept."""

    def __init__(self, problems: list[CatalogProblem], more: int = 0) -> None:
        self.problems, self.more = problems, more
        super().__init__("\n".join(str(problem) for problem in problems))


@dataclass(frozen=True, slots=True)
class Catalog:
    """`application` is the slug the file names, "" where it names none; `warnings` do not refuse it."""

    application: str
    definitions: list[Definition]
    warnings: list[CatalogProblem] = field(default_factory=list)


def read_catalog(data: bytes) -> Catalog:
    """Raises CatalogRefused with all that is wrong."""
    findings = Findings()
    root = read_tree(data, findings)
    reader = _Reader(findings)
    catalog = reader.catalog(root) if root is not None else None
    if findings.found or catalog is None:
        raise CatalogRefused(sorted(findings.found, key=lambda problem: problem.line), findings.more)
    return catalog


MAX_TYPE = 64  # what Property.type holds

Read = Callable[["_Reader", Node, Path], Any]


class _Reader:
    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.lines: dict[Path, int] = {}

    def catalog(self, root: Node) -> Catalog:
        found = self.fields(root, (), {"application": _Reader.text, "robots": _Reader.robots}, ["robots"])
        definitions: list[Definition] = found.get("robots", [])
        first: dict[str, int] = {}
        warnings: list[CatalogProblem] = []
        for number, definition in enumerate(definitions):
            path: Path = ("robots", number)
            if definition["code"] and definition["code"] in first:
                other = first[definition["code"]]
                self.add((*path, "code"), f"Has the code of robots[{other}] too: {shown(definition['code'])}")
            first.setdefault(definition["code"], number)
            warnings += self.check(definition, path)
        return Catalog(found.get("application", ""), definitions, warnings)

    def check(self, definition: Definition, path: Path) -> list[CatalogProblem]:
        """What the rules have against it goes to the findings; their warnings are the answer."""
        if self.findings.more:
            return []  # enough was found; a file that is wrong everywhere should not take a minute to refuse
        problems = [problem.under(*path) for problem in check_definition(definition)]
        for problem in problems:
            if not self.findings.told(problem.path):
                self.add(problem.path, problem.message)
        if problems or self.findings.found:
            return []
        warnings = [problem.under(*path) for problem in check_warnings(definition)]
        return [CatalogProblem(self.line_of(item.path), item.where, item.message) for item in warnings]

    def add(self, path: Path, message: str) -> None:
        self.findings.add(self.line_of(path), path, message)

    def line_of(self, path: Path) -> int:
        """The line of this place, else of what holds it."""
        return next((self.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.lines), 1)

    def fields(self, node: Node, path: Path, schema: dict[str, Read], required: list[str]) -> dict[str, Any]:
        """A map's values by its schema; unknown and missing keys are problems."""
        self.lines[path] = node.line
        if not isinstance(node, Table):
            self.add(path, f"Must be a map{_instead(node)}")
            return {}
        values: dict[str, Any] = {}
        for name, inner in node.nodes.items():
            place = (*path, shown(name, 100))
            self.lines[place] = node.key_lines[name]
            if name not in schema:
                self.add(place, f"Unknown key. Known here: {', '.join(schema)}.")
                continue
            values[name] = schema[name](self, inner, place)
        for name in required:
            if name not in node.nodes:
                self.add((*path, name), "Is missing.")
        return values

    def list_of(self, node: Node, path: Path, read: Read) -> list[Any]:
        if not isinstance(node, Items):
            self.add(path, f"Must be a list{_instead(node)}")
            return []
        for number, inner in enumerate(node.nodes):
            self.lines[(*path, number)] = inner.line
        return [read(self, inner, (*path, number)) for number, inner in enumerate(node.nodes)]

    def text(self, node: Node, path: Path) -> str:
        if isinstance(node, Scalar):
            return node.text
        self.add(path, f"Must be a text{_instead(node)}")
        return ""

    def type_name(self, node: Node, path: Path) -> str:
        text = self.text(node, path)
        if len(text) <= MAX_TYPE:
            return text
        self.add(path, f"A type has at most {MAX_TYPE} characters: {shown(text)}")
        return ""

    def localised(self, node: Node, path: Path) -> Any:
        """A text, or {lang: text}."""
        if isinstance(node, Table):
            return self.texts_by_key(node, path)
        return self.text(node, path)

    def texts_by_key(self, node: Table, path: Path, read: Read | None = None) -> dict[str, Any]:
        values = {}
        for key, inner in node.nodes.items():
            place = (*path, shown(key, 100))
            self.lines[place] = node.key_lines[key]
            values[key] = (read or _Reader.text)(self, inner, place)
        return values

    def options(self, node: Node, path: Path) -> dict[str, Any]:
        if isinstance(node, Table):
            return self.texts_by_key(node, path, _Reader.localised)
        self.add(path, f"Must be a map of values to titles{_instead(node)}")
        return {}

    def flag(self, node: Node, path: Path) -> bool:
        said = node.text.lower() if isinstance(node, Scalar) else ""
        if said not in ("true", "false", "yes", "no"):
            self.add(path, f"Must be true or false{_instead(node)}")
        return said in ("true", "yes")

    def user_id(self, node: Node, path: Path) -> int | None:
        if isinstance(node, Scalar) and re.fullmatch("[0-9]{1,18}", node.text):
            return int(node.text)
        self.add(path, f"Must be a user's number{_instead(node)}")
        return None

    def default(self, node: Node, path: Path) -> Any:
        """A text, or a list of texts for a multiple property."""
        return self.list_of(node, path, _Reader.text) if isinstance(node, Items) else self.text(node, path)

    def document_type(self, node: Node, path: Path) -> list[str] | None:
        parts = self.list_of(node, path, _Reader.text)
        if isinstance(node, Items) and len(parts) != 3:
            self.add(path, f"Must be [module, object, type]{_instead(node)}")
            return None
        return parts or None

    def filter(self, node: Node, path: Path) -> Any:
        return self.fields(node, path, {"include": _Reader.entries, "exclude": _Reader.entries}, [])

    def entries(self, node: Node, path: Path) -> list[Any]:
        return self.list_of(node, path, _Reader.default)

    def compute(self, node: Node, path: Path) -> Any:
        """A compute type's own settings: maps, lists and texts."""
        if not isinstance(node, Table):
            self.add(path, f"Must be a map with type and what the type needs{_instead(node)}")
            return {}
        return self.anything(node, path)

    def anything(self, node: Node, path: Path) -> Any:
        if isinstance(node, Table):
            return self.texts_by_key(node, path, _Reader.anything)
        return (
            self.list_of(node, path, _Reader.anything) if isinstance(node, Items) else self.text(node, path)
        )

    def properties(self, node: Node, path: Path) -> list[Any]:
        return self.list_of(node, path, _Reader.property)

    def property(self, node: Node, path: Path) -> dict[str, Any]:
        return self.fields(node, path, PROPERTY, ["id", "type", "name"])

    def robots(self, node: Node, path: Path) -> list[Definition]:
        return self.list_of(node, path, _Reader.robot)

    def robot(self, node: Node, path: Path) -> Definition:
        return normal(self.fields(node, path, ROBOT, ["code", "name", "compute"]))


def _choice(*allowed: str) -> Read:
    def read(reader: _Reader, node: Node, path: Path) -> str:
        if isinstance(node, Scalar) and node.text in allowed:
            return node.text
        reader.add(path, f"Must be {' or '.join(allowed)}{_instead(node)}")
        return ""

    return read


def _instead(node: Node) -> str:
    """What stands there, at most 200 characters of it."""
    if isinstance(node, Scalar):
        return f", not {shown(node.text)!r}." if node.text else "; it is empty."
    return ", not a list." if isinstance(node, Items) else ", not a map."


PROPERTY: dict[str, Read] = {
    "id": _Reader.text,
    "type": _Reader.type_name,
    "name": _Reader.localised,
    "description": _Reader.localised,
    "options": _Reader.options,
    "required": _Reader.flag,
    "multiple": _Reader.flag,
    "default": _Reader.default,
}
ROBOT: dict[str, Read] = {
    "code": _Reader.text,
    "kind": _choice(*Kind.values),
    "name": _Reader.localised,
    "description": _Reader.localised,
    "subscription": _choice(*Robot.Subscription.values),
    "auth_user_id": _Reader.user_id,
    "document_type": _Reader.document_type,
    "filter": _Reader.filter,
    "properties": _Reader.properties,
    "return_properties": _Reader.properties,
    "compute": _Reader.compute,
    "on_failure": _choice(*OnFailure.values),
}
