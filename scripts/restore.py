"""Restores what scripts/backup.py wrote: `python scripts/restore.py FOLDER`. Stop every process of the hub before.

The database of the settings is emptied, filled from the backup (both or neither) and brought to this release
(`migrate`). `backup_restored` then marks its tokens as unverified, since a refresh token works once and may be
spent since the backup, and puts calls aside that may have been answered since. `--moved` leaves both as they are:
for a machine that takes over from one that was stopped before the backup.
Exit status: 0 done, 1 not done, 2 used wrongly.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

# `pg_restore --clean` drops what the backup knows, and fails where a later release's table hangs on it. What an
# extension brought stays.
_EMPTY = """
SET LOCAL client_min_messages = warning;
SET LOCAL idle_in_transaction_session_timeout = 0;
DO $$
DECLARE each record;
BEGIN
    FOR each IN
        SELECT 'TABLE' AS kind, oid::regclass::text AS name FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
        UNION ALL
        SELECT 'ROUTINE', oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    LOOP
        EXECUTE format('DROP %s IF EXISTS %s CASCADE', each.kind, each.name);
    END LOOP;
END $$;
"""
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

    try:
        call_command("migrate", verbosity=0)
        if not chosen.moved:
            call_command("backup_restored")
    except Exception:
        print("The backup is in the database but not ready. Start nothing; restore again.", file=sys.stderr)
        raise
    print(f"Restored the backup of {manifest['at']}. Start the hub now.")
    return 0


def _refused(manifest: dict[str, Any], replace: bool) -> str:
    from django.db import DatabaseError, connection

    from portals.crypto import keyed_hashes
    from portals.models import Portal

    if manifest["vendor"] != connection.vendor:
        return f"The backup is of {manifest['vendor']}, DATABASE_URL names {connection.vendor}."
    first, *others = (bytes.fromhex(key) in keyed_hashes("backup") for key in manifest["keys"])
    if not first:
        return (
            "The backup's secrets are closed with a key that is not in ENCRYPTION_KEYS. Add it, then restore."
        )
    if not all(others):
        print(
            "A key that the hub had behind the first one at the backup is not in ENCRYPTION_KEYS. Add it, unless"
            " rotate_encryption_keys had ended well before the backup.",
            file=sys.stderr,
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
        return _put_back_file(folder / "database.sqlite3", Path(database["NAME"]))
    return _put_back_dump(folder / "database.dump", postgresql(database))


def _put_back_file(backup: Path, target: Path) -> bool:
    """The old database goes only once the whole backup lies beside it."""
    fresh = Path(f"{target}.restored")
    try:
        with (
            closing(sqlite3.connect(f"{backup.resolve().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(fresh)) as copy,
        ):
            source.backup(copy)
            told = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
            # An empty file is a database, too.
            copy.execute("SELECT 1 FROM portals_portal LIMIT 1")
        if told != "ok":
            raise sqlite3.DatabaseError(told)
    except sqlite3.Error as error:
        fresh.unlink(missing_ok=True)
        print(f"{backup} could not be copied whole: {error}", file=sys.stderr)
        return False
    # Left beside the new file, they would be applied to it.
    for rest in ("-wal", "-shm", "-journal"):
        Path(f"{target}{rest}").unlink(missing_ok=True)
    fresh.replace(target)
    return True


def _put_back_dump(backup: Path, environment: dict[str, str]) -> bool:
    """In one transaction, from the emptying on: what fails midway leaves all as it was."""
    psql = subprocess.Popen(
        ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"],
        env=environment,
        stdin=subprocess.PIPE,
        bufsize=0,
    )
    into: Any = psql.stdin
    try:
        into.write(f"BEGIN;\n{_EMPTY}\n".encode())
        told = subprocess.run(
            ["pg_restore", "--clean", "--if-exists", "--no-owner", "--file=-", str(backup)],
            stdout=into,
        )
        # Not told to commit, psql ends without.
        if told.returncode == 0:
            into.write(b"\nCOMMIT;\n")
        into.close()
    except BrokenPipeError:
        # psql met an error and said so.
        psql.wait()
        return False
    return psql.wait() == 0 and told.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
