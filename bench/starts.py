"""Start, memory and recovery of one contender."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import median

from bench import processes
from bench.contenders import Contender
from bench.machine import Strangers
from bench.producer import Producer
from bench.report import NEVER
from bench.stage import Stage, staged
from tests.rabbitmq import RabbitMQ

TASKS = 20  # for each queue, before memory is measured a second time
RECOVERY_TIMEOUT = 6.0  # seconds; circus looks every 5
PHASE = 2.5  # seconds; a supervisor that looks every so often is met at any point between two looks


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run showed.

    ready: seconds until every queue had a consumer.
    cpu: seconds of CPU that all processes together took to start, until they had settled.
    fresh, worked: MB of memory (PSS) a queue, of its worker's main process and pool children: after the start, and once
        it has done TASKS tasks.
    own: MB of the supervisor; of the agent, daemon, template and watcher.
    strangers: share of the machine that others took during the start.
    recoveries: seconds from `kill -9` of a worker to the next consumer on its queue, NEVER where there was none.
    """

    ready: float
    cpu: float
    fresh: float
    worked: float
    own: float
    strangers: float
    recoveries: tuple[float, ...]


def measure(kind: type[Contender], count: int, pool: str, kills: int, broker: RabbitMQ) -> Figures:
    """Run a contender with so many queues and return its figures; workers of so many of them are killed."""
    with staged(kind, count, broker, pool) as stage:
        before = processes.spent(stage.marker)
        strangers = Strangers()
        ready = stage.start()
        share = strangers.share()
        stage.settle()
        cpu = processes.spent(stage.marker) - before
        fresh = processes.pss(stage.workers()) / count
        _work(stage)
        stage.settle()
        worked, own = processes.pss(stage.workers()) / count, processes.pss(stage.own())
        return Figures(ready, cpu, fresh, worked, own, share, _recoveries(stage, kills))


def typical(runs: Sequence[Figures]) -> Figures:
    """Return the medians of several runs, and all of their recoveries."""
    medians = {name: median(getattr(run, name) for run in runs) for name in Figures.__slots__ if name != "recoveries"}
    return Figures(**medians, recoveries=tuple(took for run in runs for took in run.recoveries))


def _work(stage: Stage) -> None:
    with closing(Producer(stage)) as producer:
        for _ in range(TASKS):
            for queue in stage.queues:
                producer.send(queue)
        while producer.waiting(stage.queues):
            time.sleep(0.05)


def _recoveries(stage: Stage, kills: int) -> tuple[float, ...]:
    took: list[float] = []
    for queue in stage.queues[:kills]:
        time.sleep(random.uniform(0, PHASE))  # noqa: S311
        pid = stage.contender.worker(queue, stage.workers())
        stage.witness.forget()
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        again = stage.witness.until_all_came([queue], RECOVERY_TIMEOUT)
        if again is None:  # nobody looks after workers here, and will not look after the next one
            return (*took, NEVER)
        took.append(again - killed)
    return tuple(took)
