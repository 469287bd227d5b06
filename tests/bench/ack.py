"""How quickly a call is acknowledged: the hub beside a bare Django view with one INSERT, by turns.

`python -m tests.bench.ack --stack SQLite+filesystem --rounds 10 --seconds 3` prints the median ratio of
answers a second with its spread, and of CPU time a request as the operating system counts it. Above 1 the hub
is better.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench.load import form, load
from tests.system import servers
from tests.system.hub import Hub, running
from tests.system.processes import ROOT, Process, free_port

MEMBER, TOKEN = "b" * 32, "an-application-token-of-the-bench"
SEED = f"""
from portals.models import Application, Portal
from portals.clock import db_now
application = Application.objects.create(slug="demo", name="Bench", client_id="app.bench", client_secret="s")
Portal.objects.create(application=application, member_id="{MEMBER}", application_token="{TOKEN}",
    client_endpoint="https://p.bitrix24.com/rest/", domain="p.bitrix24.com", token_state="working",
    installed_at=db_now())
"""


@dataclass
class Side:
    """Answers a second and CPU seconds a thousand answers, a figure a round."""

    rate: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    bad: int = 0
    good: int = 0


@dataclass
class Report:
    stack: str
    hub: Side
    bare: Side
    machine: str
    rows: int = 0

    def ratios(self) -> tuple[list[float], list[float]]:
        rate = [hub / bare for hub, bare in zip(self.hub.rate, self.bare.rate, strict=True)]
        cpu = [bare / hub for hub, bare in zip(self.hub.cpu, self.bare.cpu, strict=True)]
        return rate, cpu

    def __str__(self) -> str:
        rate, cpu = self.ratios()
        lines = [f"{self.stack}, {len(rate)} rounds, {self.machine}, load {os.getloadavg()[0]:.1f}"]
        for name, side in (("hub", self.hub), ("bare view + INSERT", self.bare)):
            lines.append(
                f"  {name:20} {statistics.median(side.rate):7.0f} answers/s, "
                f"{statistics.median(side.cpu):6.3f} ms CPU an answer, {side.good} good, {side.bad} bad"
            )
        for name, values in (("throughput", rate), ("CPU a request", cpu)):
            lines.append(
                f"  ratio by {name:14} median {statistics.median(values):.2f} "
                f"({min(values):.2f} … {max(values):.2f}; above 1 the hub is better)"
            )
        return "\n".join(lines)


def measure(stack: servers.Stack, rounds: int, seconds: float) -> Report:
    """Both are up all the time, with the same gunicorn settings; one idles while the other is asked."""
    machine = f"{platform.system()} {os.cpu_count()} cores, Python {platform.python_version()}"
    report = Report(str(stack), Side(), Side(), machine)
    with running(stack) as hub, running(stack) as other:
        hub.manage("migrate", "--verbosity", "0")
        hub.manage("shell", "-c", SEED)
        hub.manage("import_catalog", "demo/catalog.yaml", "--publish")
        bare = _bare(other)
        try:
            hub.start_web()
            body = form(MEMBER, TOKEN, "discount")
            version = hub.rows("SELECT max(id) FROM robots_robotversion WHERE code = 'discount'")[0][0]
            addresses = (
                (report.hub, hub.web, f"{hub.url}/b24/demo/handler/?v={version}"),
                (report.bare, bare, f"http://127.0.0.1:{_port(bare)}/call/"),
            )
            for _side, _process, url in addresses:
                load(url, body, 1)
            counted = hub.rows("SELECT count(*) FROM handlers_invocation")[0][0]
            for _round in range(rounds):
                for side, process, url in addresses:
                    _one(side, process, url, body, seconds)
            report.rows = hub.rows("SELECT count(*) FROM handlers_invocation")[0][0] - counted
        finally:
            bare.end()
    return report


def _bare(other: Hub) -> Process:
    environment = other.environment
    subprocess.run(
        [sys.executable, "-c", "from tests.bench import bare; bare.make_table()"],
        env=environment,
        cwd=ROOT,
        check=True,
    )
    command = [sys.executable, "-m", "gunicorn", "tests.bench.bare:application", "-c", "gunicorn.conf.py"]
    process = Process("bare", [*command, "--bind", f"127.0.0.1:{free_port()}"], environment, other.folder)
    process.start()
    process.until_answers(lambda: "Booting worker" in process.log.read_text(), "the bare view is up")
    return process


def _port(process: Process) -> int:
    return int(process.command[-1].rpartition(":")[2])


def _one(side: Side, process: Process, url: str, body: str, seconds: float) -> None:
    before = _cpu(process)
    told = load(url, body, seconds)
    used = _cpu(process) - before
    side.rate.append(told.good / told.seconds)
    side.cpu.append(1000 * used / max(1, told.good))
    side.good += told.good
    side.bad += told.bad


def _cpu(process: Process) -> float:
    """CPU seconds of a process and its children so far."""
    total = 0.0
    for pid in (process.pid, *process.children()):
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists():
            fields = stat.read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        else:
            told = subprocess.run(
                ["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True
            ).stdout
            total += sum(
                float(part) * 60**place for place, part in enumerate(reversed(told.strip().split(":")))
            )
    return total


def main() -> int:
    names = {str(stack): stack for stack in servers.STACKS[:2]}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", choices=[*names, "all"], default="all")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    options = parser.parse_args()
    kept = []
    for name, stack in names.items():
        if options.stack not in (name, "all"):
            continue
        if reason := servers.lacking(stack):
            print(f"{name}: left out, {reason}")
            continue
        report = measure(stack, options.rounds, options.seconds)
        print(report, flush=True)
        kept.append(asdict(report))
    if options.json:
        options.json.write_text(json.dumps(kept, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
