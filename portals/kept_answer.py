"""What a token server answered, on this machine's disk before anything else is done with it.

A refresh token is spent by its use (contract §2). Were the answer lost between the token server and the
commit (a crash, a database that went away), the portal would be lost with it. So the answer is kept under the
hash of the token that it cost, encrypted, written with fsync, and forgotten once it is committed; whoever is
about to use that token again on this machine takes the kept answer instead. What is left uncovered is the
moment between the answer's arrival and this write, and a machine that dies with its disk.
"""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from portals.crypto import SecretUnreadable, decrypt, encrypt, keyed_hash, keyed_hashes

log = logging.getLogger(__name__)

# A token server's refresh token would be 180 days old; what nobody came back for in a month, nobody will.
KEEP_SECONDS = 30 * 86_400


def _folder() -> Path:
    return Path(settings.SPOOL_DIR) / "tokens"


def keep(spent: str, answer: dict[str, Any]) -> bool:
    """On disk when this returns True. A disk that takes nothing is told in the log, and no reason to stop."""
    folder = _folder()
    path = folder / keyed_hash(spent).hex()
    fresh = path.with_suffix(f".{os.getpid()}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(encrypt(json.dumps(answer).encode()))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        _sync(folder)
    except OSError as error:
        log.error("A token server's answer could not be kept on disk (%s).", type(error).__name__)
        return False
    return True


def find(spent: str) -> dict[str, Any] | None:
    """The answer that this refresh token cost, where it was never committed; else None."""
    for digest in keyed_hashes(spent):
        try:
            kept: dict[str, Any] = json.loads(decrypt((_folder() / digest.hex()).read_bytes()))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, SecretUnreadable) as error:
            log.error("A kept answer of a token server can't be read (%s).", type(error).__name__)
            continue
        return kept
    return None


def has_any() -> bool:
    """Whether anything is kept on this machine; mostly there is nothing."""
    try:
        return any(_folder().iterdir())
    except OSError:
        return False


def forget(spent: str) -> None:
    """It is committed (or of no use to anybody)."""
    for digest in keyed_hashes(spent):
        try:
            (_folder() / digest.hex()).unlink(missing_ok=True)
        except OSError as error:
            log.warning("A kept answer of a token server can't be removed (%s).", type(error).__name__)


def remove_old() -> int:
    """Answers that nobody came back for; how many."""
    removed = 0
    try:
        for path in list(_folder().iterdir()):
            if time.time() - path.stat().st_mtime > KEEP_SECONDS:
                path.unlink(missing_ok=True)
                removed += 1
    except OSError:
        # No folder: nothing was ever kept.
        return removed
    return removed


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
