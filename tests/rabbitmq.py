"""Private RabbitMQ nodes: on free loopback ports, data in a temporary folder, gone with the process that started them."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import amqp

from tests.waiting import wait_until

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the script behind Debian's wrapper, which wants its own user
CONTROL = Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
START_TIMEOUT = 90.0  # seconds; 8 CPU seconds on a quiet machine
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Queue:
    """What the broker says of a queue: messages that wait, and consumers."""

    messages: int
    consumers: int


class RabbitMQ:
    """One broker node. User and password are guest; each vhost is an island."""

    def __init__(self, configuration: str = "") -> None:
        """Prepare a node; `configuration` is added to its rabbitmq.conf."""
        if not SERVER.exists():
            raise RuntimeError("RabbitMQ is missing: apt-get install rabbitmq-server (scripts/prepare-tests does it)")
        self.host = "127.0.0.1"
        self.port, self._distribution_port, self._mapper_port = _free_ports(3)
        self._folder = Path(tempfile.mkdtemp(prefix="celery-agent-rabbitmq-"))
        self._log = self._folder / "output"
        (self._folder / "rabbitmq.conf").write_text(f"{configuration}\n")
        (self._folder / "plugins").write_text("[].\n")
        self._process: subprocess.Popen[bytes] | None = None
        # Erlang would start its port mapper as a daemon that outlives us.
        self._mapper = self._spawn("epmd", "-port", str(self._mapper_port), "-address", self.host)

    def start(self) -> None:
        """Start the node, with the data it had; return when it takes connections."""
        self._process = self._spawn(str(SERVER))
        wait_until(self._is_up, START_TIMEOUT, f"RabbitMQ takes connections, see {self._log}")

    def stop(self) -> None:
        """Stop the node in an orderly way."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the node as a crash would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop the node's processes where they stand; connections stay open and nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen node run on."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill the node and remove its data."""
        if self._process is not None:
            self._end(signal.SIGKILL)
        self._mapper.kill()
        self._mapper.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl; return what it prints."""
        done = subprocess.run(
            [CONTROL, "--quiet", *arguments], env=self._environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def add_vhost(self, name: str) -> None:
        """Make an empty vhost that guest may use."""
        self.control("add_vhost", name)
        self.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")

    def variables(self, vhost: str = "/") -> dict[str, str]:
        """Return the environment variables that `celery_tasks` finds this node by."""
        return {"RABBITMQ_HOST": self.host, "RABBITMQ_PORT": str(self.port), "RABBITMQ_VHOST": vhost}

    def connect(self, vhost: str = "/") -> amqp.Connection:
        """Return an open connection; the caller closes it."""
        connection = amqp.Connection(f"{self.host}:{self.port}", virtual_host=vhost, connect_timeout=5)
        connection.connect()
        return connection

    def queue(self, name: str, vhost: str = "/") -> Queue | None:
        """Return a queue's counts, or None where there is no such queue."""
        with self.connect(vhost) as connection:
            try:
                found = connection.channel().queue_declare(name, passive=True)
            except amqp.exceptions.NotFound:
                return None
            return Queue(found.message_count, found.consumer_count)

    def consumers(self, name: str, vhost: str = "/") -> int:
        """Return how many consumers a queue has."""
        queue = self.queue(name, vhost)
        return 0 if queue is None else queue.consumers

    def _is_up(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"RabbitMQ ended:\n{self._log.read_text()[-2000:]}")
        try:
            self.connect().close()
        except (OSError, amqp.exceptions.AMQPError):
            return False
        return True

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._signal(number)
        self._process.wait(60)
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            return subprocess.Popen(
                arguments,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": folder,  # of the Erlang cookie
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": self.host,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": self.host,
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",  # one scheduler that does not spin: tests share cores
        }


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
