"""`python -m bench.sending`: what a producer's promise costs, on a private broker: tasks a second, one by one and together."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from tests.rabbitmq import RabbitMQ

ROOT = Path(__file__).parents[1]
ALONE, TOGETHER, THREADS, ROUNDS = 1000, 5000, 8, 7
BROKER = "BENCH_SENDING"  # set in the process that sends: celery_tasks reads where the broker is when it is imported


def main() -> None:
    """Start a broker, and have another process send to it."""
    broker = RabbitMQ()
    try:
        broker.start()
        environment = {**os.environ, **broker.variables(), "PYTHONPATH": str(ROOT), BROKER: "1"}
        subprocess.run([sys.executable, "-m", "bench.sending"], env=environment, check=True)
    finally:
        broker.close()


def send() -> None:
    """Print the rates: the median of the rounds, in each of which all ways have their turn, and the lowest and highest."""
    from celery_tasks.tasks import MagicCeleryTask  # noqa: PLC0415 - the settings are read at import
    from celery_tasks.utils import create_worker_from  # noqa: PLC0415

    _, worker = create_worker_from(MagicCeleryTask)
    worker.delay(1, 2, 3)
    rounds = [[rate(way, worker) for way in WAYS] for _ in range(ROUNDS)]
    alone = median(each[0] for each in rounds)
    for name, rates in zip(WAYS.values(), zip(*rounds, strict=True), strict=True):
        middle = median(rates)
        spread = f"{min(rates):.0f} to {max(rates):.0f}"
        print(f"{name:24} {middle:6.0f} tasks/s ({spread})  {middle / alone:.1f} times")


def rate(way: Callable[[Any], int], worker: Any) -> float:
    """Return how many tasks a second are sent in a way, which returns how many it has sent."""
    began = time.monotonic()
    count = way(worker)
    return count / (time.monotonic() - began)


def one_by_one(worker: Any) -> int:
    """Send tasks alone."""
    for number in range(ALONE):
        worker.delay(number, 2, 3)
    return ALONE


def in_threads(worker: Any) -> int:
    """Send tasks alone, several threads at once."""
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda number: worker.delay(number, 2, 3), range(ALONE)))
    return ALONE


def together(worker: Any) -> int:
    """Send tasks as a batch; raises RuntimeError where not all are accepted."""
    from celery_delivery.batch import Fate, send_all  # noqa: PLC0415

    sent = send_all(worker.s(number, 2, 3) for number in range(TOGETHER))
    if not all(each.fate is Fate.ACCEPTED for each in sent):
        raise RuntimeError("the broker has not accepted all of a batch")
    return TOGETHER


WAYS = {one_by_one: "one by one", in_threads: f"one by one, {THREADS} threads", together: "send_all"}


if __name__ == "__main__":
    send() if BROKER in os.environ else main()
