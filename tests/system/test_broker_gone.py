"""A broker that ends, again and again, is no worker's end (design §2 rule 5)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.own_servers import Redis
from tests.system.processes import ROOT, Process, until


def test_a_worker_outlives_redis_with_messages_under_way(tmp_path: Path) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("redis: redis-server is not installed, so none does not answer")
    redis = Redis(tmp_path)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = {
        **inherited,
        "SECRET_KEY": "x" * 60,
        "ENCRYPTION_KEYS": "k" * 40,
        "PUBLIC_URL": "http://127.0.0.1:1",
        "DATABASE_URL": f"sqlite:///{tmp_path}/hub.sqlite3",
        "CELERY_BROKER_URL": redis.url,
        "SPOOL_DIR": str(tmp_path / "spool"),
        "WORKER_CONCURRENCY": "3",
    }
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
    worker = Process(
        "worker", [sys.executable, "-m", "celery", "-A", "b24app", "worker"], environment, tmp_path
    )
    # As many messages as it takes: what is being acknowledged when Redis ends is what killed workers.
    flood = (
        "import time\nfrom b24app.celery import app\nwhile True:\n"
        "    try: app.send_task('b24app.wake', ['nothing'], retry=False)\n"
        "    except Exception: time.sleep(0.02)\n"
    )
    sender = Process("sender", [sys.executable, "-c", flood], environment, tmp_path)
    try:
        redis.start()
        worker.start()
        until(lambda: len(worker.children()) >= 3, "the worker has its children")
        sender.start()
        for _ in range(4):
            handled = worker.log.read_text().count("unknown queue")
            until(
                lambda n=handled: worker.log.read_text().count("unknown queue") > n + 20, "messages flow", 150
            )
            redis.stop()
            redis.start()
            assert worker.alive, worker.tail()
        handled = worker.log.read_text().count("unknown queue")
        until(lambda: worker.log.read_text().count("unknown queue") > handled, "it works on", 150)
    finally:
        redis.stop()
        for process in (sender, worker):
            process.end()
