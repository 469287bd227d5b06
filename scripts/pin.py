"""Pins requirements*.txt anew from requirements*.in, with the hashes of every platform: `make requirements`.

pip-tools lives in an environment of its own, so that neither it nor its pip is among our pins.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "var" / "pip-tools"


def main() -> int:
    if not (TOOLS / "bin" / "pip-compile").exists():
        venv.create(TOOLS, with_pip=True)
        subprocess.run([TOOLS / "bin" / "pip", "install", "--quiet", "pip-tools==7.6.2"], check=True)
    options = ["--quiet", "--upgrade", "--generate-hashes", "--strip-extras", "--no-header"]
    options += ["--no-emit-index-url", "--no-emit-find-links", "--annotation-style", "line"]
    for name in ("requirements", "requirements-dev"):
        print(f"Pinning {name}.txt …", flush=True)
        compiled = [str(TOOLS / "bin" / "pip-compile"), *options, "-o", f"{name}.txt", f"{name}.in"]
        subprocess.run(compiled, check=True, cwd=ROOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
