"""The environment, read once: every setting is named, typed, checked, and refused with a sentence.

A secret may also come as a file: `SECRET_KEY_FILE=/run/secrets/key`. A `.env` in the project's root is read
where a variable is not set already.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import secrets
import sys
import zoneinfo
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from environs import EnvError, FileAwareEnv

from portals.crypto import fernet_key

BASE_DIR = Path(__file__).resolve().parent.parent
env = FileAwareEnv(file_suffix="_FILE")
# Names of the settings that were read as secrets, or as addresses that may hold one.
PRIVATE: set[str] = set()


def root() -> Path:
    """The project's root: where manage.py is."""
    return BASE_DIR


def load() -> None:
    """Reads `.env` beside manage.py, if there is one. What is wrong ends a command with its sentence alone."""
    sys.excepthook = _say_what_to_set
    env.read_env(str(BASE_DIR / ".env"), recurse=False)


def _say_what_to_set(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, ImproperlyConfigured):
        print(error, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def text(name: str, default: str = "") -> str:
    return _read(env.str, name, default)


def private(name: str, default: str = "") -> str:
    """As `text`, of what robot code must not see (design §2 rule 8): in its runner it is not set, nor by `.env`."""
    PRIVATE.add(name)
    if runner():
        for spelling in (name, f"{name}_FILE"):
            os.environ.pop(spelling, None)
    return text(name, default)


def flag(name: str, default: bool = False) -> bool:
    return _read(env.bool, name, default)


def number(name: str, default: int, low: int, high: int) -> int:
    value: int = _read(env.int, name, default)
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name} is {value}; set it between {low} and {high}.")
    return value


def comma_list(name: str, default: str = "") -> list[str]:
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def time_zone(name: str, default: str) -> str:
    value = text(name, default)
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ImproperlyConfigured(
            f"{name} is {value[:100]!r}; write a zone such as Europe/Moscow."
        ) from None
    return value


def apps(name: str) -> list[str]:
    """Django apps of the integrator's own. Raises ImproperlyConfigured for one that can't be found."""
    found = comma_list(name)
    for app in found:
        module = app.rpartition(".apps.")[0] or app
        try:
            missing = importlib.util.find_spec(module) is None
        except (ImportError, ValueError):
            missing = True
        if missing:
            raise ImproperlyConfigured(
                f"{name} names {app[:200]!r}, which can't be imported. Install it, or put its folder on PYTHONPATH."
            )
    return found


def broker(name: str) -> str:
    """A broker's URL. Raises ImproperlyConfigured where it is none we know."""
    value = private(name, "filesystem://")
    try:
        parts = urlsplit(value)
        known = parts.scheme == "filesystem" or (
            parts.scheme in ("redis", "rediss", "amqp", "amqps") and bool(parts.hostname)
        )
    except ValueError:
        known = False
    if not known:
        raise ImproperlyConfigured(
            f"{name} can't be read; write filesystem://, redis://host:6379/0 or amqp://user:password@host:5672//."
        )
    return value


