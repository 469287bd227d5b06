"""What goes into a runner and what comes out, and how both cross its pipe.

A frame is 4 bytes of length (big endian) and that much JSON (UTF-8). Decimals and dates travel as text.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any

MAX_FRAME = 8_000_000  # a form is at most 2 MB, a REST answer may be larger; beyond this something ran away
_LENGTH = struct.Struct(">I")
_ENCODER = json.JSONEncoder(default=str, separators=(",", ":"), allow_nan=False)
_CHUNK = 65_536  # a larger buffer would be mapped and unmapped at every read


@dataclass(slots=True)
class Job:
    """One row's computation. `properties` and `return_properties` in the payload's spelling, `inputs` raw as
    php_form parsed them, `zone` an IANA name, `date_format` DMY|MDY|YMD or "" where unknown, `settings` the
    portal's own, decrypted. `trial` is a test run: no portal, no settings."""

    call_id: str
    code: str
    compute: dict[str, Any]
    properties: dict[str, Any] = field(default_factory=dict)
    return_properties: dict[str, Any] = field(default_factory=dict)
    inputs: Any = field(default_factory=dict)
    zone: str = "UTC"
    date_format: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    waits: bool = True
    domain: str = ""
    member_id: str = ""
    workflow_id: str = ""
    document_id: list[str] = field(default_factory=list)
    trial: bool = False

    def as_frame(self) -> dict[str, Any]:
        """Its fields as they cross the pipe (dataclasses.asdict copies deeply, which costs more than the
        call)."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Outcome:
    """How a computation ended. `cause` is "" or one of robot_error, output_wrong, input_wrong, time_limit,
    memory, process_died, code_unknown; `values` are RETURN_VALUES, checked; `log` LOG_MESSAGE; `lines` of
    call.log in order; `error` {type, message, file, line} of the integrator's own code, scrubbed of settings;
    `seconds` of wall time. `retry_after` is set where an uncaught PortalError may pass: try the same row
    again later; `waits_for` where that is nobody's doing, as PortalError has it."""

    ok: bool
    cause: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    log: str | None = None
    lines: list[str] = field(default_factory=list)
    revision: str = ""
    error: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    sentence: str = ""
    retry_after: float | None = None
    waits_for: str = ""


class Closed(Exception):
    """The other end is gone, or sent what is no frame."""


class OutOfTime(Exception):
    """The deadline passed before a whole frame went through."""


def send(channel: socket.socket, message: dict[str, Any], deadline: float | None = None) -> None:
    """Raises Closed, OutOfTime (deadline by time.monotonic), ValueError for what is above MAX_FRAME or holds NaN."""
    body = _ENCODER.encode(message).encode()
    if len(body) > MAX_FRAME:
        raise ValueError(f"{len(body)} bytes do not fit through the runner's pipe ({MAX_FRAME}).")
    try:
        if deadline is not None:
            channel.settimeout(max(deadline - time.monotonic(), 0.001))
        channel.sendall(_LENGTH.pack(len(body)) + body)
    except TimeoutError as error:
        raise OutOfTime from error
    except OSError as error:
        raise Closed from error


class Frames:
    """Reads frames off a socket; what a tick interrupts stays for the next call."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._held = bytearray()

    def receive(self, until: float | None = None) -> dict[str, Any]:
        """The next frame. Raises OutOfTime at `until` (time.monotonic), Closed at the end of input."""
        while True:
            if len(self._held) >= 4:
                (size,) = _LENGTH.unpack_from(self._held)
                if size > MAX_FRAME:
                    raise Closed
                if len(self._held) >= 4 + size:
                    body = bytes(self._held[4 : 4 + size])
                    del self._held[: 4 + size]
                    return _message(body)
            if until is not None:
                self._channel.settimeout(max(until - time.monotonic(), 0.001))
            try:
                chunk = self._channel.recv(_CHUNK)
            except TimeoutError as error:
                raise OutOfTime from error
            except OSError as error:
                raise Closed from error
            if not chunk:
                raise Closed
            self._held += chunk


def _message(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Closed from error
    if not isinstance(message, dict):
        raise Closed
    return message
