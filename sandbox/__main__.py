"""``python -m sandbox``: starts a Bitrix24 on your own machine and says where it listens."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import ssl
import sys
import threading
import time
from pathlib import Path

from sandbox import settings
from sandbox.app import App
from sandbox.control_routes import Sandbox
from sandbox.courier import Courier
from sandbox.handler_calls import HandlerCalls
from sandbox.http_server import Answer, Reply, Request, SandboxServer
from sandbox.installation import Installations
from sandbox.keeper import Keeper
from sandbox.processes import Processes
from sandbox.running import Running
from sandbox.world import SERVERS, World

PR_SET_PDEATHSIG = 1


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A Bitrix24 portal on your own machine."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8025, help="port to listen on, 0 for any (8025)")
    parser.add_argument(
        "--west-port", type=int, help="a port of its own for the western token server, 0 for any"
    )
    parser.add_argument("--ru-port", type=int, help="a port of its own for the RU token server, 0 for any")
    parser.add_argument("--tls-cert", help="certificate file: serve https")
    parser.add_argument("--tls-key", help="key file of the certificate")
    parser.add_argument("--ca", help="file of authorities to trust when handlers are called by https")
    parser.add_argument("--state", default="var/sandbox", help="folder of the snapshot (var/sandbox)")
    parser.add_argument("--no-snapshot", action="store_true", help="start empty and keep nothing")
    parser.add_argument(
        "--keep", type=int, default=20_000, help="ended processes to keep for each portal (20000)"
    )
    parser.add_argument("--threads", type=int, default=64, help="handler calls at once (64)")
    parser.add_argument(
        "--demo", action="store_true", help="make portals alfa and beta and application app.demo"
    )
    parser.add_argument("--hub", default="http://127.0.0.1:8000", help="address of the hub for --demo")
    parser.add_argument(
        "--die-with-parent", action="store_true", help="end when the process that started this ends"
    )
    return parser


def _follow_parent() -> None:
    """SIGTERM to this process once its parent is gone: by the kernel on Linux, by looking elsewhere."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def main(argv: list[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    if options.die_with_parent:
        _follow_parent()
    if bool(options.tls_cert) != bool(options.tls_key):
        print("sandbox: --tls-cert and --tls-key go together", file=sys.stderr)
        return 2
    tls = None
    if options.tls_cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.tls_cert, options.tls_key)
    trusted = ssl.create_default_context(cafile=options.ca)

    world = World(keep_processes=options.keep)
    courier = Courier(options.threads, trusted)
    engine = Processes(world, HandlerCalls(world, courier))
    sandbox = Sandbox(world, courier, engine, Running(world, engine), Installations(world, courier))
    app = App(sandbox)
    scheme = "https" if tls else "http"
    try:
        servers = [SandboxServer((options.host, options.port), app.answer, tls)]
        world.base = f"{scheme}://{shown(options.host)}:{servers[0].server_address[1]}"
        for name, port in zip(SERVERS, (options.west_port, options.ru_port), strict=True):
            if port is not None:
                servers.append(SandboxServer((options.host, port), token_server(app, name), tls))
                world.server_urls[name] = f"{scheme}://{shown(options.host)}:{servers[-1].server_address[1]}"
    except OSError as error:
        print(
            f"sandbox: cannot listen on {options.host}: {error.strerror} (choose another --port)",
            file=sys.stderr,
        )
        return 1

    keeper = Keeper(world, engine, None if options.no_snapshot else Path(options.state))
    keeper.restore()
    if options.demo:
        settings.demo(world, options.hub)
    world.clock.start()
    keeper.start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()
    print(f"sandbox listening on {world.base}", flush=True)
    for name in world.server_urls:
        print(f"sandbox token server {name} on {world.server_url(name)}", flush=True)
    stop.wait()
    for server in servers:
        server.shutdown()
    world.clock.stop()
    courier.stop()
    keeper.stop()
    return 0


def shown(host: str) -> str:
    """The host of the addresses given out: all interfaces are reached by loopback."""
    if host in ("", "0.0.0.0"):  # noqa: S104  (compared with, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def token_server(app: App, name: str) -> Answer:
    def answer(request: Request) -> Reply:
        return app.token_server_only(name, request)

    return answer


if __name__ == "__main__":
    sys.exit(main())
