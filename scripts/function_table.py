"""The table of functions that expressions may call, into docs/writing-robots.md: `python scripts/function_table.py`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from robots.expression_functions import TABLE  # noqa: E402  (found only now)

PAGE = ROOT / "docs" / "writing-robots.md"
START, END = "<!-- functions:", "<!-- end of functions -->"


def table() -> str:
    """A Markdown table, a line a function, in the order of their names."""
    lines = ["| function | |", "|---|---|"]
    for name in sorted(TABLE):
        spelled, _, words = TABLE[name].help.partition(": ")
        lines.append(f"| `{spelled}` | {words} |")
    return "\n".join(lines) + "\n"


def page_with_table(text: str) -> str:
    """The page with the table as it is now between its two marks. Raises ValueError where a mark is missing."""
    begin = text.index("\n", text.index(START)) + 1
    return text[:begin] + table() + text[text.index(END) :]


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
