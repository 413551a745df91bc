"""Tasks for the queues of a stage, sent as fast as the broker takes them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable

import amqp
from celery import Celery

from bench.stage import Stage


class Producer:
    """A connection to a stage's vhost. The workers have declared the queues."""

    def __init__(self, stage: Stage) -> None:
        """Connect."""
        self._app = Celery(set_as_current=False)
        self._connection = stage.connect()
        self._channel = self._connection.channel()

    def send(self, queue: str, *args: str) -> None:
        """Send the task of a queue; nobody waits for its result."""
        made = self._app.amqp.as_task_v2(str(uuid.uuid4()), queue, args, ignore_result=True)
        text = amqp.Message(
            json.dumps(made.body),
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
            application_headers=made.headers,
            correlation_id=made.properties["correlation_id"],
        )
        self._channel.basic_publish(text, routing_key=queue)

    def waiting(self, queues: Iterable[str]) -> int:
        """Return how many messages wait in queues, those that a worker has fetched left out."""
        return sum(self._channel.queue_declare(queue, passive=True).message_count for queue in queues)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
