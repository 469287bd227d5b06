"""Restores what scripts/backup.py wrote: `python scripts/restore.py FOLDER`. Stop every process of the hub before.

The database of the settings is replaced and brought to this release (`migrate`). `backup_restored` then marks its
tokens as unverified, since a refresh token works once and may be spent since the backup, and puts calls aside that
may have been answered since. `--moved` leaves both as they are: for a machine that takes over from one that was
stopped before the backup.
Exit status: 0 done, 1 not done, 2 used wrongly.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.backup import configured, postgresql  # noqa: E402  (found only now)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="what scripts/backup.py was given")
    parser.add_argument("--moved", action="store_true", help="nothing ran since the backup")
    parser.add_argument("--replace", action="store_true", help="the database holds rows, which are to go")
    chosen = parser.parse_args()
    try:
        manifest: dict[str, Any] = json.loads((chosen.folder / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        print(f"{chosen.folder} holds no backup: {error}", file=sys.stderr)
        return 2
    database = configured()
    if reason := _refused(manifest, chosen.replace):
        print(reason, file=sys.stderr)
        return 1
    if not _put_back(chosen.folder, database):
        print("The database was not restored.", file=sys.stderr)
        return 1
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    if not chosen.moved:
        call_command("backup_restored")
    print(f"Restored the backup of {manifest['at']}. Start the hub now.")
    return 0


def _refused(manifest: dict[str, Any], replace: bool) -> str:
    from django.db import DatabaseError, connection

    from portals.crypto import keyed_hashes
    from portals.models import Portal

    if manifest["vendor"] != connection.vendor:
        return f"The backup is of {manifest['vendor']}, DATABASE_URL names {connection.vendor}."
    if bytes.fromhex(manifest["key"]) not in keyed_hashes("backup"):
        return (
            "The backup's secrets are closed with a key that is not in ENCRYPTION_KEYS. Add it, then restore."
        )
    try:
        full = Portal.objects.exists()
    except DatabaseError:
        full = False
    if full and not replace:
        return "The database holds portals. Name an empty one, or say --replace."
    connection.close()
    return ""


def _put_back(folder: Path, database: dict[str, Any]) -> bool:
    if database["ENGINE"].endswith("sqlite3"):
        import sqlite3
        from contextlib import closing

        target = Path(database["NAME"])
        for rest in (target, Path(f"{target}-wal"), Path(f"{target}-shm")):
            rest.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(folder / "database.sqlite3")) as source,
            closing(sqlite3.connect(target)) as fresh,
        ):
            source.backup(fresh)
        return True
    done = subprocess.run(
        [
            "pg_restore",
            "--clean",
            "--if-exists",
            "--no-owner",
            "--single-transaction",
            f"--dbname={database['NAME']}",
            str(folder / "database.dump"),
        ],
        env=postgresql(database),
    )
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
