"""Where one contender shows what it can: a vhost, a folder and a workload of its own, all gone afterwards."""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import amqp

from bench import machine, processes
from bench.contenders import Contender
from bench.witness import Witness
from bench.workload import MARKER, Workload
from celery_delivery.topology.queues import declare, topology
from tests import leftovers
from tests.rabbitmq import RabbitMQ

START_TIMEOUT = 120.0  # seconds
SETTLED = 0.05  # CPUs in use, below which a run has finished what it started
SETTLE_TIMEOUT = 20.0  # seconds


class BenchError(Exception):
    """A contender did not do what is measured; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One contender, about to be started or running."""

    contender: Contender
    broker: RabbitMQ
    witness: Witness
    marker: str
    vhost: str

    @property
    def queues(self) -> list[str]:
        """Return the names of the queues."""
        return self.contender.work.queues

    @property
    def folder(self) -> Path:
        """Return the folder of the run."""
        return self.contender.work.folder

    def connect(self) -> amqp.Connection:
        """Return an open connection to the vhost; the caller closes it."""
        return self.broker.connect(self.vhost)

    def start(self) -> float:
        """Start the contender; return the seconds until every queue had a consumer."""
        started = time.monotonic()
        self.contender.start()
        ready = self.witness.until_all_came(self.queues, START_TIMEOUT)
        if ready is None:
            log = (self.folder / "log").read_text()
            raise BenchError(
                f"{self.contender.name}: not all queues had a consumer in {START_TIMEOUT:g} s\n{log[-3000:]}"
            )
        return ready - started

    def settle(self) -> None:
        """Return when the run does next to nothing: what was started has finished its start."""
        deadline = time.monotonic() + SETTLE_TIMEOUT
        before = processes.spent(self.marker)
        while time.monotonic() < deadline:
            time.sleep(1)
            now = processes.spent(self.marker)
            if now - before < SETTLED:
                return
            before = now

    def pids(self) -> list[int]:
        """Return all processes of the run."""
        return leftovers.marked(self.marker)

    def own(self) -> list[int]:
        """Return the processes of the supervisor."""
        return [pid for pid in self.pids() if self.contender.is_own(pid)]

    def workers(self) -> list[int]:
        """Return the processes of the workers, children of their pools included."""
        return [pid for pid in self.pids() if not self.contender.is_own(pid)]


@contextmanager
def staged(
    kind: type[Contender], count: int, broker: RabbitMQ, pool: str = "solo", prefetch: int = 1
) -> Iterator[Stage]:
    """Set a stage for a contender with so many queues; end everything that was started on it."""
    vhost = f"bench-{uuid.uuid4().hex[:8]}"
    broker.add_vhost(vhost)
    folder = Path(tempfile.mkdtemp(prefix="celery-agent-bench-"))
    marker = f"{MARKER}={vhost}"
    witness = Witness(broker, vhost)
    try:
        work = Workload(folder, count, pool, prefetch, {MARKER: vhost, **broker.variables(vhost)})
        work.write()
        _declare(work.queues, broker, vhost)
        machine.await_calm()
        yield Stage(kind(work), broker, witness, marker, vhost)
    finally:
        leftovers.end(marker)
        processes.reap()
        witness.close()
        broker.control("delete_vhost", vhost)
        shutil.rmtree(folder, ignore_errors=True)


def _declare(queues: list[str], broker: RabbitMQ, vhost: str) -> None:
    """Declare the queues, which are there on a node that is not started for the first time."""
    with broker.connect(vhost) as connection:
        channel = connection.channel()
        declare(topology(queues), channel)
        channel.queue_declare(queues[-1], passive=True)  # once it is there all of them are
