"""Everything that is checked without running a test: `make check`. All run; one that fails fails it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
# As in production: DEBUG off, https, keys from the environment.
PRODUCTION = {
    "SECRET_KEY": "a-key-for-the-deploy-check-that-opens-nothing-and-is-long-enough-0123456789",
    "ENCRYPTION_KEYS": "a-passphrase-for-the-deploy-check-0123456789",
    "PUBLIC_URL": "https://hub.example.com",
    "TRUSTED_PROXY": "127.0.0.1",
}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        production = {**PRODUCTION, "DATABASE_URL": f"sqlite:///{folder}/check.sqlite3"}
        python, manage = str(BIN / "python"), [str(BIN / "python"), "manage.py"]
        schema = ["spectacular", "--validate", "--fail-on-warn", "--file", f"{folder}/schema.yaml"]
        checks: list[tuple[str, list[str]]] = [
            ("ruff", [str(BIN / "ruff"), "check", "."]),
            ("ruff format", [str(BIN / "ruff"), "format", "--check", "--quiet", "."]),
            ("mypy", [python, "-m", "mypy", "."]),
            ("import-linter", [str(BIN / "lint-imports")]),
            ("makemigrations --check", [*manage, "makemigrations", "--check", "--dry-run"]),
            ("check --deploy", [*manage, "check", "--deploy", "--fail-level", "WARNING"]),
            ("OpenAPI schema", [*manage, *schema]),
            ("contract coverage", [python, "scripts/contract_coverage.py"]),
            ("migration rules", [python, "scripts/migration_rules.py"]),
        ]
        failed = [name for name, command in checks if not _passes(name, command, production)]
    print(
        f"\n{len(checks) - len(failed)} of {len(checks)} checks passed"
        + "".join(f"; {name} failed" for name in failed)
    )
    return 1 if failed else 0


def _passes(name: str, command: list[str], production: dict[str, str]) -> bool:
    print(f"\n=== {name}", flush=True)
    started = time.monotonic()
    status = subprocess.run(command, cwd=ROOT, env={**os.environ, **production}).returncode
    print(
        f"{name}: {'passed' if status == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s", flush=True
    )
    return status == 0


if __name__ == "__main__":
    sys.exit(main())