def url(name: str, value: str) -> str:
    """`value` without its last slash. Raises ImproperlyConfigured where it is no http(s) URL."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ImproperlyConfigured(
            f"{name} holds {value[:200]!r}; write a URL such as https://hub.example.com."
        )
    return value.rstrip("/")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def secret(name: str, debug: bool) -> str:
    """A secret that production must bring; while DEBUG is on, one is made and kept under `var/`."""
    value = private(name)
    if value:
        return value
    if runner():
        # Robot code runs without our secrets (design §2 rule 8): what it gets opens nothing.
        return Fernet.generate_key().decode()
    if not debug:
        raise ImproperlyConfigured(
            f"{name} is not set. Set {name} (or {name}_FILE) in the environment or in .env; "
            f"docs/operations.md says what it is for. For a try-out on a laptop, set DEBUG=on instead."
        )
    return _kept_secret(name)


def encryption_keys(debug: bool) -> list[str]:
    keys = [key.strip() for key in secret("ENCRYPTION_KEYS", debug).split(",") if key.strip()]
    for place, key in enumerate(keys, 1):
        try:
            fernet_key(key)
        except ValueError as error:
            raise ImproperlyConfigured(f"ENCRYPTION_KEYS, key {place}: {error}.") from None
    return keys


def public_url(debug: bool, default: str) -> str:
    value = text("PUBLIC_URL")
    if not value:
        if not debug and not runner():
            raise ImproperlyConfigured(
                "PUBLIC_URL is not set. Set it to the address Bitrix24 calls this hub by, "
                "such as https://hub.example.com."
            )
        value = default
    return url("PUBLIC_URL", value)


def database(debug: bool) -> dict[str, Any]:
    """Django's DATABASES entry. SQLite paths are relative to the project's root; folders are made."""
    address = text("DATABASE_URL", "sqlite:///var/hub.sqlite3")
    try:
        config: dict[str, Any] = dict(dj_database_url.parse(address))
    except Exception:
        raise ImproperlyConfigured(
            "DATABASE_URL can't be read; write sqlite:///var/hub.sqlite3 or postgres://user:password@host:5432/name."
        ) from None
    engine = config["ENGINE"].rsplit(".", 1)[-1]
    if engine == "sqlite3":
        path = BASE_DIR / config["NAME"]
        path.parent.mkdir(parents=True, exist_ok=True)
        config["NAME"] = str(path)
        config["CONN_MAX_AGE"] = None
        config["OPTIONS"] = {
            # Every read-then-write takes its lock at once; without it thousands of "locked" errors (design §2).
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        }
    elif engine == "postgresql":
        config["CONN_MAX_AGE"] = None
        # A dead database must be an error within moments, never a hang; so no pool either.
        # A process that is paused in a transaction must not hold its rows for ever; an address that swallows
        # everything must not hold a thread for a quarter of an hour.
        config["OPTIONS"] = {
            "connect_timeout": 2,
            "tcp_user_timeout": 20_000,
            "keepalives_idle": 20,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "options": "-c idle_in_transaction_session_timeout=60000",
            **config.get("OPTIONS", {}),
        }
    else:
        raise ImproperlyConfigured("DATABASE_URL must name SQLite or PostgreSQL.")
    return config


def mail(address: str) -> dict[str, Any]:
    """Django's EMAIL_* settings: smtp://user:password@host:587 (STARTTLS where a user is named), smtps://… (TLS
    from the start), file:///a/folder, console:; nothing is sent anywhere without it."""
    parts = urlsplit(address)
    if not address:
        return {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
    if parts.scheme == "console":
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    if parts.scheme == "file" and parts.path:
        return {
            "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "EMAIL_FILE_PATH": parts.path,
        }
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ImproperlyConfigured("EMAIL_URL can't be read; write smtp://user:password@host:587.")
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port or (465 if parts.scheme == "smtps" else 587 if parts.username else 25),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_USE_TLS": parts.scheme == "smtp" and bool(parts.username),
    }


def runner() -> bool:
    """Whether this process is a robot's runner, which holds no secret of ours."""
    return os.environ.get("B24_RUNNER") == "1"


def _read(parse: Any, name: str, default: Any) -> Any:
    if os.environ.get(name) == "":
        # `NAME=` in a file of settings means that it is not set.
        del os.environ[name]
    try:
        return parse(name, default)
    except (EnvError, ValueError, OSError) as error:
        raise ImproperlyConfigured(f"{name} is wrong: {error}") from None


def _kept_secret(name: str) -> str:
    path = BASE_DIR / "var" / f"dev-{name.lower().replace('_', '-')}"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(
                Fernet.generate_key().decode() if name == "ENCRYPTION_KEYS" else secrets.token_urlsafe(50)
            )
    except FileExistsError:
        pass
    return path.read_text()
