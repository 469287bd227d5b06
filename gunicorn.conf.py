"""How gunicorn serves the hub: `gunicorn b24app.wsgi`; `--bind` and every other option on the line win."""

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

_ROOT = Path(__file__).resolve().parent


def _setting(name: str, default: str = "") -> str:
    """From the environment, else from `.env`: the settings module itself is for the workers to load."""
    return os.environ.get(name) or dotenv_values(_ROOT / ".env").get(name) or default


wsgi_app = "b24app.wsgi"
bind = "127.0.0.1:8000"
worker_class = "gthread"
workers = int(_setting("WEB_CONCURRENCY") or max(2, multiprocessing.cpu_count()))
threads = int(_setting("WEB_THREADS") or 16)
# A burst waits here for its turn; what does not fit is lost for good (contract §6).
backlog = 2048
# Idle kept-alive connections included.
worker_connections = 1000
keepalive = 15
timeout = 60
# SIGTERM: what is under way is finished; ten seconds is all a stop may take.
graceful_timeout = 8
# Whose X-Forwarded-* is believed; none without TRUSTED_PROXY.
forwarded_allow_ips = ",".join(part.strip() for part in _setting("TRUSTED_PROXY").split(",") if part.strip())
# The platform's forms are bodies; a long query is nobody's we know.
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
# No access log: addresses and queries of portals are nobody's reading, and the hub keeps its own record.
accesslog = None
errorlog = "-"
loglevel = "info"
# Its folder would be one more thing to make by hand, and nobody asks it anything.
control_socket_disable = True
# A heartbeat on a disk that is busy is late, and the worker then killed for it.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108  (memory, not a file of ours)


# Hooks import inside: what the master loads before the fork would outlive a reload of the code.
def on_starting(server: Any) -> None:
    if os.environ.get("EXIT_WITH_PARENT") == "1":
        from b24app import parent

        parent.follow_if_asked()


def post_fork(server: Any, worker: Any) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "b24app.settings")
    from django.core.exceptions import ImproperlyConfigured

    try:
        from b24app import parent, settings  # noqa: F401  (settings that are wrong are told here)
    except ImproperlyConfigured as error:
        # A sentence, once, instead of sixty lines of traceback from each worker.
        if 1 < worker.age <= server.num_workers:
            sys.exit(0)
        print(f"gunicorn can't start: {error}", file=sys.stderr, flush=True)
        sys.exit(server.APP_LOAD_ERROR)
    # A worker would notice by itself within a second; it might then wait for ever for a thread that hangs.
    parent.follow(parent.end_in_good_order, worker.ppid)


def post_worker_init(worker: Any) -> None:
    """The hub is loaded: what waits on this machine's disk need not wait for the first call; and whoever replaces
    a running web process (scripts/replace_web.py) learns that this worker can serve."""
    from b24app import alarms, loaded, urls  # noqa: F401  (what the first page would load)
    from portals import wake

    loaded.for_good()
    wake.start()
    alarms.start()
    if worker.cfg.pidfile:
        with _ready_file(worker.cfg, os.getppid()).open("a") as file:
            # One short write a worker, so none cuts another: who, of how many.
            file.write(f"{os.getpid()}/{worker.cfg.workers}\n")


def on_exit(server: Any) -> None:
    if server.cfg.pidfile:
        _ready_file(server.cfg, server.pid).unlink(missing_ok=True)


def _ready_file(config: Any, master: int) -> Path:
    return Path(f"{config.pidfile}.ready.{master}")
