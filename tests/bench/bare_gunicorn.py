"""The bare views are served as the hub is (gunicorn.conf.py), without what the hub starts beside its answers."""

from tests.system.processes import ROOT

exec(compile((ROOT / "gunicorn.conf.py").read_text(), str(ROOT / "gunicorn.conf.py"), "exec"))  # noqa: S102  (our own file)

wsgi_app = "tests.bench.bare:application"
del post_fork, post_worker_init  # noqa: F821  (the file just read makes them)
