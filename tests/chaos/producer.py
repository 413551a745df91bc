"""The producer of a run: a process that sends tasks at a steady pace and writes down which of them were accepted.

    python -m tests.chaos.producer COUNT PER_SECOND LONG_EVERY LONG_SECONDS

Where sending raises it sends again with the same id, as `docs/delivery.md` tells producers to: the broker may have taken
the task all the same, and the id is what a consumer can recognise it by. A pace that was lost is not made up for.
"""

from __future__ import annotations

import signal
import sys
import time
import uuid
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError

from celery_tasks.utils import create_worker_from
from tests.chaos.ledger import Fact
from tests.chaos.recorded import Recorded, ledger

PAUSE = 0.2  # seconds between two attempts
SHORT_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: how many tasks, how many a second, and every how manieth takes how many seconds."""

    count: int
    per_second: float
    long_every: int = 100
    long_seconds: float = 0.2

    def arguments(self) -> list[str]:
        """Return the load as arguments of this program."""
        return [str(self.count), str(self.per_second), str(self.long_every), str(self.long_seconds)]

    def seconds(self, number: int) -> float:
        """Return how long a task takes."""
        return self.long_seconds if number % self.long_every == self.long_every - 1 else SHORT_SECONDS


def main(arguments: list[str]) -> None:
    """Send a load."""
    count, per_second, long_every, long_seconds = arguments
    load = Load(int(count), float(per_second), int(long_every), float(long_seconds))
    _, worker = create_worker_from(Recorded)
    ends: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ends.append(number))
    due = time.monotonic()
    for number in range(load.count):
        if ends:
            return
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due, time.monotonic()) + 1 / load.per_second
        send(worker, load.seconds(number))


def send(worker: Any, seconds: float) -> None:
    """Send one task until it is accepted."""
    task = str(uuid.uuid4())
    while True:
        ledger().write(Fact.OFFERED, task)
        try:
            worker.apply_async((seconds,), task_id=task)
        except (KombuError, AMQPError, OSError) as error:
            ledger().write(Fact.REFUSED, task)
            print(f"{task} was refused: {error!r}", flush=True)
            time.sleep(PAUSE)
        else:
            ledger().write(Fact.ACCEPTED, task)
            return


if __name__ == "__main__":
    main(sys.argv[1:])
