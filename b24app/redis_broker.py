"""The Redis broker, whose end is not the worker's end.

When Redis goes away while messages are under way, kombu's channel tries to put them back over the connection that
is just lost, fails on its own closed state, and Celery takes that for unrecoverable: the worker ends (seen with
kombu 5.7). Our messages are wake-ups, worth nothing once they are late, so nothing is put back.

An acknowledgement that meets a lost connection must give its place back all the same. Kombu counts such a message
as under way for ever; with as many of them as the worker may hold it asks Redis for nothing more, and so never
learns that the connection is lost: a worker that lives and is deaf (seen in the drill `outage`).
"""

from __future__ import annotations

from typing import Any

import structlog
from kombu.transport import redis, virtual

log = structlog.get_logger(__name__)


class QoS(redis.QoS):
    def ack(self, delivery_tag: Any) -> None:
        channel: Any = self.channel  # the stubs know nothing of its inside
        try:
            super().ack(delivery_tag)
        except channel.connection_errors as error:
            log.warning("a wake-up was not acknowledged: the broker is away", error=type(error).__name__)
            # Counted as done here; the next question to Redis finds the connection lost, and makes another.
            virtual.QoS.ack(self, delivery_tag)


class Channel(redis.Channel):
    QoS = QoS
    do_restore = False


class Transport(redis.Transport):
    Channel = Channel
