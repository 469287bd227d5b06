"""The functions that expressions may call, into docs/writing-robots.md: `python scripts/expression_functions.py`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from django.utils import translation  # noqa: E402  (found only now)

from robots.expression_functions import TABLE  # noqa: E402  (found only now)

PAGE = ROOT / "docs" / "writing-robots.md"
START, END = "<!-- functions:", "<!-- end of functions -->"


def functions() -> str:
    """One Markdown line: every function in the order of their names, with what it gives."""
    told = []
    with translation.override("en"):
        for name in sorted(TABLE):
            told.append(f"`{TABLE[name].spelled}` ({TABLE[name].words})")
    return " · ".join(told) + "\n"


def page_with_functions(text: str) -> str:
    """The page with the functions as they are now between its two marks. Raises ValueError where a mark is missing."""
    begin = text.index("\n", text.index(START)) + 1
    return text[:begin] + functions() + text[text.index(END) :]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    PAGE.write_text(page_with_functions(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
