"""Wake-ups never hold up who calls them, and are few (design §2 rule 1)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import uuid

import pytest

from tests.system.processes import ROOT

START = """
import os, socket, sys, time
import django
django.setup()
from celery import Celery
from portals import wake

def app(url, **conf):
    made = Celery("other")
    made.conf.update(broker_url=url, task_default_queue=os.environ["QUEUE"], **conf)
    made.set_default()
    made.set_current()
    return made

def until(question):
    end = time.monotonic() + 30
    while not question():
        assert time.monotonic() < end, "never"
        time.sleep(0.01)
"""


def run(code, tmp_path, **environment):
    """Runs `code` in a process of its own, since the threads of a process last as long as it."""
    script = START + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "FOLDER": str(tmp_path),
            "QUEUE": f"wake-{uuid.uuid4().hex}",
            **environment,
        },
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


FOLDERS = """
folder = os.environ["FOLDER"]
def files():
    return [name for name in os.listdir(folder) if name.endswith(".msg")]
app("filesystem://", broker_transport_options={
    "data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "/control"})
"""


def test_a_thousand_wakes_are_a_few_messages(tmp_path):
    told = run(
        FOLDERS
        + """
began = time.monotonic()
for _ in range(1000):
    wake.wake("compute")
    wake.wake("deliver")
until(lambda: not wake._flags and len(files()) >= 2)
took = time.monotonic() - began
print(len(files()), 2 * (2 + took / wake.EVERY))
""",
        tmp_path,
    )
    assert 2 <= int(told[0]) <= float(told[1])


def test_a_forked_child_wakes_with_a_thread_of_its_own(tmp_path):
    told = run(
        FOLDERS
        + """
wake.wake("compute")
until(lambda: files() and not wake._flags)
before = len(files())
# Not this child's to publish: its parent's thread lives on.
wake._flags.add("parents")
child = os.fork()
if child == 0:
    assert "parents" not in wake._flags
    wake.wake("push")
    until(lambda: not wake._flags and len(files()) > before)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
        tmp_path,
    )
    assert told == ["0"]


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_hung_broker_does_not_hold_up_the_caller(tmp_path, scheme):
    # It accepts connections (the kernel does) and never says a word. A publish in the caller's thread would
    # never get to the lines below it.
    told = run(
        f"""
        hung = socket.create_server(("127.0.0.1", 0))
        app("{scheme}://127.0.0.1:%d" % hung.getsockname()[1])
        idle = []
        wake.idle_hooks.append(lambda: idle.append(1))
        for _ in range(1000):
            wake.wake("compute")
        taken, _ = hung.accept()
        # Its sockets are bounded: it gives up by itself, comes again, and keeps the flag.
        again, _ = hung.accept()
        until(lambda: len(idle) > 1)
        print(sorted(wake._flags | {{"compute"}}))
        """,
        tmp_path,
    )
    assert told == ["['compute']"]


def test_a_broker_that_comes_back_gets_what_was_flagged(tmp_path):
    told = run(
        """
        folder = os.environ["FOLDER"] + "/later"
        options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "/control"}
        sick = socket.create_server(("127.0.0.1", 0))
        app("redis://127.0.0.1:%d" % sick.getsockname()[1])
        wake.wake("confirm")
        sick.accept()[0].close()
        sick.close()
        os.mkdir(folder)
        app("filesystem://", broker_transport_options=options)
        until(lambda: [name for name in os.listdir(folder) if name.endswith(".msg")])
        print("arrived")
        """,
        tmp_path,
    )
    assert told == ["arrived"]


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/15", "amqp://guest:guest@127.0.0.1:5672//"])
def test_it_publishes_to_real_brokers(tmp_path, url):
    host, port = ("127.0.0.1", 6379 if url.startswith("redis") else 5672)
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{host}:{port} does not answer")
    told = run(
        """
        made = app(os.environ["URL"])
        wake.wake("deliver")
        until(lambda: not wake._flags)
        connection = made.connection_for_read()
        queue = connection.SimpleQueue(os.environ["QUEUE"])
        message = queue.get(timeout=20)
        print(message.headers["task"], message.decode()[0])
        message.ack()
        queue.queue.delete()
        """,
        tmp_path,
        URL=url,
    )
    assert told == ["b24app.wake", "['deliver']"]


def test_a_wake_for_later_comes_then_and_not_before(tmp_path):
    told = run(
        FOLDERS
        + """
began = time.monotonic()
for _ in range(50):
    wake.wake_later("deliver", 0.4)
wake.wake_later("compute", wake.LATER_MAX + 1)
until(files)
took = time.monotonic() - began
until(lambda: not wake._flags and not wake._later)
# Between two of them a moment may have passed.
print(len(files()) <= 2, took >= 0.4)
""",
        tmp_path,
    )
    assert told == ["True", "True"]
