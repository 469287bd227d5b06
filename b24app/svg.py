"""Charts as SVG from the server: no script, colours from the stylesheet, words for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH, HEIGHT, TOP, BOTTOM = 960, 160, 10, 22


@dataclass(frozen=True)
class Bar:
    """One column: `parts` from the bottom up as (css class, amount), said in `words`, leading to `href`."""

    label: str
    parts: Sequence[tuple[str, int]]
    words: str
    href: str

    @property
    def total(self) -> int:
        return sum(amount for _tone, amount in self.parts)


def bars(columns: Sequence[Bar], title: str, every: int = 3) -> SafeString:
    """A stacked bar chart; each bar is a link; every `every`th has its label below."""
    highest = max((column.total for column in columns), default=0) or 1
    step = WIDTH / max(len(columns), 1)
    room = HEIGHT - TOP - BOTTOM
    drawn = []
    for place, column in enumerate(columns):
        x = round(place * step + step * 0.12, 1)
        width = round(step * 0.76, 1)
        bottom = float(HEIGHT - BOTTOM)
        rectangles = []
        for tone, amount in column.parts:
            if not amount:
                continue
            # A single failed call among thousands is still to be seen.
            height = max(amount / highest * room, 2.0)
            bottom -= height
            rectangles.append((tone, x, round(bottom, 1), width, round(height, 1)))
        drawn.append(
            format_html(
                '<a href="{}" aria-label="{}"><title>{}</title>'
                '<rect class="hub-bar-field" x="{}" y="{}" width="{}" height="{}"></rect>{}</a>{}',
                column.href,
                column.words,
                column.words,
                x,
                TOP,
                width,
                room,
                format_html_join(
                    "", '<rect class="hub-bar-{}" x="{}" y="{}" width="{}" height="{}"></rect>', rectangles
                ),
                format_html(
                    '<text x="{}" y="{}" text-anchor="middle">{}</text>',
                    round(x + width / 2, 1),
                    HEIGHT - 6,
                    column.label,
                )
                if place % every == 0
                else "",
            )
        )
    return format_html(
        '<svg class="hub-chart" viewBox="0 0 {} {}" role="group" aria-label="{}">'
        '<line x1="0" x2="{}" y1="{}" y2="{}"></line>{}</svg>',
        WIDTH,
        HEIGHT,
        title,
        WIDTH,
        HEIGHT - BOTTOM,
        HEIGHT - BOTTOM,
        format_html_join("", "{}", ((each,) for each in drawn)),
    )
