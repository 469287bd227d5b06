"""Portals that save their processes late: how long their first sendings wait (contract §7).

A result that comes before its process is saved is lost (older generation: an early 404). From then on the portal's
first sendings wait, longer with each loss and a little shorter with each arrival.

A look that saw a process move can't tell an arrival from a process that was saved late, after a result that came
too early and was lost. The quiet repeat settles that for the process; for the portal it is told apart by one more
look at one of a request's repeats, moments later (`AFTERMATH`): where the process moved by the repeat, the first
sending was lost, and the portal's first sendings wait longer from then on.
"""

from __future__ import annotations

import datetime as dt

from handlers.models import Confirmation, Invocation
from portals.clock import db_now
from portals.models import Portal

_FIRST, _LONGEST, _GROWS = 0.5, 10.0, 1.5
_SHRINKS = 0.995
# A process goes on right after the answer to the repeat; by then it has.
AFTERMATH = 3.0
# A repeat later than this may be owed to a lock, which teaches nothing of how late processes are saved.
_TEACHES_WITHIN = 60.0


def wait(portal: Portal, row: Invocation) -> float:
    """Seconds until the row's first sending may go: of its call's own time whole seconds are known, and it came in
    moments after."""
    if not portal.send_delay:
        return 0.0
    return max(0.0, portal.send_delay - (db_now() - row.received_at).total_seconds())


def lengthened(delay: float) -> float:
    """The learned delay before a first send, after one was lost to a process not yet saved."""
    return min(max(_FIRST, delay * _GROWS), _LONGEST)


def shortened(delay: float) -> float:
    """After one that was sent once and arrived."""
    return delay * _SHRINKS


def teaches(portal: Portal, row: Invocation, sent: dt.datetime) -> bool:
    """Whether the loss of a first sending says that the portal's are sent too early: it waited as long as one does
    now, and not much longer than any would."""
    waited = (sent - row.received_at).total_seconds()
    return portal.send_delay - 0.01 <= waited < _LONGEST


def repeat_teaches(portal: Portal, row: Invocation, now: dt.datetime) -> bool:
    """Whether a look after this quiet repeat tells something of the portal."""
    return (
        row.confirmation == Confirmation.REPEAT
        and row.sends == 1
        and row.sent_at is not None
        and (now - row.called_at).total_seconds() < _TEACHES_WITHIN
        and teaches(portal, row, row.sent_at)
    )


def note_early(portal: Portal) -> None:
    """A first send met a process that was not saved yet (an early 404): the next ones wait a little longer."""
    longer = lengthened(portal.send_delay)
    Portal.objects.filter(pk=portal.pk, send_delay__lt=longer).update(send_delay=longer)
    portal.send_delay = longer
