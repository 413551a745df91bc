"""Each mend of `celery_delivery.worker.consumer`, beside a worker that has Celery's own consumer and shows the fault."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import administration
from tests.integration import watched_worker
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

pytestmark = pytest.mark.celery

ROOT = Path(__file__).parents[2]
MENDED = "celery_delivery.worker.consumer:Consumer"
STOCK = "celery.worker.consumer:Consumer"


class Worker:
    """A plain Celery worker of one queue, in a process of its own."""

    def __init__(self, folder: Path, variables: dict[str, str], queue: str, consumer: str, *options: str) -> None:
        """Start it; its output and what was seen of its sleep go to files in the folder."""
        self._variables = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        self._queue = queue
        self._notes = folder / f"{queue}.notes"
        self._log = folder / f"{queue}.log"
        self._notes.touch()
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command("work", str(self._notes), consumer, *options),
                env=self._variables,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def pauses(self) -> list[float]:
        """Return the seconds that it meant to wait between its attempts to connect."""
        return [float(seconds) for seconds in re.findall(r"Trying again in ([\d.]+) seconds?", self.log())]

    def log(self) -> str:
        return self._log.read_text()

    def notes(self) -> set[str]:
        """Return what was seen of its sleep."""
        return set(self._notes.read_text().splitlines())

    def serve(self, count: int) -> None:
        """Have it find so many no-op tasks at once; return when the last one's result is there."""
        with self.finding(count) as sender:
            assert sender.wait(300) == 0

    @contextmanager
    def finding(self, count: int) -> Iterator[subprocess.Popen[bytes]]:
        """Have it find so many no-op tasks at once, and give the producer that waits for the last one."""
        self._process.send_signal(signal.SIGSTOP)
        with subprocess.Popen(self._command("send", str(count)), env=self._variables, stdout=subprocess.PIPE) as sender:
            try:
                assert sender.stdout is not None
                assert sender.stdout.readline() == b"sent\n"
                self._process.send_signal(signal.SIGCONT)
                yield sender
            finally:
                sender.kill()

    def terminate(self) -> int:
        """Send SIGTERM; return the exit status."""
        self._process.terminate()
        return self._process.wait(60)

    def close(self) -> None:
        """Kill it, and its pool."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, watched_worker.__file__, self._queue, *arguments]


@pytest.fixture
def start(broker: RabbitMQ, vhost: str, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers that are killed afterwards; returns when each has nothing to do."""
    workers = []

    def start(consumer: str, *options: str) -> Worker:
        queue = "stock" if consumer == STOCK else "mended"
        worker = Worker(tmp_path, broker.variables(vhost), queue, consumer, *options)
        workers.append(worker)
        wait_until(lambda: "slept" in worker.notes(), 60, f"{queue} waits for tasks")
        return worker

    yield start
    for worker in workers:
        worker.close()


@pytest.mark.parametrize("prefetch", [1, 4, 64])
def test_a_solo_worker_never_sleeps_on_its_acks_as_a_stock_one_does(
    start: Callable[..., Worker], pytestconfig: pytest.Config, prefetch: int
) -> None:
    options = ("--pool", "solo", "--prefetch-multiplier", str(prefetch))
    mended, stock = start(MENDED, *options), start(STOCK, *options)
    for _ in range(pytestconfig.getoption("--bursts")):
        mended.serve(pytestconfig.getoption("--burst"))
    with stock.finding(100):
        wait_until(lambda: "slept on work" in stock.notes(), what="the stock worker sleeps")
    assert mended.notes() == {"slept"}


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_an_idle_worker_wakes_on_a_signal_that_a_stock_one_sleeps_on(start: Callable[..., Worker], pool: str) -> None:
    mended, stock = start(MENDED, "--pool", pool), start(STOCK, "--pool", pool)
    assert (mended.terminate(), stock.terminate()) == (0, 0)
    assert (mended.notes(), stock.notes()) == ({"slept"}, {"slept", "slept on a signal"})


def test_a_worker_stays_mended_when_it_has_lost_its_connection(
    broker: RabbitMQ, vhost: str, start: Callable[..., Worker]
) -> None:
    mended = start(MENDED, "--pool", "solo", "--prefetch-multiplier", "4")
    administration.close_all_connections(broker, vhost)
    wait_until(lambda: "Connection to broker lost" in mended.log(), what="the worker has lost its connection")
    mended.serve(100)
    assert mended.terminate() == 0
    assert mended.notes() == {"slept"}


def test_the_pauses_between_attempts_to_connect_stay_short_and_a_stock_workers_grow(tmp_path: Path) -> None:
    with socket.socket() as nobody:  # bound, so that nobody else is there; not listening, so that it refuses
        nobody.bind(("127.0.0.1", 0))
        variables = {"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": str(nobody.getsockname()[1])}
        mended = Worker(tmp_path, variables, "mended", MENDED, "--pool", "solo")
        stock = Worker(tmp_path, variables, "stock", STOCK, "--pool", "solo")
        try:
            wait_until(lambda: len(stock.pauses()) >= 3 and len(mended.pauses()) >= 4, 60, "both have tried")
        finally:
            mended.close()
            stock.close()
    assert mended.pauses()[:3] == [1.0, 1.5, 2.0]  # the first, half a second, is logged as "now"
    assert mended.pauses()[3] in {2.0, 2.5}  # kombu before 5.6 adds the first to the longest
    assert stock.pauses()[:3] == [2.0, 4.0, 6.0]
