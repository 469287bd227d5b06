"""Where codes and addresses may break in a narrow column."""

from __future__ import annotations

import pytest

from handlers.breaking import breakable


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("after_working_days", "after_<wbr>working_<wbr>days<wbr>"),
        ("shop.example.com", "shop.<wbr>example.<wbr>com<wbr>"),
        ("x" * 70, "<wbr>".join(["x" * 32, "x" * 32, "x" * 6, ""])),
        ("x" * 40 + "__y", "<wbr>".join(["x" * 32, "x" * 8 + "__", "y", ""])),
        ("<b>", "&lt;b&gt;<wbr>"),
        ("", ""),
    ],
)
def test_a_code_breaks_after_its_marks_and_where_no_column_holds_it(text: str, broken: str) -> None:
    assert breakable(text) == broken
