"""The broker's own word on who consumes: RabbitMQ tells of every consumer as it comes, so nothing is polled or missed.

A worker that is replaced within milliseconds would not be seen by whoever asks for the number of consumers now and then.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import amqp

from tests.rabbitmq import RabbitMQ

PLUGIN = "rabbitmq_event_exchange"  # comes with RabbitMQ; see its README for the events
EXCHANGE = "amq.rabbitmq.event"


class Witness:
    """Counts the consumers that queues of one vhost have been given."""

    def __init__(self, broker: RabbitMQ, vhost: str) -> None:
        """Listen from now on."""
        self._vhost = vhost
        self._came: Counter[str] = Counter()
        self._connection = broker.connect()
        channel = self._connection.channel()
        own = channel.queue_declare(exclusive=True).queue
        channel.queue_bind(own, EXCHANGE, "consumer.created")
        channel.basic_consume(own, no_ack=True, callback=self._heard)

    def forget(self) -> None:
        """Forget who has come so far."""
        while self._listen(0.0):
            pass
        self._came.clear()

    def until_all_came(self, queues: Collection[str], timeout: float) -> float | None:
        """Return the monotonic time at which each of the queues had been given a consumer, or None at the timeout."""
        deadline = time.monotonic() + timeout
        while not all(self._came[queue] for queue in queues):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            self._listen(remaining)
        return time.monotonic()

    def close(self) -> None:
        """Stop listening; the broker may have been stopped meanwhile."""
        with suppress(OSError, amqp.AMQPError):
            self._connection.close()

    def _listen(self, timeout: float) -> bool:
        try:
            self._connection.drain_events(timeout or 0.001)  # 0 would mean no timeout
        except TimeoutError:
            return False
        return True

    def _heard(self, event: amqp.Message) -> None:
        told: dict[str, Any] = event.headers
        if told["vhost"] == self._vhost:
            self._came[told["queue"]] += 1
