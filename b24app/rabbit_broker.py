"""RabbitMQ, whose silence is not the worker's.

A worker that ends asks RabbitMQ half a dozen things, and waits for each answer for ever: one that was black-holed
kept a worker from ending at all (seen with amqp 5.3, in the drill `network`). So an answer is waited for a few
seconds, and the first that does not come takes the connection for lost: nothing else is asked on it.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import pyamqp

# As long as a connection may take. A worker's children need two seconds of the ten that an end may take.
READ_SECONDS = 2


class Connection(pyamqp.Connection):
    def blocking_read(self, timeout: float | None = None) -> Any:
        try:
            return super().blocking_read(timeout)
        except TimeoutError:
            # With a timeout of its own the caller only looked whether something had come.
            if timeout is None:
                self.collect()
            raise


class Transport(pyamqp.Transport):
    Connection = Connection


class SSLTransport(pyamqp.SSLTransport):
    Connection = Connection
