"""The databases and brokers that answer on this machine, and a part of each that is this run's alone."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
import redis
from kombu import Connection

USUAL_DATABASE = "postgres://postgres@127.0.0.1:5432/postgres"
USUAL_BROKERS = "redis://127.0.0.1:6379/0,amqp://guest:guest@127.0.0.1:5672//"


@dataclass(frozen=True)
class Stack:
    """One database and one broker: what a hub runs on."""

    database: str
    broker: str

    def __str__(self) -> str:
        return f"{self.database}+{self.broker}"


STACKS = [Stack("SQLite", "filesystem"), Stack("PostgreSQL", "Redis"), Stack("PostgreSQL", "RabbitMQ")]


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def database_url() -> str:
    """Where the tests' PostgreSQL is looked for; never the one a hub works with."""
    return os.environ.get("TEST_DATABASE_URL") or USUAL_DATABASE


def broker_url(broker: str) -> str:
    schemes = {"Redis": ("redis", "rediss"), "RabbitMQ": ("amqp", "amqps", "pyamqp")}[broker]
    urls = (os.environ.get("TEST_BROKER_URLS") or USUAL_BROKERS).split(",")
    return next((url.strip() for url in urls if url.strip().partition(":")[0] in schemes), "")


@lru_cache
def missing(server: str) -> str:
    """'' where the server answers, else a sentence that says where it was looked for."""
    try:
        if server == "PostgreSQL":
            psycopg.connect(database_url(), connect_timeout=3).close()
        elif server in ("Redis", "RabbitMQ"):
            if not broker_url(server):
                return f"{server} is not in TEST_BROKER_URLS"
            with Connection(broker_url(server), connect_timeout=3) as connection:
                connection.ensure_connection(max_retries=1, timeout=3)
    except Exception as error:
        where = database_url() if server == "PostgreSQL" else broker_url(server)
        return f"{server} does not answer at {where.rpartition('@')[2]} ({type(error).__name__})"
    return ""


def lacking(stack: Stack) -> str:
    """'' where a hub can run on the stack here, else the reason."""
    return missing(stack.database) or missing(stack.broker)


@contextmanager
def own_part(stack: Stack, folder: Path) -> Iterator[dict[str, str]]:
    """DATABASE_URL, CELERY_BROKER_URL and CELERY_QUEUE of a part of the stack that is empty and ours."""
    with _database(stack, folder) as database, _broker(stack, folder) as broker:
        yield {"DATABASE_URL": database, **broker}


@contextmanager
def _database(stack: Stack, folder: Path) -> Iterator[str]:
    if stack.database == "SQLite":
        yield f"sqlite:///{folder / 'hub.sqlite3'}"
        return
    name = f"b24_system_{secrets.token_hex(6)}"
    with psycopg.connect(database_url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield f"{database_url().rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(database_url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def _broker(stack: Stack, folder: Path) -> Iterator[dict[str, str]]:
    queue = f"b24-test-{secrets.token_hex(6)}"
    if stack.broker == "filesystem":
        yield {"CELERY_BROKER_URL": f"filesystem://{folder / 'broker'}", "CELERY_QUEUE": queue}
    elif stack.broker == "Redis":
        with _redis_number() as url:
            yield {"CELERY_BROKER_URL": url, "CELERY_QUEUE": queue}
    else:
        url = broker_url(stack.broker)
        try:
            yield {"CELERY_BROKER_URL": url, "CELERY_QUEUE": queue}
        finally:
            with Connection(url) as connection:
                channel: Any = connection.default_channel
                channel.queue_delete(queue)
                channel.exchange_delete(queue)


@contextmanager
def _redis_number() -> Iterator[str]:
    """An empty database of the server's sixteen, held against other runs for an hour."""
    root = broker_url("Redis").rpartition("/")[0]
    for number in range(15, 0, -1):
        client = redis.Redis.from_url(f"{root}/{number}")
        if client.set("b24-test-run", os.getpid(), nx=True, ex=3600):
            if client.dbsize() == 1:
                try:
                    yield f"{root}/{number}"
                finally:
                    client.flushdb()
                return
            client.delete("b24-test-run")
    raise AssertionError("no Redis database of 1 … 15 is empty; FLUSHDB one of them for the tests")


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="b24-system-", ignore_cleanup_errors=True)
