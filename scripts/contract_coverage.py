"""Which statements of docs/contract.md no test holds: a part of `make check`.

A statement is a line `- **4.12** (h s) …`. A test holds it by `@pytest.mark.contract("4.12")` and carries the section
in its name (`test_s4_…`); tests under tests/sandbox stand for the sandbox (s), all others for the hub (h).
Nothing is imported or run: the tests are read.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRACT = ROOT / "docs" / "contract.md"
TESTS = ROOT / "tests"
_STATEMENT = re.compile(r"^- \*\*(\d+\.\d+)\*\* \(([hs ]+)\) (.+)$", re.MULTILINE)
_SECTION = re.compile(r"_s(\d+)(?=_)")
SIDES = {"h": "the hub", "s": "the sandbox"}


def main() -> int:
    statements = {
        number: (set(who.split()), text) for number, who, text in _STATEMENT.findall(CONTRACT.read_text())
    }
    wrong: list[str] = []
    held: dict[str, set[str]] = defaultdict(set)
    count = 0
    for path in sorted(TESTS.rglob("test_*.py")):
        side = "s" if path.is_relative_to(TESTS / "sandbox") else "h"
        for name, line, numbers in marked(path):
            count += 1
            place = f"{path.relative_to(ROOT)}:{line} {name}"
            for number in numbers:
                if number not in statements:
                    wrong.append(f"{place}: docs/contract.md has no statement {number}")
                elif number.partition(".")[0] not in _SECTION.findall(name):
                    wrong.append(f"{place}: the name does not carry the section of {number}")
                else:
                    held[number].add(side)
    for number, (who, text) in statements.items():
        wrong += [f"no test of {SIDES[side]} for {number}: {text}" for side in sorted(who - held[number])]
    print("\n".join(wrong), end="\n" if wrong else "")
    wanted = sum(len(who) for who, _text in statements.values())
    print(
        f"{len(statements)} statements, {wanted} sides of them, {count} tests that hold them, {len(wrong)} wrong"
    )
    return 1 if wrong or not statements else 0


def marked(path: Path) -> list[tuple[str, int, list[str]]]:
    """(name, line, numbers) of each test of a file that carries the marker."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            numbers = [number for mark in node.decorator_list for number in _numbers(mark)]
            if numbers:
                found.append((node.name, node.lineno, numbers))
    return found


def _numbers(mark: ast.expr) -> list[str]:
    if not isinstance(mark, ast.Call) or ast.unparse(mark.func) != "pytest.mark.contract":
        return []
    return [str(word.value) for word in mark.args if isinstance(word, ast.Constant)]


if __name__ == "__main__":
    sys.exit(main())
