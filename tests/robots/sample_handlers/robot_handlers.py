"""Robot functions that tests run in a real runner."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from decimal import Decimal

from robots.compute import Call, PortalError, Result, robot_handler


@robot_handler("sample.discount")
def discount(call: Call) -> Result:
    total = call.inputs["amount"] * (100 - call.inputs["percent"]) / 100
    call.log(f"counting {call.id}")
    return Result({"total": total}, log=f"total {total}")


@robot_handler("sample.echo")
def echo(call: Call) -> Result:
    return Result(call.inputs)


@robot_handler("sample.facts")
def facts(call: Call) -> Result:
    return Result(
        {"text": str([call.id, call.code, call.waits, call.workflow_id, call.document, call.portal.domain])}
    )


@robot_handler("sample.says_much")
def says_much(call: Call) -> Result:
    return Result({}, log="x" * 3_995 + call.portal.settings["erp_key"])


@robot_handler("sample.logs_much")
def logs_much(call: Call) -> Result:
    call.log("x" * 3_995 + call.portal.settings["erp_key"])
    return Result({})


@robot_handler("sample.raises_much")
def raises_much(call: Call) -> Result:
    raise ValueError("x" * 1_995 + call.portal.settings["erp_key"])


@robot_handler("sample.rest")
def rest(call: Call) -> Result:
    answer = call.portal.client.call("crm.deal.get", {"id": 5, "sum": Decimal("1.10")})
    return Result({"text": answer["TITLE"]})


@robot_handler("sample.rest_refused")
def rest_refused(call: Call) -> Result:
    try:
        call.portal.client.call("crm.deal.get", {})
    except PortalError as error:
        return Result({"text": f"{error.code}/{error.text}/{error.retry_after}"})
    return Result({})


@robot_handler("sample.rest_unsendable")
def rest_unsendable(call: Call) -> Result:
    told = []
    for method, params in (
        ("crm.deal.update", {"fields": {"X": float("nan")}}),
        ("crm.deal.update", {"fields": {"X": "x" * 9_000_000}}),
        ("crm.\ud800", {}),
    ):
        try:
            call.portal.client.call(method, params)
        except PortalError as error:
            told.append(error.code)
    return Result({"text": f"{told}"})


@robot_handler("sample.rest_uncaught")
def rest_uncaught(call: Call) -> Result:
    call.portal.client.call("crm.deal.get", {})
    return Result({})


@robot_handler("sample.rest_threads")
def rest_threads(call: Call) -> Result:
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(call.portal.client.call("echo", {"n": n})["n"]))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Result({"text": ",".join(map(str, sorted(answers)))})


@robot_handler("sample.settings")
def settings(call: Call) -> Result:
    return Result(
        {"text": call.portal.settings["erp_key"][:2]}, log="key is " + call.portal.settings["erp_key"]
    )


@robot_handler("sample.raises")
def raises(call: Call) -> Result:
    secret = call.portal.settings.get("erp_key", "")
    call.log("before " + secret)
    _deeper(secret)
    return Result({})


def _deeper(secret: str) -> None:
    int(f"no number {secret}")  # the line that tests look for


@robot_handler("sample.json_error")
def json_error(call: Call) -> Result:
    import json

    json.loads("{")  # raises in the standard library: still this line is told
    return Result({})


@robot_handler("sample.exits")
def exits(call: Call) -> Result:
    sys.exit("leaving")


@robot_handler("sample.os_exit")
def os_exit(call: Call) -> Result:
    call.log("last words")
    os._exit(3)


@robot_handler("sample.segfault")
def segfault(call: Call) -> Result:
    os.kill(os.getpid(), 11)
    time.sleep(60)
    return Result({})


@robot_handler("sample.loops")
def loops(call: Call) -> Result:
    call.log("looping")
    while True:
        pass


@robot_handler("sample.hangs_in_c")
def hangs_in_c(call: Call) -> Result:
    call.log(f"pid {os.getpid()}")
    re.match(r"(a+)+$", "a" * 64 + "b")  # holds the interpreter lock for years
    return Result({})


@robot_handler("sample.eats_memory")
def eats_memory(call: Call) -> Result:
    held = []
    while True:
        held.append(bytearray(16 * 1024 * 1024))


@robot_handler("sample.prints")
def prints(call: Call) -> Result:
    print("x" * 100_000)
    print("to stderr", file=sys.stderr)
    os.write(1, b"\x00\x00\x00\x05hello")
    os.write(2, b"\x00\x00\x00\x05hello")
    return Result({"text": "quiet"})


@robot_handler("sample.reads_stdin")
def reads_stdin(call: Call) -> Result:
    return Result({"text": repr(sys.stdin.read()) + repr(os.read(0, 10))})


@robot_handler("sample.forks")
def forks(call: Call) -> Result:
    """Both sides return: only one may be heard."""
    pid = os.fork()
    return Result({"text": "parent" if pid else "child"})


@robot_handler("sample.leaves_process")
def leaves_process(call: Call) -> Result:
    process = subprocess.Popen(["sleep", "1000"], start_new_session=call.inputs.get("away") is True)
    return Result({"text": str(process.pid)})


@robot_handler("sample.orphan")
def orphan(call: Call) -> Result:
    """A daemon in the classic way: forked twice, in a session of its own."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(write, str(os.getpid()).encode())
            os.closerange(0, 3)
            while True:
                time.sleep(1000)
        os._exit(0)
    pid = os.read(read, 20).decode()
    os.wait()
    return Result({"text": pid})


