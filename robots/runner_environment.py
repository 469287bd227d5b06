"""The environment a runner is given: that of its parent without its secrets (design §2 rule 8).

The hub's own are those that the settings read as such (`RUNNER_WITHOUT`); what else lies there is known by its name.
`DATABASE_URL` stays, since own apps may use the ORM; `B24_RUNNER=1` tells the settings to do without keys.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping

from django.conf import settings

_SECRET = re.compile(
    r"SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|PRIVATE_?KEY|API_?KEY|ACCESS_?KEY"
    r"|ENCRYPTION_KEYS|BROKER_URL|RESULT_BACKEND|SENTRY_DSN",
    re.IGNORECASE,
)
# libpq reads these beside DATABASE_URL.
_KEPT = re.compile(r"PG[A-Z]+|DATABASE_URL(_FILE)?")


def secret_names(environment: Iterable[str]) -> list[str]:
    """The names, of those given, that a runner must not see; `NAME_FILE` of a secret is as good as the
    secret."""
    own = {spelling for name in settings.RUNNER_WITHOUT for spelling in (name, f"{name}_FILE")}
    return [
        name for name in environment if name in own or (_SECRET.search(name) and not _KEPT.fullmatch(name))
    ]


def runner_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the runner's process is started with; `extra` wins over all of it."""
    kept = dict(os.environ)
    for name in secret_names(list(kept)):
        del kept[name]
    # Where this process found its modules (gunicorn --pythonpath, a test's root) the runner must find them
    # too.
    own = (sys.prefix + os.sep, sys.base_prefix + os.sep)
    kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path and not path.startswith(own))
    kept["B24_RUNNER"] = "1"
    # glibc sets 64 MB of addresses aside for each thread's own heap, and addresses are what the limit counts: a robot
    # that began eight threads could not ("can't start new thread"), now and then.
    kept.setdefault("MALLOC_ARENA_MAX", "2")
    if "DJANGO_SETTINGS_MODULE" not in kept:
        kept["DJANGO_SETTINGS_MODULE"] = getattr(settings, "SETTINGS_MODULE", None) or "b24app.settings"
    kept.update(extra or {})
    return kept
