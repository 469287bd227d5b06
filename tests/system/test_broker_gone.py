"""A broker that ends, again and again, is no worker's end (design §2 rule 5)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis as redis_client
from kombu import Connection

from tests.chaos.own_servers import Redis
from tests.chaos.proxy import Proxy
from tests.system import servers
from tests.system.processes import ROOT, Process, until
from tests.system.servers import Stack


def a_worker(folder: Path, broker: str, queue: str = "b24-wake") -> Process:
    """Not started; on an SQLite of its own."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = {
        **inherited,
        "SECRET_KEY": "x" * 60,
        "ENCRYPTION_KEYS": "k" * 40,
        "PUBLIC_URL": "http://127.0.0.1:1",
        "DATABASE_URL": f"sqlite:///{folder}/hub.sqlite3",
        "CELERY_BROKER_URL": broker,
        "CELERY_QUEUE": queue,
        "SPOOL_DIR": str(folder / "spool"),
        "WORKER_CONCURRENCY": "3",
    }
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
    return Process("worker", [sys.executable, "-m", "celery", "-A", "b24app", "worker"], environment, folder)


def _messages_flow(worker: Process, sender: Process, redis: Redis) -> None:
    def handled() -> int:
        return worker.log.read_text().count("unknown queue")

    before = handled()
    try:
        until(lambda: handled() > before + 20, "messages flow", 150)
    except AssertionError as error:
        # One that is deaf leaves messages in the queue; one that hears nothing has a sender that sends none.
        with redis_client.Redis.from_url(redis.url) as client:
            waiting, held = client.llen("b24-wake"), client.hlen("unacked")
        raise AssertionError(
            f"{error}: {handled() - before} handled, {waiting} in the queue, {held} under way, sender"
            f" {'lives' if sender.alive else 'ended'}: {sender.tail()}\n{worker.tail()}"
        ) from None


def test_a_worker_ends_in_time_while_rabbitmq_is_a_black_hole(tmp_path: Path) -> None:
    stack = Stack("SQLite", "RabbitMQ")
    if reason := servers.missing("RabbitMQ"):
        pytest.skip(reason)
    with servers.own_part(stack, tmp_path) as part:
        broker = urlsplit(part["CELERY_BROKER_URL"])
        proxy = Proxy(broker.hostname or "127.0.0.1", broker.port or 5672)
        through = broker._replace(netloc=f"{broker.username}:{broker.password}@127.0.0.1:{proxy.port}")
        worker = a_worker(tmp_path, through.geturl(), part["CELERY_QUEUE"])
        try:
            worker.start()
            with Connection(part["CELERY_BROKER_URL"]) as connection:
                until(lambda: _consumed(connection, part["CELERY_QUEUE"]), "the worker listens")
            proxy.hang()
            # Fails after ten seconds.
            worker.stop()
        finally:
            worker.end()
            proxy.refuse()


def _consumed(connection: Connection, queue: str) -> bool:
    try:
        with connection.channel() as channel:
            return bool(channel.queue_declare(queue, passive=True).consumer_count)
    except connection.channel_errors:
        return False


def test_a_worker_outlives_redis_with_messages_under_way(tmp_path: Path) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("redis: redis-server is not installed, so none does not answer")
    redis = Redis(tmp_path)
    worker = a_worker(tmp_path, redis.url)
    # As many messages as it takes: what is being acknowledged when Redis ends is what killed workers.
    flood = (
        "import time\nfrom b24app.celery import app\nwhile True:\n"
        "    try: app.send_task('b24app.wake', ['nothing'], retry=False)\n"
        "    except Exception: time.sleep(0.02)\n"
    )
    sender = Process("sender", [sys.executable, "-c", flood], worker.environment, tmp_path)
    try:
        redis.start()
        worker.start()
        until(lambda: len(worker.children()) >= 3, "the worker has its children")
        sender.start()
        for _ in range(4):
            _messages_flow(worker, sender, redis)
            redis.stop()
            redis.start()
            assert worker.alive, worker.tail()
        _messages_flow(worker, sender, redis)
    finally:
        redis.stop()
        for process in (sender, worker):
            process.end()
