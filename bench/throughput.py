"""No-op tasks through one solo worker with late ack, under the agent and by stock Celery."""

from __future__ import annotations

import time
from contextlib import closing

from bench.contenders import Contender
from bench.producer import Producer
from bench.stage import staged
from tests.rabbitmq import RabbitMQ

TASKS = 5_000
PREFETCHES = (1, 4, 64)
PATIENCE = 20.0  # seconds; a worker that has not done them by then has stalled, and is counted by what it did


def tasks_per_second(kind: type[Contender], prefetch: int, broker: RabbitMQ) -> float:
    """Return the rate at which a contender's worker does a burst of tasks."""
    with staged(kind, 1, broker, prefetch=prefetch) as stage:
        stage.start()
        stage.settle()
        [queue] = stage.queues
        mark = stage.folder / "done"
        with closing(Producer(stage)) as producer:
            started = time.monotonic()
            for _ in range(TASKS - 1):
                producer.send(queue)
            producer.send(queue, str(mark))  # one worker takes them in turn: this one is the last
            while not mark.exists() and time.monotonic() < started + PATIENCE:
                time.sleep(0.005)
            took = time.monotonic() - started
            done = TASKS if mark.exists() else TASKS - producer.waiting([queue])
        return done / took
