"""What a person does in a browser, counted, with mouse or keyboard."""

from __future__ import annotations

from playwright.sync_api import Locator, Page

# More than any page of ours has stops.
MOST_STOPS = 400


class Hand:
    """Clicks, counted."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks = page, 0

    def click(self, target: Locator) -> None:
        target.click()
        self.clicks += 1


class Keys:
    """The keyboard alone: Tab to a thing, see where one is, press."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def go_to(self, target: Locator) -> None:
        """By Tab, and by nothing else; fails where it can't be reached or its focus can't be seen."""
        element = target.element_handle()
        assert element is not None
        for _stop in range(MOST_STOPS):
            if element.evaluate("each => each === document.activeElement"):
                seen = element.evaluate(
                    "each => { const s = getComputedStyle(each), p = getComputedStyle(each.parentElement);"
                    " return s.outlineStyle !== 'none' || s.boxShadow !== 'none'"
                    " || s.borderColor !== p.borderColor || s.textDecorationLine !== 'none' }"
                )
                assert seen, f"the focus can't be seen on {element.evaluate('each => each.outerHTML')[:200]}"
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{target} can't be reached by the keyboard")

    def press(self, target: Locator, key: str = "Enter") -> None:
        self.go_to(target)
        self.page.keyboard.press(key)

    def type(self, target: Locator, text: str) -> None:
        self.go_to(target)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)
