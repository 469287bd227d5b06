"""A Redis that goes away while messages are under way leaves a worker that asks for more afterwards."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Queue

from b24app.redis_broker import Transport
from tests.chaos import own_servers
from tests.chaos.own_servers import Redis
from tests.system import servers

log = logging.getLogger(__name__)


def test_an_acknowledgement_that_fails_gives_its_place_back(tmp_path: Path) -> None:
    if reason := own_servers.missing():
        if servers.in_ci():
            pytest.fail(reason)
        pytest.skip(reason)
    redis = Redis(tmp_path)
    redis.start()
    asks_on: bool | None = None
    try:
        connection = Connection(
            redis.url, transport=Transport, transport_options={"socket_connect_timeout": 1}
        )
        channel = connection.channel()
        queue = Queue("wakes", channel=channel)
        queue.declare()
        got: list[Any] = []
        with (
            connection.Producer(channel) as producer,
            connection.Consumer(queue, channel=channel) as consumer,
        ):
            consumer.qos(prefetch_count=1)
            consumer.register_callback(lambda _body, message: got.append(message))
            producer.publish({}, routing_key="wakes")
            connection.drain_events(timeout=10)
            assert not channel.qos.can_consume(), "the one place is taken"
            redis.stop()
            # As Celery does it: an acknowledgement that fails is a line of its log.
            got[0].ack_log_error(log, channel.connection_errors)
            asks_on = channel.qos.can_consume()
            with suppress(*channel.connection_errors):
                consumer.cancel()
    except Exception as error:
        # What ends over the lost connection is none of what is asked here; before it, everything is.
        if asks_on is None:
            raise AssertionError("it never came so far") from error
    finally:
        redis.stop()
    assert asks_on, "or the worker would ask for nothing more, for ever"
