"""What the codes of attempts mean, in words; a portal's own codes are shown as the portal says them."""

from __future__ import annotations

from django.utils.translation import gettext as _

from handlers.models import Attempt, Cause


def words_of(code: str) -> str:
    """The code as a person says it; an unknown one as it is."""
    known = {
        "replay": _("replayed it"),
        "release": _("released the process"),
        "lost": _("the result was lost, and is sent again"),
        "locked": _("the process is held by the portal just now"),
        "stuck": _("the portal took the result, yet the process still waits"),
        "sender_lost": _("the process that sent it died"),
        "worker_lost": _("the worker that computed it died"),
        "runner_unavailable": _("the runner could not start"),
        "bucket": _("the portal's limit of requests was reached"),
        "QUERY_LIMIT_EXCEEDED": _("the portal's limit of requests was reached (QUERY_LIMIT_EXCEEDED)"),
        "OPERATION_TIME_LIMIT": _("the portal's limit of computing time was reached (OPERATION_TIME_LIMIT)"),
        "404": _("the portal does not know the process (404)"),
        "423": _("the process is locked on the portal (423)"),
        "402": _("the portal's licence has reached its limit (402)"),
        "499": _("the process was terminated (499)"),
        **{value: str(label) for value, label in Cause.choices},
    }
    return known.get(code, code)


def title_of(attempt: Attempt) -> str:
    """The heading of an attempt in the story of its call."""
    titles = {
        Attempt.Step.ACCEPT: _("Taken in, with a remark: %(code)s"),
        Attempt.Step.COMPUTE: _("Computing went wrong: %(code)s"),
        Attempt.Step.SEND: _("Sending went wrong: %(code)s"),
        Attempt.Step.CONFIRM: _("Asked whether it arrived: %(code)s"),
        Attempt.Step.PERSON: _("%(actor)s %(code)s"),
    }
    return titles[Attempt.Step(attempt.step)] % {
        "code": words_of(attempt.code),
        "actor": attempt.actor or _("A person"),
    }
