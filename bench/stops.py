"""How long idle workers take to go when they are told to."""

from __future__ import annotations

import os
import random
import signal
import time

from bench import processes
from bench.contenders import Contender
from bench.report import NEVER
from bench.stage import staged
from tests.rabbitmq import RabbitMQ

QUEUES = 5
PHASE = 2.0  # seconds; Celery's loop looks up every so often, and the signal meets it anywhere between two looks
PATIENCE = 60.0


def seconds_to_stop(kind: type[Contender], pool: str, broker: RabbitMQ) -> float:
    """Return the seconds from SIGTERM until all processes that were started are gone.

    The signal goes to what was started: to the agent, or to each worker where nobody supervises them.
    """
    with staged(kind, QUEUES, broker, pool) as stage:
        stage.start()
        stage.settle()
        time.sleep(random.uniform(0, PHASE))  # noqa: S311
        started = [pid for pid in stage.pids() if processes.parent(pid) == os.getpid()]
        told = time.monotonic()
        for pid in started:
            os.kill(pid, signal.SIGTERM)
        while any(processes.state(pid) not in ("", "Z") for pid in started):
            if time.monotonic() > told + PATIENCE:
                return NEVER
            time.sleep(0.002)
        return time.monotonic() - told
