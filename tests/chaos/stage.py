"""What a run plays on: a vhost of its own, one agent with one queue, a producer, and the ledger all of them fill."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import amqp

from tests import administration
from tests.chaos.ledger import Fact, Ledger
from tests.chaos.network import Network
from tests.chaos.producer import Load
from tests.chaos.recorded import VARIABLE, Recorded
from tests.chaos.verdict import running
from tests.node import ROOT, Node
from tests.ports import number, reserve
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

QUEUE = Recorded.name
DEAD = f"{QUEUE}.dead"
PROFILE = "CELERY_TASKS_DELIVERY"


@dataclass(frozen=True, slots=True)
class Setting:
    """How a run is set up.

    pool, profile: of the agent, and the delivery profile.
    settings: of the agent, by their names without the prefix.
    is_forwarded: whether agent and producer reach the broker through a forwarder, which can be frozen.
    """

    pool: str
    profile: str
    settings: tuple[tuple[str, str], ...] = ()
    is_forwarded: bool = False


class Stage:
    """One agent, supervised as systemd would, on the broker's nodes; there are several of them in a cluster."""

    def __init__(
        self,
        folder: Path,
        network: Network,
        nodes: list[RabbitMQ],
        setting: Setting,
        interpreter: str = sys.executable,
    ) -> None:
        """Start the agent and return when it consumes; interpreter: what its tasks run in, and its producer."""
        self.network = network
        self.nodes = nodes
        self.setting = setting
        self.ledger = Ledger(folder / "ledger")
        self.vhost = f"chaos-{uuid.uuid4().hex[:8]}"
        self.broker.add_vhost(self.vhost)
        self.node = Node(folder, self.nodes[0], self.vhost)
        self.node.interpreter = interpreter
        self.node.variables |= {VARIABLE: str(self.ledger.path), PROFILE: setting.profile}
        self.producer: subprocess.Popen[bytes] | None = None
        self.forwarder: subprocess.Popen[bytes] | None = None
        self._port: socket.socket | None = None  # of the forwarder
        self._output = folder / "producer.log"
        if setting.is_forwarded:
            self._forward()
        self.node.configure(
            QUEUE,
            TASKS=f"{Recorded.__module__}:{Recorded.__name__}",
            PATH=str(ROOT),
            DEFAULTS__POOL=setting.pool,
            DEFAULTS__CONCURRENCY="1" if setting.pool == "solo" else "2",
            DEFAULTS__LOG_LEVEL="WARNING",
            **dict(setting.settings),
        )
        self.start_agent()
        self.node.wait_until_consuming()

    @property
    def broker(self) -> RabbitMQ:
        """The node to ask about the broker: one that runs."""
        return next(node for node in self.nodes if node.is_running)

    @property
    def ports(self) -> list[int]:
        """The ports that the broker listens at for clients."""
        return [node.port for node in self.nodes]

    def _forward(self) -> None:
        self._port = reserve()
        port, node = number(self._port), self.nodes[0]
        arguments = [sys.executable, "-m", "tests.forward", f"{node.host}:{port}", f"{node.host}:{node.port}"]
        self.forwarder = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE)
        assert self.forwarder.stdout is not None
        self.forwarder.stdout.readline()  # "ready"
        self.node.variables["RABBITMQ_PORT"] = str(port)

    def start_agent(self) -> None:
        """Start the agent, as systemd does at the beginning and when it has ended."""
        self.node.start()

    def tend_agent(self) -> None:
        """Start the agent again where it has ended."""
        assert self.node.process is not None
        if self.node.process.poll() is not None:
            self.start_agent()

    def end_agent(self, number: signal.Signals) -> None:
        """Send a signal to the agent alone; return when it is gone."""
        assert self.node.process is not None
        self.node.signal(number)
        self.node.process.wait(120)

    def send(self, load: Load) -> None:
        """Start the producer."""
        with self._output.open("ab") as output:
            self.producer = subprocess.Popen(
                [self.node.interpreter, "-m", "tests.chaos.producer", *load.arguments()],
                cwd=ROOT,
                env={**os.environ, **self.node.variables},
                stdout=output,
                stderr=output,
            )

    def end_sending(self) -> None:
        """Have the producer end after the task that it is sending now."""
        assert self.producer is not None
        self.producer.terminate()
        self.producer.wait(60)

    def is_sending(self) -> bool:
        """Say whether the producer runs; raises RuntimeError where it has failed."""
        assert self.producer is not None
        status = self.producer.poll()
        if status:
            raise RuntimeError(f"the producer failed: {self._output.read_text()[-2000:]}")
        return status is None

    def accepted(self) -> int:
        """Return how many tasks the broker has taken on so far."""
        return sum(entry.fact is Fact.ACCEPTED for entry in self.ledger.entries())

    def busy(self, seconds: float = 0.02) -> int:
        """Wait until a task is seen that has been running for so long; return the pid of its process."""

        def found() -> int | None:
            now = time.monotonic()
            starts = running(self.ledger.entries()[-1000:]).values()
            return next((each.pid for each in starts if now - each.at > seconds and _is_alive(each.pid)), None)

        pid = wait_until(found, 60, "a task is running")
        assert pid is not None
        return pid

    def worker(self) -> int:
        """Return the pid of the worker's main process."""
        seen = self.node.wait_for(QUEUE, lambda queue: queue["pid"] is not None, "has a process")
        return int(seen["pid"])

    def dead_letters(self) -> frozenset[str]:
        """Return the ids of the tasks that the broker keeps as dead letters; they stay there."""
        with self.broker.connect(self.vhost) as connection:
            channel = connection.channel()
            found = set()
            try:
                while (message := channel.basic_get(DEAD)) is not None:
                    found.add(message.headers["id"])
            except amqp.exceptions.NotFound:  # a profile without dead letters
                return frozenset()
            return frozenset(found)

    def waiting(self) -> int:
        """Return how many messages the queue still has, those at a consumer included."""
        return administration.messages(self.broker, self.vhost).get(QUEUE, 0)

    def close(self) -> None:
        """End what is left of the run, and remove its vhost."""
        self.node.close()
        for process in (self.producer, self.forwarder):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        if self._port is not None:
            self._port.close()
        self.network.heal()
        self.ledger.close()
        self.broker.delete_vhost(self.vhost)


def _is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
