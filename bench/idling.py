"""What supervisors and their workers cost while nothing happens."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench import processes
from bench.contenders import Contender
from bench.stage import staged
from tests.rabbitmq import RabbitMQ

QUEUES = 5
WATCHED = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Idling:
    """A minute of doing nothing: milliseconds of CPU and how often a process was woken.

    own_cpu, own_wakeups: of the supervisor; of the agent, daemon, template and watcher.
    worker_cpu, worker_wakeups: for each queue.
    """

    own_cpu: float
    own_wakeups: float
    worker_cpu: float
    worker_wakeups: float


def watch(kinds: Sequence[type[Contender]], broker: RabbitMQ) -> list[Idling]:
    """Return what each contender costs in a minute; all of them idle side by side."""
    with ExitStack() as stack:
        stages = [stack.enter_context(staged(kind, QUEUES, broker)) for kind in kinds]
        for stage in stages:
            stage.start()
        for stage in stages:
            stage.settle()
        groups = [(stage.own(), stage.workers()) for stage in stages]
        before = [[_spent(pids) for pids in group] for group in groups]
        time.sleep(WATCHED)
        after = [[_spent(pids) for pids in group] for group in groups]
    return [
        Idling(*_minute(own_before, own_after, 1), *_minute(workers_before, workers_after, QUEUES))
        for (own_before, workers_before), (own_after, workers_after) in zip(before, after, strict=True)
    ]


def _spent(pids: list[int]) -> tuple[float, int]:
    return sum(processes.running(pid) for pid in pids), processes.wakeups(pids)


def _minute(before: tuple[float, int], after: tuple[float, int], among: int) -> tuple[float, float]:
    share = 60 / WATCHED / among
    return (after[0] - before[0]) * 1000 * share, (after[1] - before[1]) * share
