"""An alarm in words, in the reader's language: a title, a sentence with its figures, and what to do."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from b24app.alarm import Kind
from portals.models import Portal
from portals.standing import what_to_do

# kind -> (the sentence, what to do); %(…)s are the alarm's params.
_WORDS: dict[str, tuple[Any, Any]] = {
    Kind.CALLS_LATE: (
        _("%(calls)s calls should have been computed by now; the oldest came in %(minutes)s min ago."),
        _("See whether workers run and what their log says; a call's page tells what was tried."),
    ),
    Kind.RESULTS_LATE: (
        _("%(calls)s results should have been sent by now; the oldest call came in %(minutes)s min ago."),
        _("See whether workers run; a call's page tells what was tried, the portal's page its limit."),
    ),
    Kind.UNCONFIRMED: (
        _(
            "Whether %(calls)s results arrived should be known by now; the oldest was taken %(minutes)s min ago."
        ),
        _("See whether workers run; the portal's sendings tell what it answers."),
    ),
    Kind.STUCK: (
        _("%(portal)s took %(calls)s results, sent again since, and their processes still wait."),
        _("Look at the processes on the portal: restart or end them there."),
    ),
    Kind.PORTAL_TROUBLE: (
        _("%(portal)s: %(trouble)s"),
        _("The portal's page says what to do. Its results wait and are sent afterwards."),
    ),
    Kind.PORTAL_NO_ADMIN: (
        _("The token of %(portal)s is not an administrator's."),
        _("Let an administrator open the application there once. Results are sent, pushes wait."),
    ),
    Kind.ROBOT_FAILING: (
        _("Of the last %(calls)s calls of %(robot)s %(failed)s failed."),
        _("Read a failed call in the log: it names the error. Correct it, then replay the calls."),
    ),
    Kind.SWEEPER_SILENT: (
        _("Nothing has been swept for %(minutes)s min: what a dead process held is not taken up."),
        _("See whether beat and a worker run. Web processes ask workers for sweeps meanwhile."),
    ),
    Kind.SWEEP_FAILS: (
        _("Each sweep of “%(room)s” has failed for %(minutes)s min (%(error)s)."),
        _("The worker's log says why, at “a sweep failed”."),
    ),
    Kind.BROKER_AWAY: (
        _("The broker does not answer: workers are not woken. Calls are taken in all the same."),
        _("Bring the broker back; its messages need not be saved."),
    ),
    Kind.DATABASE_AWAY: (
        _("The database does not answer %(machine)s: calls are kept on its disk."),
        _("Bring the database back; the rest goes by itself."),
    ),
    Kind.SPOOL_USED: (
        _("%(calls)s calls have waited on the disk of %(machine)s for %(minutes)s min."),
        _("See whether the database answers that machine, and what its log says."),
    ),
    Kind.SPOOL_FULL: (
        _("The spool of %(machine)s is %(percent)s% full; once it is, calls are refused and lost."),
        _("Bring the database back, or raise SPOOL_MAX_MB and restart."),
    ),
    Kind.SPOOL_BROKEN: (
        _(
            "The disk of %(machine)s keeps no calls (%(error)s): without the database they are refused and lost."
        ),
        _(
            "See to SPOOL_DIR there: the disk's room, its rights, the file in it; the machine's log says more."
        ),
    ),
    Kind.DEAD_LETTERS: (
        _("%(calls)s calls in the spool of %(machine)s can't be read with any key or stored."),
        _(
            "The machine's log says why. Mend that (a key that is missing goes back into ENCRYPTION_KEYS), then run"
            " `manage.py sweep` there: it tries them again."
        ),
    ),
}


def sentence(kind: str, params: dict[str, Any]) -> str:
    """Its figures in a sentence; a figure that an older release did not keep shows as a dash."""
    text = str(_WORDS[kind][0]) if kind in _WORDS else kind
    for name, value in params.items():
        if name == "trouble" and value in Portal.Trouble.values:
            # Kept by its code and told in the reader's words.
            value = Portal.Trouble(value).label
        text = text.replace(f"%({name})s", str(value))
    return text


def to_do(kind: str, params: dict[str, Any]) -> str:
    """What a person does; of a portal's trouble what its page says of it."""
    if advice := what_to_do(str(params.get("trouble", ""))):
        return advice
    return str(_WORDS[kind][1]) if kind in _WORDS else ""


def title(kind: str) -> str:
    return str(Kind(kind).label) if kind in Kind.values else kind
