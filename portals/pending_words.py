"""What is stored of a pending installation, in the reader's language: it is stored in English, whoever's it was."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from portals import claim, error_words

# As `exchange` refuses; the values are any text.
_REFUSALS = [
    (re.compile(re.sub(r"%\\?\((\w+)\\?\)s", r"(?P<\1>.+?)", re.escape(text))), text)
    for text in (
        gettext_noop("The token belongs to another portal than the form says."),
        gettext_noop("The token server told no usable REST address."),
        gettext_noop(
            "This form was used before, and it works only once. Close the application and open it again on the"
            " portal; reloading the page is not enough."
        ),
        gettext_noop(
            "The token server's answer was lost on the way (%(code)s), and a form works only once. Open the"
            " application again on the portal."
        ),
        gettext_noop("The token server does not confirm it (%(code)s)."),
        gettext_noop(
            "The token server does not confirm it (%(code)s). The portal names the token server %(named)s, which is"
            " not known here; only known ones are asked, so %(asked)s was. Whoever runs this hub can add it to"
            " B24_OAUTH_URLS."
        ),
    )
]
_WAYS = {
    claim.FRAME: gettext_lazy("the installation's page"),
    claim.OPEN: gettext_lazy("the application's page, or a call"),
    claim.EVENT: gettext_lazy("the event of an installation"),
    claim.UPDATE: gettext_lazy("the event of an update"),
    claim.OAUTH: gettext_lazy("the OAuth way in"),
}


def error_of(stored: str) -> str:
    """Why it waits or was refused; as it is stored where a portal or a token server said it."""
    for pattern, text in _REFUSALS:
        if found := pattern.fullmatch(stored):
            return _(text) % found.groupdict()
    return error_words.in_readers_words(stored)


def way_of(way: str) -> str:
    """How the claim came."""
    return str(_WAYS.get(way, way))
