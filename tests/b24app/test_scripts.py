"""Scripts of an operator: what they make of settings and files. What they do to a hub is shown by system tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from b24app import env
from scripts import backup, replace_web


def test_postgresql_programs_are_told_all_of_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "postgres://hub:word@db.example.com:5433/robots?sslmode=verify-full&sslrootcert=/ca.pem"
    monkeypatch.setenv("DATABASE_URL", address)
    told = backup.postgresql(env.database(debug=False))
    wanted = {
        "PGHOST": "db.example.com",
        "PGPORT": "5433",
        "PGUSER": "hub",
        "PGPASSWORD": "word",
        "PGDATABASE": "robots",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/ca.pem",
    }
    assert wanted.items() <= told.items()


@pytest.mark.parametrize(("alive", "said"), [(True, "under way"), (False, "No new master")])
def test_a_dead_masters_file_does_not_forbid_replacing(
    alive: bool,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "web.pid").write_text(f"{os.getpid()}")
    (tmp_path / "web.pid.2").write_text(f"{os.getppid() if alive else dead.pid}")
    sent: list[int] = []
    kill = os.kill
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number) if number else kill(pid, 0))
    monkeypatch.setattr(sys, "argv", ["replace_web.py", str(tmp_path / "web.pid"), "--seconds", "0"])
    assert replace_web.main() == 1
    assert said in capsys.readouterr().err
    assert sent == ([] if alive else [signal.SIGUSR2])
