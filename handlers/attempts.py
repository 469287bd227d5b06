"""What went wrong on the way, row by row, in words an auditor reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from handlers.models import Attempt
from portals.clock import db_now
from portals.scrub import scrub


@dataclass(slots=True)
class Note:
    """One attempt to be written: `code` as the portal or we name it, `text` a sentence."""

    invocation_id: int
    step: str
    code: str
    text: str = ""
    detail: dict[str, Any] | None = None
    sending_id: int | None = None
    actor: str = ""


def write(notes: list[Note]) -> None:
    """Stores them, scrubbed and cut to their columns."""
    if not notes:
        return
    now = db_now()
    Attempt.objects.bulk_create(
        Attempt(
            invocation_id=note.invocation_id,
            step=note.step,
            at=now,
            code=note.code[:64],
            text=scrub(note.text)[:1000],
            detail=note.detail,
            sending_id=note.sending_id,
            actor=note.actor[:150],
        )
        for note in notes
    )
