"""Backup and restore, as docs/operations.md says, on real processes: no spent refresh token is used again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.system import life
from tests.system.hub import Hub, running
from tests.system.processes import ROOT, until
from tests.system.servers import STACKS, Stack

pytestmark = pytest.mark.system


def script(hub: Hub, name: str, *words: str, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, f"scripts/{name}.py", *words],
        cwd=ROOT,
        env=hub.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


# One stack: a minute and a half for both is more than CI has; SQLite was restored so, too, when this was written.
@pytest.mark.parametrize("stack", STACKS[1:2], ids=str, indirect=True)
def test_a_restored_backup_uses_no_spent_token_and_the_portal_comes_back(stack: Stack) -> None:
    if stack.database == "PostgreSQL" and shutil.which("pg_dump") is None:
        pytest.skip("pg_dump does not answer: it is not installed")
    with running(stack) as hub:
        hub.start()
        life.make_application(hub)
        life.install(hub, "alfa", "event", generation="background")
        life.publish_and_push(hub)
        life.arrives(hub, "alfa", "phone", number="8 (495) 123-45-67")
        life.until_all_ended(hub)
        # One call is under way when the backup is made, and is answered afterwards.
        hub.worker.stop()
        under_way = hub.control.run("alfa", life.CLIENT_ID, "phone", properties={"number": "2"})
        until(lambda: hub.control.process("alfa", under_way)["handler_status"] == 200, "the call is taken in")
        folder = str(hub.folder / "backup")
        script(hub, "backup", folder)
        hub.start_worker()
        assert hub.control.finished("alfa", under_way)["state"] == "finished"
        script(hub, "backup", folder, status=2)

        # After the backup the token is used up, and the authorisation goes on with another.
        hub.control.post("portals/alfa/expire")
        life.arrives(hub, "alfa", "phone", number="8 (495) 765-43-21")
        until(lambda: _figures(hub)["token_exchanges"] >= 2, "the token was renewed")

        for process in (hub.beat, hub.worker, hub.web):
            process.stop()
        said = script(hub, "restore", folder, status=1)
        assert "--replace" in said
        keys = hub.environment["ENCRYPTION_KEYS"]
        hub.environment["ENCRYPTION_KEYS"] = "another-key-that-opens-nothing-of-the-backup-0123456789"
        assert "ENCRYPTION_KEYS" in script(hub, "restore", folder, "--replace", status=1)
        hub.environment["ENCRYPTION_KEYS"] = keys
        _of_a_later_release(hub)
        assert "1 portals' tokens are unverified" in script(hub, "restore", folder, "--replace")
        put_aside = [("delivered", ""), ("failed", "restored")]
        assert sorted(hub.rows("SELECT state, cause FROM handlers_invocation")) == put_aside
        assert hub.rows("SELECT token_state FROM portals_portal") == [("unverified",)]
        assert not hub.rows("SELECT name FROM django_migrations WHERE name = '0009_later'")

        exchanges = _figures(hub)["token_exchanges"]
        hub.start_web()
        hub.start_worker()
        hub.start_beat()
        # A call is taken in and computed; what it brings, or an opening of the application, is the next token.
        process = hub.control.run("alfa", life.CLIENT_ID, "phone", properties={"number": "1"})
        until(lambda: hub.control.process("alfa", process)["handler_status"] == 200, "the call is taken in")
        opened = hub.control.post("portals/alfa/open", client_id=life.CLIENT_ID)
        assert opened["status"] == 200, opened
        assert hub.control.finished("alfa", process)["state"] == "finished"
        life.until_installed(hub, hub.control.get("portals/alfa")["member_id"])
        figures = _figures(hub)
        assert figures["authorisations_killed"] == 0, "a spent refresh token was used again"
        assert figures["token_exchanges"] > exchanges
        life.until_all_ended(hub)


@pytest.mark.parametrize("stack", STACKS[:2], ids=str, indirect=True)
def test_a_backup_that_is_not_whole_takes_nothing_away(stack: Stack) -> None:
    if stack.database == "PostgreSQL" and shutil.which("pg_dump") is None:
        pytest.skip("pg_dump does not answer: it is not installed")
    with running(stack) as hub:
        hub.manage("migrate", "--verbosity", "0")
        application = (life.SLUG, "--name", "Demo", "--client-id", life.CLIENT_ID)
        hub.manage("create_application", *application, text=life.SECRET + "\n")
        script(hub, "backup", str(hub.folder / "backup"))
        file = next((hub.folder / "backup").glob("database.*"))
        whole = file.read_bytes()
        for broken in (whole[: len(whole) // 2], b""):
            file.write_bytes(broken)
            assert "not restored" in script(hub, "restore", str(file.parent), "--replace", status=1)
        file.unlink()
        assert "not restored" in script(hub, "restore", str(file.parent), "--replace", status=1)
        assert hub.rows("SELECT slug FROM portals_application") == [(life.SLUG,)]

        file.write_bytes(whole)
        manifest = file.parent / "manifest.json"
        told = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**told, "keys": [*told["keys"], "00" * 32]}))
        _execute(hub, "DELETE FROM portals_application")
        _of_a_later_release(hub)
        assert "behind the first one" in script(hub, "restore", str(file.parent), "--replace")
        assert hub.rows("SELECT slug FROM portals_application") == [(life.SLUG,)]


def _of_a_later_release(hub: Hub) -> None:
    """What an upgrade that is to be undone has added."""
    _execute(
        hub,
        "CREATE TABLE portals_later (id bigint PRIMARY KEY, portal_id bigint REFERENCES portals_portal(id))",
        "CREATE TABLE portals_alone (id bigint PRIMARY KEY)",
        "INSERT INTO django_migrations (app, name, applied) VALUES ('portals', '0009_later', CURRENT_TIMESTAMP)",
    )


def _execute(hub: Hub, *statements: str) -> None:
    code = f"from django.db import connection as c; [c.cursor().execute(each) for each in {statements!r}]"
    hub.manage("shell", "-c", code)


def _figures(hub: Hub) -> dict[str, Any]:
    return hub.control.stats("alfa")
