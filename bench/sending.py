"""`python -m bench.sending`: what a producer's promise costs, on a private broker: tasks a second, one by one and together."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.rabbitmq import RabbitMQ

ROOT = Path(__file__).parents[1]
ALONE, TOGETHER, THREADS = 1000, 10_000, 8
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
    """Print the rates."""
    from celery_tasks.batch import Fate, send_all  # noqa: PLC0415 - the settings are read at import
    from celery_tasks.tasks import MagicCeleryTask  # noqa: PLC0415
    from celery_tasks.utils import create_worker_from  # noqa: PLC0415

    _, worker = create_worker_from(MagicCeleryTask)  # type: ignore[no-untyped-call]
    worker.delay(1, 2, 3)
    began = time.monotonic()
    for number in range(ALONE):
        worker.delay(number, 2, 3)
    alone = ALONE / (time.monotonic() - began)
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda number: worker.delay(number, 2, 3), range(ALONE)))
    threaded = ALONE / (time.monotonic() - began)
    began = time.monotonic()
    sent = send_all(worker.s(number, 2, 3) for number in range(TOGETHER))
    together = TOGETHER / (time.monotonic() - began)
    accepted = sum(each.fate is Fate.ACCEPTED for each in sent)
    print(f"one by one, confirmed         {alone:7.0f} tasks/s")
    print(f"{THREADS} threads, confirmed          {threaded:7.0f} tasks/s  {threaded / alone:.1f} times")
    print(f"send_all, confirmed           {together:7.0f} tasks/s  {together / alone:.1f} times; {accepted} accepted")


if __name__ == "__main__":
    send() if BROKER in os.environ else main()
