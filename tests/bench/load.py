"""Handler calls as a portal makes them, many at once: by wrk where it is installed, else by own threads."""

from __future__ import annotations

import http.client
import re
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus, urlsplit

CONNECTIONS = 16
_HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}
_WRK = """
local run = "%(run)s"
local thread = 0
function setup(t) t:set("number", thread); thread = thread + 1 end
local count = 0
local form = [[%(form)s]]
function request()
  count = count + 1
  local body = form:gsub("EVENT_TOKEN", run .. "." .. number .. "." .. count)
  return wrk.format("POST", nil, {["Content-Type"] = "application/x-www-form-urlencoded"}, body)
end
"""


@dataclass
class Round:
    """What a round of load brought: answers 2xx, others (refused and broken ones too), seconds."""

    good: int
    bad: int
    seconds: float


def form(member_id: str, application_token: str, code: str) -> str:
    """About 1.6 kB, as §6 of the contract has it; EVENT_TOKEN stands for the token, unique each time."""
    fields = {
        "workflow_id": "5f1c7a2e9b3d48.12345678",
        "code": code,
        "document_id[0]": "crm",
        "document_id[1]": "CCrmDocumentDeal",
        "document_id[2]": "DEAL_42",
        "document_type[0]": "crm",
        "document_type[1]": "CCrmDocumentDeal",
        "document_type[2]": "DEAL",
        "use_subscription": "Y",
        "timeout_duration": "0",
        "ts": str(int(time.time())),
        "properties[amount]": "1000.50",
        "properties[percent]": "15",
        "properties[comment]": "a comment of a usual length " * 22,
        "auth[access_token]": secrets.token_hex(35),
        "auth[expires]": str(int(time.time()) + 3600),
        "auth[expires_in]": "3600",
        "auth[scope]": "bizproc,crm",
        "auth[domain]": "p.bitrix24.com",
        "auth[server_endpoint]": "https://oauth.bitrix.info/rest/",
        "auth[status]": "L",
        "auth[client_endpoint]": "https://p.bitrix24.com/rest/",
        "auth[member_id]": member_id,
        "auth[user_id]": "1",
        "auth[refresh_token]": secrets.token_hex(35),
        "auth[application_token]": application_token,
    }
    return "event_token=EVENT_TOKEN&" + "&".join(
        f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields.items()
    )


def load(url: str, body: str, seconds: float) -> Round:
    """One round against one address."""
    return _by_wrk(url, body, seconds) if shutil.which("wrk") else _by_threads(url, body, seconds)


def _by_wrk(url: str, body: str, seconds: float) -> Round:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "calls.lua"
        script.write_text(_WRK % {"run": secrets.token_hex(8), "form": body})
        done = subprocess.run(
            ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(script), url],
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise RuntimeError(f"wrk on {url} ended with {done.returncode}: {done.stderr[-500:]}")
    told = done.stdout
    total = re.search(r"(\d+) requests in ([\d.]+)s", told)
    if not total:
        raise RuntimeError(f"wrk said {told}")
    bad = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", told)))
    bad += sum(sum(map(int, re.findall(r"\d+", line))) for line in re.findall(r"Socket errors:.*", told))
    return Round(int(total[1]) - bad, bad, float(total[2]))


def _by_threads(url: str, body: str, seconds: float) -> Round:
    parts, run = urlsplit(url), secrets.token_hex(8)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    rounds: list[Round] = []
    end = time.monotonic() + seconds

    def one(number: int) -> None:
        mine = Round(0, 0, 0)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        count = 0
        while time.monotonic() < end:
            count += 1
            sent = body.replace("EVENT_TOKEN", f"{run}.{number}.{count}")
            try:
                connection.request("POST", path, sent, _HEADERS)
                answer = connection.getresponse()
                answer.read()
                if answer.status < 300:
                    mine.good += 1
                else:
                    mine.bad += 1
            except (OSError, http.client.HTTPException):
                mine.bad += 1
                connection.close()
        connection.close()
        rounds.append(mine)

    started = time.monotonic()
    threads = [threading.Thread(target=one, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Round(sum(r.good for r in rounds), sum(r.bad for r in rounds), time.monotonic() - started)


def steadily(url: str, body: str, per_second: float, seconds: float) -> tuple[list[float], int]:
    """(seconds until each call was answered, counted from when it was due; answers that were not 2xx).

    Calls start on time whatever became of the former ones, as long as one of 64 connections is free.
    """
    parts, run = urlsplit(url), secrets.token_hex(8)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    calls = iter(range(int(per_second * seconds)))
    turn = threading.Lock()
    times: list[float] = []
    bad: list[int] = []
    began = time.monotonic() + 0.05

    def one() -> None:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        while True:
            with turn:
                number = next(calls, None)
            if number is None:
                break
            due = began + number / per_second
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                connection.request("POST", path, body.replace("EVENT_TOKEN", f"{run}.{number}"), _HEADERS)
                answer = connection.getresponse()
                answer.read()
                if answer.status >= 300:
                    bad.append(answer.status)
            except (OSError, http.client.HTTPException):
                bad.append(0)
                connection.close()
            times.append(time.monotonic() - due)
        connection.close()

    threads = [threading.Thread(target=one) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, len(bad)
