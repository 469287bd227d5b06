"""The process itself: start, end, snapshot, TLS, ports of the token servers,
what is printed, the control API's manners."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.sandbox.lab import ROOT, Hub, Lab, Process, eventually, raw_http


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def run(*options: str) -> Process:
        started.append(Process(*options))
        return started[-1]

    yield run
    for process in started:
        if process.process.poll() is None:
            process.stop()


def test_snapshot_brings_everything_back(start: Callable[..., Process], hub: Hub, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    first = start("--state", state)
    lab = Lab(first, hub, {"server": "ru"})
    lab.robot()
    lab.rest("event.bind", {"event": "ONAPPUPDATE", "handler": lab.events})
    process, form = lab.run(timeout=600)
    first.post("clock", {"advance": 100})
    status, _, err = first.stop()
    assert (status, err) == (0, "")
    assert (tmp_path / "state" / "state.json").exists()

    again = start("--state", state)
    lab.sandbox, lab.endpoint = again, again.get(f"portals/{lab.name}")["client_endpoint"]
    assert again.get("clock")["offset"] == 100
    assert lab.rest("bizproc.robot.list").result == ["discount"]
    assert [item["event"] for item in lab.rest("event.get").result] == ["ONAPPUPDATE"]
    assert lab.process(process)["state"] == "waiting"
    other = lab.control("run", code="discount")
    assert lab.send(form).result is True
    assert lab.ended(process)["values"] == {"total": "1"}
    assert other["number"] > process["number"]


def test_snapshot_keeps_timeouts_and_kills(start: Callable[..., Process], hub: Hub, tmp_path: Path) -> None:
    first = start("--state", str(tmp_path))
    lab = Lab(first, hub)
    lab.robot()
    process, _ = lab.run(timeout=600)
    eventually(
        lambda: (
            process["id"] in (tmp_path / "state.json").read_text()
            if (tmp_path / "state.json").exists()
            else None
        )
    )
    first.process.kill()
    first.process.communicate()
    lab.sandbox = again = start("--state", str(tmp_path))
    again.post("clock", {"advance": 601})
    assert lab.ended(process)["is_timeout"] == "1"


def queue_of_five(start: Callable[..., Process], hub: Hub, state: str, hold: threading.Event) -> Lab:
    """A sandbox that sends one call at a time, whose first is not answered; four wait behind it."""
    lab = Lab(start("--state", state, "--threads", "1"), hub)
    lab.robot()
    hub.holds[lab.handler_path] = hold
    lab.control("burst", code="discount", count=5)
    eventually(lambda: len(lab.hub.at(lab.handler_path)) == 1)
    return lab


def restarted(start: Callable[..., Process], lab: Lab, state: str) -> None:
    lab.sandbox = again = start("--state", state, "--threads", "1")
    lab.endpoint = again.get(f"portals/{lab.name}")["client_endpoint"]


def test_calls_in_the_queue_at_the_stop_are_sent_after_the_start_once(
    start: Callable[..., Process], hub: Hub, tmp_path: Path
) -> None:
    hold = threading.Event()
    lab = queue_of_five(start, hub, str(tmp_path), hold)
    assert lab.sandbox.stop()[0] == 0
    hold.set()
    restarted(start, lab, str(tmp_path))
    eventually(lambda: len(lab.hub.at(lab.handler_path)) == 5)
    workflows = [mail.form["workflow_id"] for mail in lab.hub.at(lab.handler_path)]
    assert len(set(workflows)) == 5, "none of them twice, not even the one that was being sent"
    eventually(lambda: lab.stats()["queued"] == 0)
    # What was sent leaves nothing for the start after it.
    assert lab.sandbox.stop()[0] == 0
    restarted(start, lab, str(tmp_path))
    assert lab.stats()["queued"] == 0 and len(lab.hub.at(lab.handler_path)) == 5


def test_calls_in_the_queue_at_a_kill_are_lost(
    start: Callable[..., Process], hub: Hub, tmp_path: Path
) -> None:
    """A snapshot may be older than what was sent after it, and the platform never sends twice."""
    hold = threading.Event()
    lab = queue_of_five(start, hub, str(tmp_path), hold)
    file = tmp_path / "state.json"
    eventually(lambda: file.exists() and file.read_text().count('"queued":1') == 4)
    lab.sandbox.process.kill()
    lab.sandbox.process.communicate()
    hold.set()
    restarted(start, lab, str(tmp_path))
    other, _ = lab.run()
    eventually(lambda: lab.stats()["queued"] == 0)
    assert len(lab.hub.at(lab.handler_path)) == 2
    assert other["id"] == lab.hub.at(lab.handler_path)[-1].form["workflow_id"]


def test_a_snapshot_that_cannot_be_read_is_put_aside(start: Callable[..., Process], tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"format": 2, "state": {"secret"')
    process = start("--state", str(tmp_path))
    assert process.get("info")["portals"] == []
    assert (tmp_path / "state.json.unreadable").exists()


def test_demo_and_reset(start: Callable[..., Process]) -> None:
    process = start("--no-snapshot", "--demo", "--hub", "http://127.0.0.1:9999")
    info = process.get("info")
    assert info["portals"] == ["alfa", "beta"]
    assert process.get("apps/app.demo")["install_url"] == "http://127.0.0.1:9999/b24/main/install/"
    beta = process.get("portals/beta")
    assert (beta["server"], beta["date_format"], beta["time_zone"]) == ("ru", "DD.MM.YYYY", "Europe/Moscow")
    assert process.post("reset")["portals"] == []
    assert process.post("reset", {"demo": True})["portals"] == ["alfa", "beta"]


def test_s2_token_servers_have_ports_of_their_own_where_asked(
    start: Callable[..., Process], hub: Hub
) -> None:
    process = start("--no-snapshot", "--west-port", "0", "--ru-port", "0")
    urls = [server["url"] for server in process.get("info")["servers"].values()]
    assert len({url.rsplit(":", 1)[1] for url in [*urls, process.base]}) == 3
    lab = Lab(process, hub, {"server": "ru"})
    body = {
        "grant_type": "refresh_token",
        "client_id": lab.client_id,
        "client_secret": lab.secret,
        "refresh_token": lab.refresh,
    }
    assert lab.raw("POST", f"{urls[0]}/oauth/token/", data=body).json["error"] == "invalid_grant"
    assert lab.raw("POST", f"{urls[1]}/oauth/token/", data=body).json["server_endpoint"] == f"{urls[1]}/rest/"
    assert lab.raw("GET", f"{urls[1]}/control/info").status == 404, "a token server is nothing else"


def test_tls(start: Callable[..., Process], hub: Hub, tmp_path: Path) -> None:
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key,
            "-out",
            cert,
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )
    process = start("--no-snapshot", "--tls-cert", cert, "--tls-key", key)
    process.web.verify = cert
    assert process.base.startswith("https://")
    lab = Lab(process, hub)
    assert lab.portal["client_endpoint"].startswith("https://")
    assert lab.hub.at(lab.install_path)[-1].query["PROTOCOL"] == "1"
    assert lab.rest("profile").status == 200


@pytest.mark.contract("2.10")
def test_s2_queries_bodies_and_tokens_are_never_printed(start: Callable[..., Process], hub: Hub) -> None:
    process = start("--no-snapshot")
    lab = Lab(process, hub)
    lab.robot()
    _, form = lab.run()
    lab.raw("GET", lab.endpoint + "profile", params={"auth": lab.token, "secretword": "1"})
    lab.send(form)
    lab.send({"event_token": "wrong-secretword"})
    raw_http(process.base, b"nonsense secretword\r\n\r\n")
    raw_http(process.base, b"GET /?secretword HTTP/1.1\r\nHost: x\r\n\r\n")
    _, out, err = process.stop()
    assert "secretword" not in out + err
    assert lab.token not in out + err
    assert err == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_promptly_even_with_requests_held(
    start: Callable[..., Process], hub: Hub, number: int
) -> None:
    process = start("--no-snapshot")
    lab = Lab(process, hub)
    lab.control("faults", kind="silence", seconds=60)
    port = int(process.base.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as held:
        held.sendall(f"GET /p/{lab.name}/rest/profile HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        eventually(lambda: lab.read("faults")["items"][0]["played"] == 1)
        started = time.monotonic()
        os.kill(process.process.pid, number)
        assert process.process.wait(5) == 0
        assert time.monotonic() - started < 3


def test_it_dies_with_its_parent_where_asked() -> None:
    script = (
        "import subprocess,sys,time;"
        "p=subprocess.Popen([sys.executable,'-m','sandbox','--port','0','--no-snapshot','--die-with-parent'],stdout=subprocess.PIPE);"
        "p.stdout.readline();print(p.pid,flush=True);time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()

    def gone() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            return True

    if sys.platform == "linux":
        eventually(gone)


def test_a_taken_port_is_a_sentence(shared: Process) -> None:
    port = shared.base.rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "--port", port, "--no-snapshot"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=20,
    )
    assert done.returncode == 1
    assert "cannot listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_the_options() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "--help"], capture_output=True, text=True, cwd=ROOT, timeout=20
    )
    assert done.returncode == 0
    for option in ("--host", "--port", "--tls-cert", "--tls-key", "--state", "--no-snapshot", "--demo"):
        assert option in done.stdout


def test_control_lists_its_routes_and_answers_in_json(sandbox: Process) -> None:
    routes = sandbox.get("")["routes"]
    readme = (ROOT / "sandbox" / "README.md").read_text()
    for route in routes:
        assert f"`{route}`" in readme, f"README.md does not tell {route}"
    assert sandbox.get("nothing", 404)["error"]
    assert sandbox.get("portals/none", 404)["error"] == "there is no portal 'none'"
    assert sandbox.delete("clock", 405)["error"]
    bad = sandbox.web.post(f"{sandbox.base}/control/portals", data="{", timeout=10)
    assert (bad.status_code, bad.json()["error"]) == (400, "the body is no JSON")


def test_control_refuses_settings_that_are_not_there(sandbox: Process) -> None:
    def refused(**wish: object) -> str:
        return str(sandbox.post("portals", {"name": "wrong", **wish}, 400)["error"])

    assert "colour" in refused(colour="red")
    assert "generation" in refused(generation="tomorrow")
    assert "name" in refused(name="Not A Name")
    assert "deleted" in refused(deleted="x")
    assert "wrong" not in sandbox.get("info")["portals"]
    assert "colour" in sandbox.post("apps", {"colour": "red"}, 400)["error"]


def test_control_refuses_another_sites_page(sandbox: Process) -> None:
    url = f"{sandbox.base}/control/reset"
    foreign = requests.post(url, json={}, headers={"Origin": "https://evil.example"}, timeout=10)
    assert foreign.status_code == 403
    own = requests.post(
        f"{sandbox.base}/control/clock", json={}, headers={"Origin": sandbox.base}, timeout=10
    )
    assert own.status_code == 200


def test_control_processes_come_in_pages(lab: Lab) -> None:
    lab.robot()
    lab.control("burst", code="discount", count=25)
    seen, after = [], 0
    while items := (page := lab.read(f"processes?limit=10&after={after}"))["items"]:
        seen += [item["number"] for item in items]
        after = page["next"]
    assert len(seen) == 25
    assert seen == sorted(set(seen))
    assert len(lab.read("processes?state=waiting&limit=5000")["items"]) == 25
    assert lab.read("processes?state=finished")["items"] == []


def test_control_reset_of_a_portal_keeps_installations_unless_told(lab: Lab) -> None:
    lab.robot()
    lab.run()
    lab.control("faults", kind="500")
    found = lab.control("reset")
    assert found["stats"]["processes"] == 0
    assert found["faults"] == []
    assert lab.rest("bizproc.robot.list").result == ["discount"]
    assert lab.control("reset", installs=True)["installs"] == {}
    assert json.dumps(lab.sandbox.get("stats")).count(lab.name) == 1


def test_ended_processes_are_bounded(start: Callable[..., Process], hub: Hub) -> None:
    process = start("--no-snapshot", "--keep", "10")
    lab = Lab(process, hub)
    lab.robot(USE_SUBSCRIPTION="N")
    lab.control("burst", code="discount", count=40)
    assert len(lab.read("processes?limit=1000")["items"]) == 10
    assert lab.stats()["finished"] == 40
    eventually(lambda: lab.stats()["handler_ok"] == 40)
