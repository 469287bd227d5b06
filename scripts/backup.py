"""Backs up the hub's database: `python scripts/backup.py FOLDER`. The hub may go on working meanwhile.

Reads the settings of the hub (environment, .env). Writes FOLDER/database.dump (PostgreSQL, by pg_dump) or
FOLDER/database.sqlite3, and FOLDER/manifest.json. Not in it: ENCRYPTION_KEYS, without which nothing secret in
the backup opens; keep them elsewhere. Exit status: 0 done, 1 not done, 2 used wrongly.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="made by this; must not be there or be empty")
    folder: Path = parser.parse_args().folder
    if folder.exists() and any(folder.iterdir()):
        print(f"{folder} is not empty; name another.", file=sys.stderr)
        return 2
    database = configured()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if database["ENGINE"].endswith("sqlite3"):
        file = folder / "database.sqlite3"
        with closing(sqlite3.connect(database["NAME"])) as source, closing(sqlite3.connect(file)) as target:
            source.backup(target)
    else:
        file = folder / "database.dump"
        done = subprocess.run(
            ["pg_dump", "--format=custom", "--no-owner", f"--file={file}"], env=postgresql(database)
        )
        if done.returncode:
            print("pg_dump failed; there is no backup.", file=sys.stderr)
            shutil.rmtree(folder)
            return 1
    file.chmod(0o600)
    (folder / "manifest.json").write_text(json.dumps(manifest(database), indent=1) + "\n")
    print(f"Backed up to {file} ({file.stat().st_size:,} bytes).")
    return 0


def configured() -> dict[str, Any]:
    """Django's entry of the database; the settings are loaded with it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "b24app.settings")
    import django
    from django.conf import settings

    django.setup()
    found: dict[str, Any] = settings.DATABASES["default"]
    return found


def postgresql(database: dict[str, Any]) -> dict[str, str]:
    """The environment of PostgreSQL's programs: a password on their command line could be read by others.

    What DATABASE_URL says beside the address (`?sslmode=…`) is in it, by libpq's own list of names.
    """
    from psycopg.pq import Conninfo

    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    wanted = {**database.get("OPTIONS", {}), **{name: database.get(key) for name, key in names.items()}}
    told = {
        known.envvar.decode(): str(wanted[known.keyword.decode()])
        for known in Conninfo.get_defaults()
        if known.envvar and wanted.get(known.keyword.decode())
    }
    return {**os.environ, **told}


def manifest(database: dict[str, Any]) -> dict[str, Any]:
    """When, of what, and by which keys its secrets are closed (hashes: they open nothing)."""
    from django.db import connection
    from django.db.migrations.recorder import MigrationRecorder

    from portals.crypto import keyed_hashes

    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "vendor": connection.vendor,
        "migrations": sorted(
            f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations()
        ),
        # The first closes what is written; what was written before may still need the others.
        "keys": [each.hex() for each in keyed_hashes("backup")],
    }


if __name__ == "__main__":
    sys.exit(main())
