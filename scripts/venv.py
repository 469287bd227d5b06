"""Makes .venv and installs pinned requirements into it: `python3 scripts/venv.py STAMP FILE…`.

Run by make with the system's Python where a requirements file is newer than the stamp. Shows how far it is,
since the first time takes a minute; says what is missing where the system lacks something.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"


def main(stamp: Path, files: list[str]) -> int:
    if not (VENV / "bin" / "pip").exists():
        print(f"Making .venv with Python {sys.version.split()[0]} …", flush=True)
        made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True)
        if made.returncode:
            hint = (
                " On Debian: apt-get install python3-venv" if "ensurepip" in made.stdout + made.stderr else ""
            )
            return _stop(f"The virtual environment could not be made.{hint}\n{made.stdout}{made.stderr}")
    if (status := _install(files)) == 0:
        stamp.touch()
    return status


def _install(files: list[str]) -> int:
    names = [
        line
        for file in files
        for line in (ROOT / file).read_text().splitlines()
        if re.match(r"\w\S*==", line)
    ]
    started = time.monotonic()
    print(f"Installing {len(names)} pinned packages (once; a minute or so) …", flush=True)
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--require-hashes", "--no-deps"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    for file in files:
        command += ["-r", str(ROOT / file)]
    output: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        done = 0
        for line in pip.stdout or ():
            output.append(line)
            if line.startswith(("Collecting ", "Requirement already satisfied:")):
                done += 1
                package = (
                    line.removeprefix("Requirement already satisfied:").removeprefix("Collecting").split()[0]
                )
                _show(f"  {done}/{len(names)} {package}", done)
            elif line.startswith("Installing collected"):
                _show("  unpacking …", 0)
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    if pip.returncode:
        return _stop("".join(output[-30:]) + "Packages could not be installed; the lines above are pip's.")
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)
    return 0


def _show(text: str, done: int) -> None:
    if sys.stdout.isatty():
        print(f"\r\033[K{text[:78]}", end="", flush=True)
    elif done % 20 == 0:
        print(text, flush=True)


def _stop(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(ROOT / sys.argv[1], sys.argv[2:]))
