"""The hub and a sandbox Bitrix24 on this machine: `make demo`.

Takes the whole way once: migrate, seed, start, install on two portals, push, run each robot, show what the
portals received. Then stays up until Ctrl-C (or SIGTERM, or the end of whoever started it); a second run takes
up where the first ended and leaves drafts, versions and pushes as they are. `ONCE=1` leaves after the scenario,
with status 0 where every result arrived.

From the environment: PORT, SANDBOX_PORT, ONCE, and DEMO_VAR (the folder for everything kept; default `var`).
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.demo_processes import Processes, Stopped  # noqa: E402  (found only now)

VAR = Path(os.environ.get("DEMO_VAR") or ROOT / "var").resolve()
KEPT = VAR / "demo"
LOGS = VAR / "log"
DATABASE = KEPT / "hub.sqlite3"


def main() -> int:
    try:
        port, sandbox_port = _port("PORT", 8000), _port("SANDBOX_PORT", 8900)
    except ValueError as error:
        return _refuse(str(error))
    if port == sandbox_port:
        return _refuse(
            f"PORT and SANDBOX_PORT are both {port}; give each its own: make demo SANDBOX_PORT={_other(port)}"
        )
    once = os.environ.get("ONCE", "") not in ("", "0")
    for folder in (VAR, KEPT, LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    lock = (KEPT / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return _refuse(f"Another demo is running on {KEPT}. End it first (Ctrl-C in its window).")
    for name, number in (("PORT", port), ("SANDBOX_PORT", sandbox_port)):
        if _taken(number):
            return _refuse(f"Port {number} is taken. Choose another one: make demo {name}={number + 100}")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _stop)
    os.environ.update(_environment(port, sandbox_port))
    # SQLite gives its other files the mode of this one.
    DATABASE.touch()
    DATABASE.chmod(0o600)

    processes = Processes(LOGS, dict(os.environ))
    try:
        return _play(processes, port, sandbox_port, once)
    except Stopped as stopped:
        print(f"\n{stopped}" if str(stopped) else "", flush=True)
        return 1 if once or str(stopped) else 0
    finally:
        # A second Ctrl-C must not cut the ending short: it takes ten seconds at most.
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        processes.end()


def _play(processes: Processes, port: int, sandbox_port: int, once: bool) -> int:
    from b24app import parent
    from scripts.demo_scenario import Scenario

    if os.environ.get("EXIT_WITH_PARENT") != "0":
        # Make killed, or the window closed: nobody is left who could end this.
        parent.follow(lambda: os.kill(os.getpid(), signal.SIGTERM))
    hub, sandbox = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
    scenario = Scenario(hub, sandbox, KEPT, processes)
    print("Robot hub, demonstration.")
    print(f"It keeps everything under {_short(KEPT)}, logs in {_short(LOGS)}.\n")
    scenario.prepare()
    scenario.start(port, sandbox_port)
    scenario.install()
    scenario.push()
    arrived = scenario.run()
    if once:
        return 0 if arrived else 1
    password = scenario.password
    print(
        f"\n  Hub       {hub}/admin/      user admin, password {password}"
        f"\n  Sandbox   {sandbox}/      the portals alfa and beta: run robots, order faults"
        f"\n  Health    {hub}/readyz    figures: {hub}/metrics"
        f"\n\nCtrl-C ends everything.",
        flush=True,
    )
    processes.watch()
    return 1


def _environment(port: int, sandbox_port: int) -> dict[str, str]:
    """What the demo's processes run with; keys are made once, or what is stored could not be read again."""
    sandbox = f"http://127.0.0.1:{sandbox_port}"
    kept = KEPT / "keys.json"
    if not kept.exists():
        made = {"SECRET_KEY": secrets.token_urlsafe(50), "ENCRYPTION_KEYS": secrets.token_urlsafe(40)}
        made["CLIENT_SECRET"] = secrets.token_urlsafe(30)
        with os.fdopen(os.open(kept, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            json.dump(made, file)
    keys = json.loads(kept.read_text())
    return {
        "SECRET_KEY": keys["SECRET_KEY"],
        "ENCRYPTION_KEYS": keys["ENCRYPTION_KEYS"],
        "DEMO_CLIENT_SECRET": keys["CLIENT_SECRET"],
        "DJANGO_SETTINGS_MODULE": "b24app.settings",
        "DEBUG": "off",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "DATABASE_URL": f"sqlite:///{DATABASE}",
        "CELERY_BROKER_URL": f"filesystem://{KEPT / 'broker'}",
        "SPOOL_DIR": str(KEPT / "spool"),
        "ROBOT_APPS": "demo.demo_robots",
        "B24_OAUTH_URLS": f"{sandbox}/oauth-west,{sandbox}/oauth-ru",
        "B24_JS_URL": f"{sandbox}/api/v1/",
        "B24_ALLOW_HTTP": "on",
        "PYTHONUNBUFFERED": "1",
    }


def _port(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ValueError(f"{name} is {text!r}; write a number from 1 to 65535.")
    return int(text)


def _taken(port: int) -> bool:
    with socket.socket() as tried:
        # As servers do it: what an ended one leaves behind for a minute does not count.
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _other(port: int) -> int:
    return port + 100 if port <= 65435 else port - 100


def _short(folder: Path) -> str:
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else str(folder)


def _refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


if __name__ == "__main__":
    sys.exit(main())
