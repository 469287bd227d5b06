"""A catalog's YAML as plain nodes with their lines; strict, and never more than the file says.

Nothing is constructed: every scalar is the text that stands there (`no`, `01`), typed later by the
schema. Aliases,
anchors, tags, directives, duplicate keys and a second document are problems, so no file grows while it
is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from robots.problem import Path, Problem, shown

MAX_BYTES = 2 * 1024 * 1024
MAX_TEXT = 4000
MAX_DEPTH = 16
# The C parser reads 2 MB in a moment, the pure one in half a minute; both say the same.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class Scalar:
    text: str
    line: int


@dataclass(slots=True)
class Items:
    nodes: list[Node]
    line: int


@dataclass(slots=True)
class Table:
    """Keys in their order; `key_lines` beside them."""

    nodes: dict[str, Node]
    key_lines: dict[str, int]
    line: int


Node: TypeAlias = "Scalar | Items | Table"


@dataclass(frozen=True, slots=True)
class CatalogProblem:
    """What is wrong in a file: line, field (`robots[0].properties[1].type`, "" the file), a sentence."""

    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return (
            f"line {self.line}: {self.field}: {self.message}"
            if self.field
            else f"line {self.line}: {self.message}"
        )


class _Stopped(Exception):
    """Nothing after this can be read."""


@dataclass
class Findings:
    """Problems as they are found; of a file that is wrong everywhere the first hundred tell enough."""

    limit: int = 100
    found: list[CatalogProblem] = field(default_factory=list)
    more: int = 0
    # Paths that were found wrong already: a rule's second sentence about the same place is noise.
    paths: set[Path] = field(default_factory=set)

    def add(self, line: int, path: Path, message: str) -> None:
        self.paths.add(path)
        if len(self.found) < self.limit:
            self.found.append(CatalogProblem(line, Problem(path, "").where, message))
        else:
            self.more += 1

    def told(self, path: Path) -> bool:
        """Whether this place, or one that holds it, is among the problems."""
        return any(path[:length] in self.paths for length in range(1, len(path) + 1))


def read_tree(data: bytes, findings: Findings) -> Node | None:
    """The file's one document; None where there is none or its syntax is broken, told to `findings`."""
    if len(data) > MAX_BYTES:
        findings.add(1, (), f"The file is larger than {MAX_BYTES // 1024 // 1024} MB.")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        findings.add(data.count(b"\n", 0, error.start) + 1, (), "The file is not UTF-8 here.")
        return None
    bad = _UNPRINTABLE.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        findings.add(line, (), f"Character U+{ord(bad[0]):04X} can't stand in YAML; write it as an escape.")
        return None
    try:
        return _Tree(yaml.parse(text, Loader=_LOADER), findings).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        said = getattr(error, "problem", None) or "it can't be read"
        findings.add(mark.line + 1 if mark else 1, (), f"This is no YAML: {shown(str(said))}.")
    except _Stopped:
        pass
    return None


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


class _Tree:
    """Builds nodes from the parser's events."""

    def __init__(self, events: Iterator[Any], findings: Findings) -> None:
        self.events = events
        self.findings = findings

    def document(self) -> Node | None:
        next(self.events)  # the stream's start
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            self.findings.add(1, (), "The file is empty.")
            return None
        if start.tags:
            self.findings.add(_line(start), (), "Tags are not read here: leave %TAG out.")
        root = self.node(next(self.events), (), 0)
        next(self.events)  # the document's end
        after = next(self.events)
        if isinstance(after, yaml.DocumentStartEvent):
            line = _line(after)
            self.findings.add(line, (), "A second document starts here; a catalog is one.")
            raise _Stopped
        return root

    def node(self, event: Any, path: Path, depth: int) -> Node:
        line = _line(event)
        if depth > MAX_DEPTH:
            self.findings.add(line, path, f"Nested deeper than {MAX_DEPTH} levels.")
            raise _Stopped
        if isinstance(event, yaml.AliasEvent):
            self.findings.add(
                line, path, f"Aliases are not read: write out what *{shown(event.anchor, 50)} means."
            )
            return Scalar("", line)
        if event.anchor:
            self.findings.add(line, path, f"Anchors are not read: leave &{shown(event.anchor, 50)} out.")
        if event.tag is not None:
            self.findings.add(line, path, f"Tags are not read: leave {shown(event.tag, 50)} out.")
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event.value, line, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.items(line, path, depth)
        return self.table(line, path, depth)

    def scalar(self, text: str, line: int, path: Path) -> Scalar:
        if len(text) > MAX_TEXT:
            self.findings.add(
                line, path, f"{len(text)} characters; a text has at most {MAX_TEXT}: {shown(text)}"
            )
        elif "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
            self.findings.add(line, path, f"NUL and half pairs can't be stored: {shown(text)}")
        return Scalar(text, line)

    def items(self, line: int, path: Path, depth: int) -> Items:
        nodes: list[Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            nodes.append(self.node(event, (*path, len(nodes)), depth + 1))
        return Items(nodes, line)

    def table(self, line: int, path: Path, depth: int) -> Table:
        table = Table({}, {}, line)
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.node(event, path, depth + 1)
            name = key.text if isinstance(key, Scalar) else ""
            inner = (*path, shown(name, 100))
            value = self.node(next(self.events), inner, depth + 1)
            if not isinstance(key, Scalar):
                self.findings.add(key.line, path, "A key must be a text, not a list or a map.")
            elif name in table.nodes:
                first = table.key_lines[name]
                self.findings.add(key.line, inner, f"This key stands already in line {first}.")
            else:
                table.nodes[name], table.key_lines[name] = value, key.line
        return table
