"""A rendered form as a browser holds it and sends it back: what a person gets who presses *Save* alone."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any


class _Fields(HTMLParser):
    """The fields of the form whose id is `form`, in the page's order."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.inside = form, False
        self.sent: list[tuple[str, str]] = []
        self.area: tuple[str, list[str]] | None = None
        self.select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.inside = told.get("id") == self.form
        if not self.inside or "disabled" in told:
            return
        name, kind = told.get("name", ""), told.get("type", "text")
        if tag == "textarea":
            self.area = (name, [])
        elif tag == "select":
            self.select = name
        elif tag == "option" and self.select and "selected" in told:
            self.sent.append((self.select, told.get("value", "")))
        elif tag != "input" or not name or kind in ("submit", "button", "reset", "file"):
            return
        elif kind in ("checkbox", "radio"):
            if "checked" in told:
                self.sent.append((name, told.get("value", "on")))
        else:
            # An <input> has one line: the browser takes the breaks of its value away.
            self.sent.append((name, told.get("value", "").replace("\n", "").replace("\r", "")))

    def handle_data(self, data: str) -> None:
        if self.area:
            self.area[1].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self.area:
            name, parts = self.area
            text = "".join(parts).replace("\r\n", "\n").replace("\r", "\n")
            # The break right behind the tag is none of the text, and breaks are sent as CRLF.
            self.sent.append((name, text.removeprefix("\n").replace("\n", "\r\n")))
            self.area = None
        elif tag == "select":
            self.select = ""
        elif tag == "form":
            self.inside = False


def sent_by_browser(page: str, form: str) -> dict[str, Any]:
    """As the test client posts it: a list where a name is there more than once."""
    reader = _Fields(form)
    # The browser reads every kind of break in the source as one.
    reader.feed(page.replace("\r\n", "\n").replace("\r", "\n"))
    reader.close()
    data: dict[str, Any] = {}
    for name, value in reader.sent:
        if name in data:
            data[name] = [*(data[name] if isinstance(data[name], list) else [data[name]]), value]
        else:
            data[name] = value
    assert data, f"no form {form} on the page"
    return {name: value for name, value in data.items() if "__prefix__" not in name}
