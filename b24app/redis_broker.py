"""The Redis broker, whose end is not the worker's end.

When Redis goes away while messages are under way, kombu's channel tries to put them back over the connection that
is just lost, fails on its own closed state, and Celery takes that for unrecoverable: the worker ends (seen with
kombu 5.7). Our messages are wake-ups, worth nothing once they are late, so nothing is put back.
"""

from __future__ import annotations

from kombu.transport import redis


class Channel(redis.Channel):
    do_restore = False


class Transport(redis.Transport):
    Channel = Channel
