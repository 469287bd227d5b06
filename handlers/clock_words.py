"""A moment as the pages of calls show it: one format in all of them, to the second, by the reader's clock."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString


def day(moment: dt.date) -> str:
    """A date in numbers, as the reader's language writes it."""
    return date_format(moment, "SHORT_DATE_FORMAT")


def clock(moment: dt.datetime) -> str:
    """Date and time, `11/24/2026 12:00:05`."""
    local = timezone.localtime(moment)
    return f"{day(local)} {local:%H:%M:%S}"


def two_lines(moment: dt.datetime | None) -> SafeString | str:
    """The same for a narrow column; "–" for none."""
    if moment is None:
        return "–"
    local = timezone.localtime(moment)
    return format_html("{} <br>{}", day(local), f"{local:%H:%M:%S}")
