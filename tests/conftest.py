"""What tests of every room share: the stacks that system tests run on, and the closing lines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system import servers


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Counts for `scripts/test.py`, which adds up the runs."""
    target = os.environ.get("B24_TEST_COUNTS")
    if not target:
        return
    counts = {
        name: len(terminalreporter.stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")
    }
    missing = sorted(
        {
            str(report.longrepr[2]).removeprefix("Skipped: ")
            for report in terminalreporter.stats.get("skipped", [])
            if isinstance(report.longrepr, tuple) and "does not answer" in str(report.longrepr[2])
        }
    )
    Path(target).write_text(json.dumps({**counts, "missing": missing}))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The second database's run repeats what touches a database, and nothing else."""
    if not os.environ.get("B24_TEST_DATABASE_ONLY"):
        return
    touches = {"db", "transactional_db", "django_db_setup", "live_server"}
    alone = [
        item
        for item in items
        if item.get_closest_marker("django_db") is None
        and not touches.intersection(getattr(item, "fixturenames", ()))
    ]
    config.hook.pytest_deselected(items=alone)
    items[:] = [item for item in items if item not in set(alone)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `stack` runs once on each database and broker, where it does not choose itself."""
    chosen = any("stack" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "stack" in metafunc.fixturenames and not chosen:
        metafunc.parametrize("stack", servers.STACKS, ids=str, scope="module", indirect=True)


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> servers.Stack:
    """One stack; skipped where a server does not answer, failed where CI promised it."""
    wanted: servers.Stack = request.param
    reason = servers.lacking(wanted)
    if reason and servers.in_ci():
        pytest.fail(f"{wanted}: {reason}, and CI=true says that it must")
    if reason:
        pytest.skip(f"{wanted}: {reason}")
    return wanted


@pytest.fixture(scope="session", autouse=True)
def no_background_work() -> None:
    """What wake-up threads do between messages is called by tests themselves: a thread of the test process
    would hold the test database open and race with what is asserted."""
    from portals import wake

    wake.idle_hooks.clear()


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    """PostgreSQL empties fifty tables by TRUNCATE in a tenth of a second, by DELETE of the few rows of a test in a
    hundredth. Where many rows were made they are truncated, so that what comes after them is no slower."""
    from django.db.backends.postgresql.operations import DatabaseOperations

    truncate = DatabaseOperations.sql_flush

    def flush(self: DatabaseOperations, style: Any, tables: Any, **how: Any) -> list[str]:
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT COALESCE(max(pg_relation_size(oid)), 0) FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace = 'public'::regnamespace"
            )
            large = cursor.fetchone()[0] > 1_000_000
        if large or how.get("reset_sequences"):
            return truncate(self, style, tables, **how)
        return ["; ".join(f"DELETE FROM {self.quote_name(table)}" for table in tables)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", flush)
        yield


@pytest.fixture(autouse=True)
def own_minute() -> None:
    """How many refusals a process may write down in a minute is counted for each test."""
    from handlers import refusals
    from portals import pending

    refusals.forget()
    pending.begin_again()


@pytest.fixture(autouse=True)
def own_spool(settings: Any, tmp_path: Path) -> None:
    """What one test keeps on disk (calls, a token server's answers) is no other's."""
    from handlers import spool

    settings.SPOOL_DIR = tmp_path / "spool"
    spool._failed = spool.NEVER
