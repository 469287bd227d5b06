"""What the codes of attempts mean, in words; a portal's own codes are shown as the portal says them."""

from __future__ import annotations

import re
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from handlers.models import Attempt, Cause, Invocation
from handlers.values_shown import inputs_of
from portals import error_words, errors
from portals.models import Portal

# Attempts whose heading says all that was noted.
_SAID_BY_TITLE = {"worker_lost", "sender_lost", Cause.TOKEN_UNREADABLE}
# Sentences that are stored in English, and how each is found in a stored text.
_STORED = [
    (re.compile(re.escape(text).replace("%g", r"(\S+)").replace("%s", r"(.+)")), text)
    for text in (
        gettext_noop("The robot ran longer than %g seconds."),
        gettext_noop("The robot ran out of memory."),
        gettext_noop("The robot's process was ended by %s."),
        gettext_noop("The robot ended its own process (exit status %s)."),
        gettext_noop("The robot's process ended."),
        gettext_noop("What came with the call can't be read."),
        gettext_noop("No key of ENCRYPTION_KEYS opens one of the portal's settings."),
        gettext_noop("The stored result can't be read."),
    )
]


def words_of(code: str) -> str:
    """The code as a person says it; an unknown one as it is."""
    known = {
        **{value: str(label) for value, label in Portal.Trouble.choices},
        errors.TOKEN_SERVER: _("waits for the token server"),
        "replay": _("replayed it"),
        "release": _("released the process"),
        "acknowledge": _("acknowledged it"),
        "lost": _("the result was lost, and is sent again"),
        "locked": _("the process is held by the portal just now"),
        "stuck": _("the portal took the result, yet the process still waits"),
        "sender_lost": _("the process that sent it died"),
        "worker_lost": _("the worker that computed it died"),
        "runner_unavailable": _("the runner could not start"),
        "bucket": _("the portal's limit of requests was reached"),
        "QUERY_LIMIT_EXCEEDED": _("the portal's limit of requests was reached (QUERY_LIMIT_EXCEEDED)"),
        "OPERATION_TIME_LIMIT": _("the portal's limit of computing time was reached (OPERATION_TIME_LIMIT)"),
        "dropped": _("the connection broke off"),
        "broken_answer": _("the answer broke off"),
        "timeout": _("the portal did not answer in time"),
        "unreachable": _("the portal could not be reached"),
        "request_failed": _("the request failed"),
        "no_json": _("the answer can't be read"),
        "half_answer": _("the answer is incomplete"),
        "not_reached": _("the portal did not get to it"),
        "404": _("the portal does not know the process (404)"),
        "423": _("the process is locked on the portal (423)"),
        "402": _("the portal's licence has reached its limit (402)"),
        "499": _("the process was terminated (499)"),
        **{value: str(label) for value, label in Cause.choices},
    }
    return known.get(code, code)


def title_of(attempt: Attempt) -> str:
    """The heading of an attempt in the story of its call."""
    if attempt.code == Cause.RESTORED:
        return _("Restored from a backup: since then it may have been replayed, released or answered")
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


def details_of(attempt: Attempt, invocation: Invocation) -> list[str]:
    """What else is known of an attempt, once, in the reader's language; as it was stored where nothing tells it.

    Wants the call's portal, version and stored (select_related); makes no query.
    """
    detail = attempt.detail if isinstance(attempt.detail, dict) else {}
    if detail.get("type"):
        return [_error(detail)]
    if attempt.code in _SAID_BY_TITLE or not attempt.text:
        return []
    if attempt.code == Cause.INPUT_WRONG:
        # Read again: the same sentence, unless the portal's date format was set meanwhile.
        return [inputs_of(invocation).problem or attempt.text]
    said = error_words.beside(attempt.code, _in_readers_words(attempt.text))
    return [said] if said else []


def _error(detail: dict[str, Any]) -> str:
    """`ZeroDivisionError in shop/robot_handlers.py, line 14: division by zero`"""
    told = {"type": detail["type"], "file": detail.get("file"), "line": detail.get("line", "?")}
    where = _("%(type)s in %(file)s, line %(line)s") % told if told["file"] else str(told["type"])
    message = str(detail.get("message") or "")[:1000]
    return f"{where}: {message}" if message else where


def _in_readers_words(stored: str) -> str:
    for pattern, text in _STORED:
        found = pattern.fullmatch(stored)
        if found:
            return _(text).replace("%g", "%s") % found.groups()
    return stored