@robot_handler("sample.process_then_hang")
def process_then_hang(call: Call) -> Result:
    process = subprocess.Popen(["sleep", "1000"])
    call.log(f"{os.getpid()} {process.pid}")
    re.match(r"(a+)+$", "a" * 64 + "b")
    return Result({})


@robot_handler("sample.large")
def large(call: Call) -> Result:
    return Result({"text": "x" * 10_000_000})


@robot_handler("sample.undeclared")
def undeclared(call: Call) -> Result:
    return Result({"nowhere": "1"})


@robot_handler("sample.wrong_type")
def wrong_type(call: Call) -> Result:
    return Result({"total": "many"})


@robot_handler("sample.no_result")
def no_result(call: Call) -> Result:
    return {"total": 1}  # what an integrator forgets


@robot_handler("sample.chatter")
def chatter(call: Call) -> Result:
    for number in range(1000):
        call.log(number)
    return Result({"text": "said"})


@robot_handler("sample.late_thread")
def late_thread(call: Call) -> Result:
    """A thread that outlives its call and goes on talking."""

    def talk() -> None:
        while True:
            try:
                call.log("late")
            except RuntimeError:
                return
            time.sleep(0.001)

    threading.Thread(target=talk, daemon=True).start()
    return Result({"text": "returned"})


@robot_handler("sample.environment")
def environment(call: Call) -> Result:
    return Result({"text": "\n".join(sorted(f"{name}={value}" for name, value in os.environ.items()))})


@robot_handler("sample.pid")
def pid(call: Call) -> Result:
    return Result({"text": str(os.getpid())})


@robot_handler("sample.connections")
def connections(call: Call) -> Result:
    from django.db import connection, connections

    was_open = any(c.connection is not None for c in connections.all(initialized_only=True))
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return Result({"text": "was open" if was_open else "was closed"})


@robot_handler("sample.eats_slowly")
def eats_slowly(call: Call) -> Result:
    held = [bytearray(b"x" * 128 * 1024 * 1024)]
    time.sleep(30)
    return Result({"text": str(len(held))})


@robot_handler("sample.scribbles")
def scribbles(call: Call) -> Result:
    """Writes nonsense into whatever is open."""
    for descriptor in range(3, 256):
        try:
            os.write(descriptor, b"\xff" * 64)
        except OSError:
            continue
    return Result({"text": "written"})


@robot_handler("sample.closes_all")
def closes_all(call: Call) -> Result:
    os.closerange(0, 4096)
    return Result({"text": "closed"})


@robot_handler("sample.stops")
def stops(call: Call) -> Result:
    os.kill(os.getpid(), signal.SIGSTOP)
    return Result({})


@robot_handler("sample.kills_guard")
def kills_guard(call: Call) -> Result:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
    return Result({})


@robot_handler("sample.kills_group")
def kills_group(call: Call) -> Result:
    os.killpg(0, signal.SIGTERM)
    time.sleep(60)
    return Result({})


@robot_handler("sample.late_asks")
def late_asks(call: Call) -> Result:
    """A thread that outlives its call and goes on asking the portal."""

    def ask() -> None:
        while True:
            try:
                call.portal.client.call("profile")
            except RuntimeError:
                return

    threading.Thread(target=ask, daemon=True).start()
    return Result({"text": "returned"})
