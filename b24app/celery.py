"""Celery wakes; the database claims (design §2 rule 5).

There is one task, `b24app.wake(queue)`, and one beat entry, the sweep. A message carries nothing but the name
of a queue, so losing every one of them costs the seconds until the next sweep and nothing else.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from celery.beat import Scheduler
from celery.signals import beat_init, celeryd_init, worker_process_init, worker_shutting_down
from kombu.transport import TRANSPORT_ALIASES

from b24app import env, parent
from b24app.rabbit_broker import READ_SECONDS
from portals import stopping, wake

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "b24app.settings")

log = logging.getLogger(__name__)

SWEEP_EVERY = 5.0
# kombu's transports with what made a worker end for good, or never, taken out.
TRANSPORT_ALIASES["filesystem"] = "b24app.folder_broker:Transport"
TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = "b24app.redis_broker:Transport"
TRANSPORT_ALIASES["amqp"] = TRANSPORT_ALIASES["pyamqp"] = "b24app.rabbit_broker:Transport"
TRANSPORT_ALIASES["amqps"] = "b24app.rabbit_broker:SSLTransport"


class MemoryScheduler(Scheduler):
    """A static schedule needs no file: nothing to lock, to corrupt by a second beat, or to leave behind."""

    def setup_schedule(self) -> None:
        self.update_from_dict(self.app.conf.beat_schedule)


def broker_options(url: str, var_dir: Any) -> dict[str, Any]:
    """Transport options by broker; the filesystem's folders are made here, so nobody makes them by hand.

    `filesystem://` keeps them under `var/broker/`, `filesystem:///some/folder` there.
    """
    if url.startswith("filesystem:"):
        root = Path(urlsplit(url).path or var_dir / "broker")
        folders = {name: root / name for name in ("messages", "control", "processed")}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        return {
            "data_folder_in": str(folders["messages"]),
            "data_folder_out": str(folders["messages"]),
            "control_folder": str(folders["control"]),
            "processed_folder": str(folders["processed"]),
            "store_processed": False,
            # The default of one second would be most of a result's latency.
            "polling_interval": 0.05,
        }
    if url.startswith("redis"):
        return {
            "visibility_timeout": 3600,
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "retry_on_timeout": True,
        }
    return {"confirm_publish": False, "read_timeout": READ_SECONDS, "write_timeout": READ_SECONDS}


def configuration() -> dict[str, Any]:
    """Celery's settings, asked for at first use: Django's may still be loading when this is imported."""
    from django.conf import settings

    return {
        "broker_url": settings.CELERY_BROKER_URL,
        "broker_transport_options": broker_options(settings.CELERY_BROKER_URL, settings.VAR_DIR),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_connection_timeout": 2,
        "broker_heartbeat": 10,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_acks_late": False,
        # A poison task came back 15 times in 16 s; the database knows what is undone (design §5).
        "task_reject_on_worker_lost": False,
        "task_publish_retry": False,
        # Two hubs on one broker need a name each, or they take each other's wake-ups.
        "task_default_queue": env.text("CELERY_QUEUE", "b24-wake"),
        "worker_pool": "b24app.pool:TaskPool",
        "worker_concurrency": settings.WORKER_CONCURRENCY,
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_enable_remote_control": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "event_queue_ttl": 60,
        "timezone": "UTC",
        "beat_scheduler": "b24app.celery:MemoryScheduler",
        # Sweeps that piled up cost a look each: a room just swept is left alone (b24app.work).
        "beat_schedule": {
            "sweep": {
                "task": "b24app.wake",
                "schedule": SWEEP_EVERY,
                "args": ["sweep"],
                "options": {"expires": wake.EXPIRES},
            }
        },
        "imports": ["b24app.work"],
    }


app = Celery("b24app")
app.add_defaults(configuration)


@worker_process_init.connect
def _forget_inherited_connections(**_kwargs: Any) -> None:
    """A connection made before the fork must not be shared between children."""
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.inc_thread_sharing()
        connection.connection = None


@worker_process_init.connect
def _end_with_the_main_process(**_kwargs: Any) -> None:
    """A child of a main process that was killed must not go on claiming work that nobody can stop."""
    parent.follow(parent.end_now)


@worker_process_init.connect
def _warm_the_runner(**_kwargs: Any) -> None:
    """Beside the child's own start, which Celery gives four seconds: the first call need not wait for it."""
    from handlers import compute

    threading.Thread(target=_warm, args=[compute.runner()], name="runner-start", daemon=True).start()


def _warm(runner: Any) -> None:
    from robots.runner import RunnerUnavailable

    try:
        runner.warm()
    except RunnerUnavailable as error:
        # Told again, and acted on, by the first row that needs it.
        log.warning("the runner does not start: %s", error)


@worker_shutting_down.connect
def _let_the_children_end(**_kwargs: Any) -> None:
    """Where much waits a child would go on for as long as there is anything to do."""
    stopping.tell()


@celeryd_init.connect
@beat_init.connect
def _follow_who_started_us(**_kwargs: Any) -> None:
    parent.follow_if_asked()
