"""The filesystem broker under many writers and readers: every message whole, once."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Connection

from b24app.folder_broker import Transport


def connect(folder: Path) -> Connection:
    for name in ("messages", "control", "processed"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Connection(
        "filesystem://",
        transport=Transport,
        transport_options={
            "data_folder_in": str(folder / "messages"),
            "data_folder_out": str(folder / "messages"),
            "control_folder": str(folder / "control"),
            "processed_folder": str(folder / "processed"),
            "store_processed": False,
        },
    )


def test_every_message_arrives_whole_and_once(tmp_path: Path) -> None:
    got: list[int] = []
    broken: list[Exception] = []
    written = threading.Event()

    # Threads share what kombu remembers of bindings: it must be on the disk before the first of them writes.
    with connect(tmp_path) as connection:
        connection.SimpleQueue("wake")

    def write(first: int) -> None:
        with connect(tmp_path) as connection:
            queue = connection.SimpleQueue("wake")
            for number in range(first, first + 100):
                queue.put({"n": number, "x": "y" * 20_000})

    def read() -> None:
        try:
            with connect(tmp_path) as connection:
                channel = connection.default_channel
                while True:
                    try:
                        message: Any = channel._get("wake")
                    except Empty:
                        if written.is_set():
                            return
                        continue
                    got.append(channel.message_to_python(message).payload["n"])
        except Exception as error:
            broken.append(error)

    writers = [threading.Thread(target=write, args=(first,)) for first in (0, 100, 200)]
    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    written.set()
    for thread in readers:
        thread.join()
    assert not broken
    assert sorted(got) == list(range(300))
    assert not any((tmp_path / "processed").iterdir())


# kombu remembers bindings for the whole process: each test has a queue of its own.


def test_what_cant_be_decoded_is_dropped(tmp_path: Path) -> None:
    with connect(tmp_path) as connection:
        queue = connection.SimpleQueue("broken")
        (tmp_path / "messages" / "0_x.broken.msg").write_text("")
        queue.put({"n": 1})
        assert queue.get(timeout=30).payload == {"n": 1}


def test_a_broken_exchange_is_written_anew(tmp_path: Path) -> None:
    with connect(tmp_path) as connection:
        (tmp_path / "control" / "again.exchange").write_text("[[")
        queue = connection.SimpleQueue("again")
        queue.put({"n": 1})
        assert queue.get(timeout=30).payload == {"n": 1}
        assert [row.queue for row in connection.default_channel.get_table("again")] == ["again"]


def test_the_hub_uses_it() -> None:
    from kombu.transport import get_transport_cls

    import b24app.celery  # noqa: F401  (registers it)

    assert get_transport_cls("filesystem") is Transport


def test_kombus_own_transport_has_the_race(tmp_path: Path) -> None:
    """Why there is one of ours: should this fail, kombu has mended it and ours can go."""
    from kombu.transport import filesystem

    folder = tmp_path / "messages"
    connect(tmp_path)
    (folder / "0_x.wake.msg").write_text("")  # as between its open() and its write()
    with (
        Connection(
            "filesystem://",
            transport=filesystem.Transport,
            transport_options={"data_folder_in": str(folder), "data_folder_out": str(folder)},
        ) as connection,
        pytest.raises(ValueError, match="Expecting value"),
    ):
        connection.default_channel._get("wake")
