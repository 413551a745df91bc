"""No-op tasks through one solo worker with late ack, under the agent and by stock Celery."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass

from bench import processes
from bench.contenders import Contender
from bench.producer import Producer
from bench.stage import staged
from tests.rabbitmq import RabbitMQ

TASKS = 5_000
PREFETCHES = (1, 4, 64)
PATIENCE = 20.0  # seconds; a worker that has not done them by then has stalled, and is counted by what it did


@dataclass(frozen=True, slots=True)
class Throughput:
    """Tasks a second, and milliseconds of the worker's CPU that each took, which others on the machine don't change."""

    rate: float
    cpu: float


def run_burst(kind: type[Contender], prefetch: int, broker: RabbitMQ) -> Throughput:
    """Return how a contender's worker does a burst of tasks."""
    with staged(kind, 1, broker, prefetch=prefetch) as stage:
        stage.start()
        stage.settle()
        [queue] = stage.queues
        worker = stage.contender.worker(queue, stage.workers())
        mark = stage.folder / "done"
        with closing(Producer(stage)) as producer:
            before = processes.running(worker)
            started = time.monotonic()
            for _ in range(TASKS - 1):
                producer.send(queue)
            producer.send(queue, str(mark))  # one worker takes them in turn: this one is the last
            while not mark.exists() and time.monotonic() < started + PATIENCE:
                time.sleep(0.005)
            took = time.monotonic() - started
            cpu = processes.running(worker) - before
            done = TASKS if mark.exists() else TASKS - producer.waiting([queue])
        return Throughput(done / took, cpu / done * 1000)
